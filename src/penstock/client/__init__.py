"""Clients of the API: `get_client`, `SyncPenstockClient`, `PenstockClient`.

The names are loaded when they are first used: the transports cost import time that declaring a
flow must not pay.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.client.orchestration import PenstockClient, SyncPenstockClient, get_client

__all__ = ["PenstockClient", "SyncPenstockClient", "get_client"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("penstock.client.orchestration"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
