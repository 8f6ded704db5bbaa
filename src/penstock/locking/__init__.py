"""Locks on keys, held by named holders: within a process, or on a shared directory."""
