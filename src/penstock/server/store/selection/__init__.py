"""The filter compiler: filter structs and sorts of the contract as SQL.

The only place where SQL is put together in Python. Every fragment comes from a table of
`(field, operator)`; every value is a parameter.
"""

from penstock.server.store.selection.query import count, matching, select

__all__ = ["count", "matching", "select"]
