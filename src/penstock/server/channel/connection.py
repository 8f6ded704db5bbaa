"""One connected worker, as the rest of the server sees it.

Frames are put into an outbox and sent by a task that exists only while there are some, so that
nobody who has something to say ever waits for a socket, and an idle connection costs no task.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any, Protocol
from uuid import UUID

import msgspec
from msgspec import Struct

from penstock.base import json
from penstock.base.clock import Clock
from penstock.base.ids import uuid7
from penstock.schemas.channel import CLOSE_CODES, CloseReason

SEND_SECONDS = 10.0
"""How long a frame may wait for the socket before the connection is given up."""
OUTBOX = 512
SAMPLES = 8
"""Frames by which a worker's clock is judged."""
NO_OFFSET = timedelta()
LEAST_OFFSET = timedelta(seconds=0.5)
LIVE_SECONDS = 15.0
"""A worker not heard of for this long is asked before it is given work."""


class State(Enum):
    READY = auto()
    DRAINING = auto()
    CLOSED = auto()


class Line(Protocol):
    """The socket under a connection. Both calls raise `ConnectionError` when the peer is gone."""

    async def send(self, frame: bytes) -> None: ...

    async def close(self, code: int, reason: str) -> None: ...

    def heard(self) -> float | None:
        """When something last arrived, in monotonic seconds; None where that is not known."""
        ...

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        ...

    def abort(self) -> None:
        """Give the socket up without another word."""
        ...


class InFlight(Struct, frozen=True):
    """A message this worker holds: until when by this process's monotonic clock.

    The token is empty for one that another connection of the worker received.
    """

    token: str
    until: float
    placement: str = "any"


class _Outgoing(Struct, frozen=True):
    """A frame that waits to be sent; None stands for the snapshot that is the newest by then."""

    frame: bytes | None
    message_id: str | None = None


class ClockOffset:
    """How far a worker's clock is ahead of this one.

    A frame is sent before it is received, so a sample can only be too low; the highest of the
    last few is the best. Small offsets count as none.
    """

    __slots__ = ("_samples",)

    def __init__(self) -> None:
        self._samples: deque[timedelta] = deque(maxlen=SAMPLES)

    def note(self, sent_at: datetime, received: datetime) -> None:
        sent = sent_at if sent_at.tzinfo is not None else sent_at.replace(tzinfo=UTC)
        self._samples.append(sent - received)

    def __call__(self) -> timedelta:
        best = max(self._samples, default=timedelta())
        return best if abs(best) >= LEAST_OFFSET else timedelta()


