"""Places where submitted tasks run: threads of this process, other processes."""
