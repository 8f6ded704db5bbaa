"""Who may ask, from where, and what must never be echoed."""
