"""Blocks: typed configuration, kept by the server and loaded by name."""
