"""The way out for events of runs, and the bounded wait for their delivery."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

Send = Callable[[bytes], None]

FLUSH_SECONDS = 10.0
"""How long the end of a flow run waits for its events to arrive."""

_sockets: Any = None
_elsewhere: Send | None = None


def sender() -> Send:
    """What takes events for the API that is current here, from any thread, at once.

    Taken where a run begins: other threads may have other settings.
    """
    if _elsewhere is not None:
        return _elsewhere
    return _stream().send


def reach() -> None:
    """Make sure that there is a server for the events of a task outside of flows.

    Without a configured API that is the one in this process, which cannot be started any more
    once the interpreter is shutting down. Costs a comparison after the first time.
    """
    target = import_module("penstock.client.target").current_target()
    if target.url is None and _elsewhere is None:
        _ = import_module("penstock.client.endpoint").endpoint(target).transport


def redirect(sink: Send | None) -> None:
    """Give the events of this process to `sink` instead of an API; None ends that."""
    global _elsewhere
    _elsewhere = sink


def flush(timeout: float = FLUSH_SECONDS) -> int:
    """Wait until what was sent so far has arrived; returns how much has not after `timeout`."""
    return 0 if _elsewhere is not None else _stream().flush(timeout)


def _stream() -> Any:
    global _sockets
    if _sockets is None:
        # Loaded with the first run: the socket library costs more than the rest of the SDK.
        _sockets = import_module("penstock.client.sockets")
    return _sockets.event_stream()
