"""Runs of flows in processes of their own: starting, watching and stopping them."""
