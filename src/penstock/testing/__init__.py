"""Helps for testing flows: a server for the length of a test, fixtures, comparisons."""
