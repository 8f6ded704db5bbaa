"""The life of the embedded server of one harness."""

from collections.abc import Iterator
from contextlib import contextmanager

from penstock.client.endpoint import discard_endpoint, endpoint
from penstock.client.sockets import discard_stream, event_stream
from penstock.client.target import current_target
from penstock.logging import flush_logs, shipping


@contextmanager
def server_lifetime(drain_seconds: float) -> Iterator[None]:
    """Start the server of the current settings, and at the end deliver and stop."""
    target = current_target()
    endpoint(target)
    try:
        yield
    finally:
        flush_logs(drain_seconds)
        event_stream(target).flush(drain_seconds)
        discard_stream(target)
        shipping.discard(target)
        discard_endpoint(target)
