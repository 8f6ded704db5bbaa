"""Database, transactions, SQL. Entry point: `open_store(url)`."""

from penstock.server.store.opening import open_store
from penstock.server.store.store import Statistics, Store

__all__ = ["Statistics", "Store", "open_store"]
