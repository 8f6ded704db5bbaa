"""The way of events to the server: `event_stream()`.

Events go over the socket `/events/in` in batches and are kept until the server says that they
are committed. Where the socket is refused they go by `POST /events`; inside the process they go
straight to the application.
"""

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import msgspec

from penstock.client.closing import after_fork
from penstock.client.embedded import EmbeddedTransport
from penstock.client.endpoint import endpoint
from penstock.client.exchange import SocketRefused
from penstock.client.outbox import Bounds, NotNow, Outbox
from penstock.client.posting import PostDelivery
from penstock.client.target import Target, current_target
from penstock.schemas.errors import APIUnreachable
from penstock.settings import get_current_settings

logger = logging.getLogger("penstock.client.events")


class Socket(Protocol):
    """Delivers batches over a connection of its own."""

    def __call__(self, batch: Sequence[bytes]) -> None: ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...


class EventStream:
    """Takes events for one API and delivers them in the background, each at least once.

    `send` never blocks and never raises. The server drops repeated events by their id.
    """

    def __init__(self, target: Target, *, bounds: Bounds | None = None) -> None:
        self.target = target
        self._socket: Socket | None = None
        self._requests: PostDelivery | None = None
        self._outbox = Outbox(
            f"events for {target.name}",
            self._deliver,
            tell=logger.warning,
            describe=_describe,
            bounds=bounds or _bounds(),
        )

    def send(self, event: bytes) -> None:
        """Queue one event, encoded as JSON. Costs about a microsecond."""
        self._outbox.put(event)

    def flush(self, timeout: float) -> int:
        """Wait until all is committed, at most `timeout` seconds; returns how many are not."""
        return self._outbox.flush(timeout)

    @property
    def pending(self) -> int:
        return self._outbox.pending

    def forget(self) -> None:
        if self._socket is not None:
            self._socket.abandon()
        self._socket = self._requests = None

    def close(self) -> None:
        """End the thread and close the socket; the next event opens both again."""
        self._outbox.stop()
        if self._socket is not None:
            self._socket.close()

    def _deliver(self, batch: Sequence[bytes]) -> None:
        if self._socket is None and self._requests is None:
            self._choose()
        if self._requests is not None:
            self._requests(batch)
            return
        assert self._socket is not None
        try:
            self._socket(batch)
        except SocketRefused as error:
            logger.error(
                "the event socket of %s refused this client (%s); events go by HTTP requests from "
                "now on. Check PENSTOCK_API_AUTH_STRING and that a proxy lets WebSockets through",
                self.target.name,
                error,
            )
            self._socket = None
            self._requests = PostDelivery(self.target, "create_events")
            self._requests(batch)

    def _choose(self) -> None:
        try:
            transport = endpoint(self.target).transport
        except (OSError, APIUnreachable) as error:
            raise NotNow(str(error)) from error
        if isinstance(transport, EmbeddedTransport):
            self._requests = PostDelivery(self.target, "create_events")
        else:
            # A transport over a socket has the URL it was made for.
            url = self.target.url or getattr(transport, "url", "")
            # The socket library costs 20 ms of import that an embedded run does not need.
            from penstock.client.event_socket import SocketDelivery

            self._socket = SocketDelivery(self.target, url)


class _Named(msgspec.Struct):
    event: str = "?"


def _describe(items: Sequence[bytes]) -> str:
    names: Counter[str] = Counter()
    for item in items:
        try:
            names[msgspec.json.decode(item, type=_Named).event] += 1
        except msgspec.DecodeError:
            names["?"] += 1
    listed = ", ".join(f"{name} x {count}" for name, count in names.most_common(10))
    return f"{len(items)} events ({listed})"


def _bounds() -> Bounds:
    most = get_current_settings().events.worker_max_queue_size
    return Bounds(batch_items=1_000, batch_bytes=2_000_000, capacity_items=most or 0)


_streams: dict[Target, EventStream] = {}
_lock = threading.Lock()


def event_stream(target: Target | None = None) -> EventStream:
    """The stream of the given or current API target: one per target and process."""
    target = target or current_target()
    known = _streams.get(target)
    if known is None:
        with _lock:
            known = _streams.get(target)
            if known is None:
                known = _streams[target] = EventStream(target)
    return known


def flush_events(timeout: float) -> int:
    """Flush every stream of this process; returns how many events are not delivered."""
    return sum(stream.flush(timeout) for stream in list(_streams.values()))


def discard_stream(target: Target) -> None:
    """Forget the stream of `target`: for the harness, whose server is gone for good."""
    stream = _streams.pop(target, None)
    if stream is not None:
        stream.close()


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    for stream in _streams.values():
        stream.forget()


after_fork(_forget)
