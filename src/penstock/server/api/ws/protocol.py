"""A WebSocket protocol for uvicorn that lets an endpoint decide when a ping is answered.

The peer's SDK takes the answer to a ping as proof that everything it sent before has arrived. The
libraries answer by themselves, before the application has even read the frames. Here an endpoint
that asks for it answers once the frames before the ping are committed, but after two seconds at
the latest, so that a slow commit does not look like a dead server.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

LONGEST_WAIT = 2.0
EXTENSION = "penstock.pings"
"""Name of the ASGI scope extension that holds the `PingGate` of a socket."""


class PingGate:
    """Answers to pings that wait for the frames received before them to be dealt with.

    It also knows when the peer was last heard, and can ask it for a sign of life.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        probe: Callable[[], None] = lambda: None,
        abort: Callable[[], None] = lambda: None,
    ) -> None:
        self._write = write
        self.probe = probe
        """Sends a ping of its own; whatever comes back moves `heard`."""
        self.abort = abort
        """Ends the connection at once, whatever still waits to be sent."""
        self.heard = 0.0
        """Loop time at which bytes of the peer last arrived."""
        self._waiting: deque[tuple[int, bytes, asyncio.TimerHandle]] = deque()
        self._confirmed = 0
        self._guarded = False
        self.received = 0

    def guard(self) -> None:
        """From now on answers wait for `confirm`."""
        self._guarded = True

    def confirm(self, frames: int) -> None:
        """The first `frames` frames of this socket are dealt with."""
        self._confirmed = frames
        while self._waiting and self._waiting[0][0] <= frames:
            self._answer()

    def ping(self, answer: bytes) -> None:
        """A ping arrived, to be answered with these bytes."""
        if not self._guarded or self.received <= self._confirmed:
            self._write(answer)
            return
        timer = asyncio.get_running_loop().call_later(LONGEST_WAIT, self._expire)
        self._waiting.append((self.received, answer, timer))

    def close(self) -> None:
        """Give up the answers that still wait."""
        while self._waiting:
            self._waiting.popleft()[2].cancel()

    def _answer(self) -> None:
        _, answer, timer = self._waiting.popleft()
        timer.cancel()
        self._write(answer)

    def _expire(self) -> None:
        if self._waiting:
            self._answer()


class GatedProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol with a `PingGate` between ping and answer."""

    gate: PingGate

    def handle_connect(self, event: Request) -> None:
        self.gate = PingGate(self._write_answer, self._probe, self._abort)
        self.gate.heard = self.loop.time()
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)
        if scope is not None:
            # The application's task starts after this call returns, so it sees the extension.
            scope["extensions"][EXTENSION] = self.gate

    def data_received(self, data: bytes) -> None:
        gate = getattr(self, "gate", None)
        if gate is not None:
            gate.heard = self.loop.time()
        super().data_received(data)

    def send_receive_event_to_app(self) -> None:
        self.gate.received += 1
        super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        self.gate.ping(b"".join(self.conn.data_to_send()))

    def connection_lost(self, exc: Exception | None) -> None:
        gate = getattr(self, "gate", None)
        if gate is not None:
            gate.close()
        super().connection_lost(exc)

    def _probe(self) -> None:
        if not self.close_sent and not self.transport.is_closing():
            self.conn.send_ping(b"live")
            self.transport.write(b"".join(self.conn.data_to_send()))

    def _abort(self) -> None:
        self.transport.abort()

    def _write_answer(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
