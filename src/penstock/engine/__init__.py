"""Runs flows and tasks: generator cores that yield effects, and two drivers that carry them out."""
