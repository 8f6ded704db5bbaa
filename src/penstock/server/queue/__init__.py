"""The queue of owed teardowns: one interface, its working set in the database or in Redis."""

from penstock.server.queue.interface import (
    ClaimRequest,
    CleanupQueue,
    Cursor,
    OperationResult,
    PoolStats,
    Reservation,
    Window,
)
from penstock.server.queue.opening import open_queue

__all__ = [
    "ClaimRequest",
    "CleanupQueue",
    "Cursor",
    "OperationResult",
    "PoolStats",
    "Reservation",
    "Window",
    "open_queue",
]
