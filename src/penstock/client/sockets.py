"""The way of events to the server: `event_stream()`.

Events go over the socket `/events/in` in batches and are kept until the server says that they
are committed. Where the socket is refused they go by `POST /events`; inside the process they go
straight to the application.
"""

import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    WebSocketException,
)
from websockets.sync.client import ClientConnection

from penstock.base import json
from penstock.client.closing import after_fork
from penstock.client.embedded import EmbeddedTransport
from penstock.client.endpoint import endpoint
from penstock.client.handshake import (
    OPEN_SECONDS,
    SocketRefused,
    check_greeted,
    greeting,
    open_connection,
    socket_url,
)
from penstock.client.outbox import Bounds, NotNow, Outbox
from penstock.client.posting import PostDelivery
from penstock.client.target import Target, current_target
from penstock.schemas.errors import APIUnreachable
from penstock.settings import get_current_settings

logger = logging.getLogger("penstock.client.events")

ACKNOWLEDGED = "penstock.events.v1"
PLAIN = "prefect"
ACKNOWLEDGE_SECONDS = 30.0
POLICY_VIOLATION = 1008


class SocketDelivery:
    """Delivers batches over one socket, opened when needed and again after it broke.

    With the subprotocol `penstock.events.v1` a batch is one frame and is delivered when the
    server says that it is committed. With `prefect` each event is a frame and the answer to a
    ping is the best confirmation there is.
    """

    def __init__(self, target: Target, url: str) -> None:
        self._target = target
        self._url = socket_url(url, "/events/in")
        self._socket: ClientConnection | None = None
        self._sent = 0
        self._told: set[str] = set()

    def __call__(self, batch: Sequence[bytes]) -> None:
        try:
            socket = self._opened()
            if socket.subprotocol == ACKNOWLEDGED:
                self._send_acknowledged(socket, batch)
            else:
                self._send_plain(socket, batch)
        except ConnectionClosed as error:
            self.close()
            if error.rcvd is not None and error.rcvd.code == POLICY_VIOLATION:
                raise SocketRefused(error.rcvd.reason or "policy violation") from error
            raise NotNow(f"the socket to {self._target.name} was closed") from error
        except InvalidStatus as error:
            status = error.response.status_code
            if 400 <= status < 500 and status not in (408, 429):
                raise SocketRefused(f"HTTP status {status}") from error
            raise NotNow(f"{self._target.name} answered {status}") from error
        except InvalidHandshake as error:
            raise SocketRefused(str(error)) from error
        except (OSError, WebSocketException, RuntimeError) as error:
            self.close()
            raise NotNow(f"{self._target.name}: {error or type(error).__name__}") from error

    def close(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            with contextlib.suppress(OSError, WebSocketException):
                socket.close()

    def abandon(self) -> None:
        """Forget the socket without a word: it is the parent's of a fork."""
        self._socket = None

    def _opened(self) -> ClientConnection:
        if self._socket is not None:
            return self._socket
        socket = open_connection(self._target, self._url, [ACKNOWLEDGED, PLAIN], ping_interval=None)
        try:
            if socket.subprotocol is not None:
                socket.send(greeting(self._target), text=True)
                check_greeted(socket.recv(timeout=OPEN_SECONDS))
        except BaseException:
            socket.close()
            raise
        self._socket, self._sent = socket, 0
        return socket

    def _send_acknowledged(self, socket: ClientConnection, batch: Sequence[bytes]) -> None:
        socket.send(b"[" + b",".join(batch) + b"]", text=True)
        self._sent += len(batch)
        while True:
            frame = json.decode(socket.recv(timeout=ACKNOWLEDGE_SECONDS))
            if frame.get("type") == "ack" and frame["through"] >= self._sent:
                return
            if frame.get("type") == "reject":
                self._tell_rejected(frame)

    def _send_plain(self, socket: ClientConnection, batch: Sequence[bytes]) -> None:
        for event in batch:
            socket.send(event, text=True)
        if not socket.ping().wait(ACKNOWLEDGE_SECONDS):
            raise TimeoutError("no answer to a ping")

    def _tell_rejected(self, frame: dict[str, Any]) -> None:
        reason = str(frame.get("reason"))
        if reason not in self._told:
            self._told.add(reason)
            logger.warning("the server refused the event %s: %s", frame.get("id"), reason)


class EventStream:
    """Takes events for one API and delivers them in the background, each at least once.

    `send` never blocks and never raises. The server drops repeated events by their id.
    """

    def __init__(self, target: Target, *, bounds: Bounds | None = None) -> None:
        self.target = target
        self._socket: SocketDelivery | None = None
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
