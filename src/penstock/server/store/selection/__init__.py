"""The filter compiler: filter structs and sorts of the contract as SQL.

The only place where SQL is put together in Python. Every fragment comes from a table of
`(field, operator)`; every value is a parameter.
"""

from penstock.server.store.selection.cleanup import count_cleanup, select_cleanup
from penstock.server.store.selection.query import count, matching, select
from penstock.server.store.selection.workers import select_workers

__all__ = [
    "count",
    "count_cleanup",
    "matching",
    "select",
    "select_cleanup",
    "select_workers",
]
