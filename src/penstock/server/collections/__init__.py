"""Data that the server brings along, as JSON files."""