class Connection:
    """A worker that has said hello and was told that all is ready."""

    __slots__ = (
        "_closing",
        "_line",
        "_outbox",
        "_pending",
        "_writer",
        "clock",
        "consumer_id",
        "host_id",
        "in_flight",
        "kinds",
        "last_given",
        "limit",
        "offset",
        "on_unsent",
        "pool_id",
        "queue_ids",
        "sequence",
        "stamp",
        "state",
        "wants_work_ready",
        "worker_name",
        "worker_type",
    )

    def __init__(
        self,
        line: Line,
        clock: Clock,
        *,
        pool_id: str,
        consumer_id: UUID,
        worker_name: str,
        worker_type: str,
        queue_ids: frozenset[str] | None,
        kinds: frozenset[str] = frozenset(),
        limit: int = 0,
        host_id: str | None = None,
        wants_work_ready: bool = False,
        stamp: Any = None,
    ) -> None:
        self._line = line
        self.clock = clock
        self.pool_id = pool_id
        self.consumer_id = consumer_id
        self.worker_name = worker_name
        self.worker_type = worker_type
        self.host_id = host_id
        self.queue_ids = queue_ids
        """Queues the worker serves; None for all of the pool's, also those yet to come."""
        self.kinds = kinds
        self.limit = limit
        self.wants_work_ready = wants_work_ready
        self.in_flight: dict[str, InFlight] = {}
        self.last_given = 0.0
        self.offset = ClockOffset()
        self.state = State.READY
        self.sequence = 1
        self.stamp = stamp
        """When the pool was changed as the worker last saw it."""
        self.on_unsent: Callable[[Connection, list[str]], None] = _nothing
        """Called with the messages whose frames were not sent, when that is certain."""
        self._outbox: deque[_Outgoing] = deque()
        self._pending: tuple[str, bytes] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._closing: tuple[int, str] | None = None

    @property
    def credit(self) -> int:
        """How many more teardowns the worker may be given now."""
        now = self.clock.monotonic()
        lapsed = [id for id, held in self.in_flight.items() if held.until <= now]
        for id in lapsed:
            del self.in_flight[id]
        if self.state is not State.READY or len(self._outbox) >= OUTBOX:
            return 0
        return max(0, self.limit - len(self.in_flight))

    def silent_for(self) -> float:
        """Seconds since the worker was heard; zero where the socket does not tell."""
        heard = self._line.heard()
        return 0.0 if heard is None else asyncio.get_running_loop().time() - heard

    def ask(self) -> None:
        """Ask for a sign of life."""
        self._line.ping()

    # --- frames ----------------------------------------------------------------------------------

    def send(
        self,
        type: str,
        payload: Any,
        offset: timedelta = NO_OFFSET,
        *,
        message_id: str | None = None,
    ) -> None:
        """Queue one frame; never waits.

        `offset` moves the time of sending into another clock; `message_id` is that of the message
        which the frame delivers.
        """
        self._put(_Outgoing(self._frame(type, payload, offset), message_id))

    def send_snapshot(self, reason: str, pool: bytes) -> None:
        """Queue the pool as it is now; an older one that still waits to be sent is replaced."""
        waiting = self._pending is not None
        self._pending = (reason, pool)
        if not waiting:
            self._put(_Outgoing(None))

    def close(self, reason: CloseReason) -> None:
        """Close after what is queued has been sent."""
        if self.state is State.CLOSED or self._closing is not None:
            return
        self.state = State.DRAINING
        self._closing = (CLOSE_CODES[reason], reason.value)
        self._start()

    def ended(self) -> None:
        """The socket is closed; what is queued is given up."""
        self.state = State.CLOSED
        if self._writer is not None:
            self._writer.cancel()
        self._give_up()

    async def flushed(self) -> None:
        """Wait until everything queued is sent, or the connection failed."""
        if self._writer is not None:
            await asyncio.wait((self._writer,))

    def _frame(self, type: str, payload: Any, offset: timedelta = NO_OFFSET) -> bytes:
        return json.encode(
            {
                "type": type,
                "id": uuid7(),
                "sent_at": self.clock.now() + offset,
                "payload": payload,
            }
        )

    def _put(self, outgoing: _Outgoing) -> None:
        if self.state is State.CLOSED or self._closing is not None:
            if outgoing.message_id is not None:
                self.on_unsent(self, [outgoing.message_id])
            return
        self._outbox.append(outgoing)
        self._start()

    def _start(self) -> None:
        if self._writer is None:
            self._writer = asyncio.create_task(self._drain(), name="worker-channel-writer")

    async def _drain(self) -> None:
        try:
            while self._outbox:
                outgoing = self._outbox[0]
                frame = outgoing.frame if outgoing.frame is not None else self._snapshot()
                async with asyncio.timeout(SEND_SECONDS):
                    await self._line.send(frame)
                if self._outbox and self._outbox[0] is outgoing:
                    # Otherwise the connection ended meanwhile, and nothing is queued any more.
                    self._outbox.popleft()
            if self._closing is not None:
                self.state = State.CLOSED
                async with asyncio.timeout(SEND_SECONDS):
                    await self._line.close(*self._closing)
        except (ConnectionError, TimeoutError):
            self.state = State.CLOSED
            self._line.abort()
            self._give_up()
        finally:
            self._writer = None

    def _give_up(self) -> None:
        unsent = [one.message_id for one in self._outbox if one.message_id is not None]
        self._outbox.clear()
        if unsent:
            self.on_unsent(self, unsent)

    def _snapshot(self) -> bytes:
        assert self._pending is not None
        reason, pool = self._pending
        self._pending = None
        self.sequence += 1
        return self._frame(
            "work_pool.snapshot.v1",
            {
                "snapshot_sequence": self.sequence,
                "reason": reason,
                "work_pool": msgspec.Raw(pool),
            },
        )


def _nothing(connection: Connection, message_ids: list[str]) -> None:
    return None
