"""Handlers of the operations that are more than one call of an `ops` function."""
