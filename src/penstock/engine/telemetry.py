"""The way out for events and logs of runs, and the bounded wait for their delivery."""

from importlib import import_module
from typing import Any

FLUSH_SECONDS = 10.0
"""How long the end of a flow run waits for its events and logs to arrive."""

_sockets: Any = None
_sent = False


def send(event: bytes) -> None:
    """Queue one event for the current API; returns at once."""
    global _sockets, _sent
    if _sockets is None:
        # Loaded with the first event: the socket library costs more than the rest of the SDK.
        _sockets = import_module("penstock.client.sockets")
    _sent = True
    _sockets.event_stream().send(event)


def flush(timeout: float = FLUSH_SECONDS) -> int:
    """Wait until what was sent so far has arrived; returns how much has not after `timeout`."""
    global _sent
    left = 0
    if _sent:
        _sent = False
        left = _sockets.event_stream().flush(timeout)
    return left
