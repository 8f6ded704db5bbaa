"""Background loops and the supervisor that runs them."""
