"""`/events/in`: events from clients, committed in batches of what has arrived.

A frame is one event, or with `penstock.events.v1` also an array of events. An event that is
refused is counted and left out; the socket and its neighbours live on. While one batch is being
written the next one gathers, so the batch size follows the load by itself.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from penstock.schemas.errors import Refusal, ServiceUnavailable
from penstock.schemas.events import Event
from penstock.server.api.decoding import mender, problem_of, without_nul
from penstock.server.api.edge import Edge
from penstock.server.api.ws.protocol import EXTENSION, PingGate
from penstock.server.api.ws.socket import (
    EVENTS_PROTOCOL,
    PEER_PROTOCOL,
    TRY_LATER,
    Gone,
    Socket,
    handshake,
)
from penstock.server.domain.event_rules import problem
from penstock.server.ops import events as ops

logger = logging.getLogger("penstock.server.api.events_in")

BATCH = 500
FRAMES_HELD = 5_000
"""Frames that wait in memory; beyond that the socket is not read until some are written."""
RETRY_SECONDS = 30.0

_decode_event = msgspec.json.Decoder(Event, strict=False).decode
_decode_array = msgspec.json.Decoder(list[Raw]).decode
_mend: Any = mender(Event)


class EventRefused(Exception):
    """One event cannot be taken; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Identified(Struct):
    id: Any = None


class Reject(Struct, tag_field="type", tag="reject"):
    """Says that one event was refused, and why."""

    id: Any
    reason: str


class Ack(Struct, tag_field="type", tag="ack"):
    """Says that the first `through` events of this connection are committed or refused."""

    through: int


async def events_in(socket: Socket, edge: Edge) -> None:
    """Serve one connection until either side closes it."""
    protocol = await handshake(socket, edge, EVENTS_PROTOCOL, PEER_PROTOCOL)
    await _Intake(socket, edge, protocol).run()


class _Intake:
    def __init__(self, socket: Socket, edge: Edge, protocol: str | None) -> None:
        self._socket = socket
        self._edge = edge
        self._talks = protocol == EVENTS_PROTOCOL
        self._frames: deque[str | bytes] = deque()
        self._arrived = asyncio.Event()
        self._space = asyncio.Event()
        self._ended = False
        self._events = 0
        self._dealt_with = 0 if protocol is None else 1  # the handshake's frame
        self._context = socket.context(edge)
        self._logged: set[str] = set()
        extensions = socket.scope.get("extensions") or {}
        self._gate: PingGate | None = extensions.get(EXTENSION)

    async def run(self) -> None:
        if self._gate is not None:
            self._gate.guard()
            self._gate.confirm(self._dealt_with)
        reader = asyncio.create_task(self._read(), name="events-in-reader")
        try:
            while await self._more():
                await self._write_batch()
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _read(self) -> None:
        try:
            while True:
                frame = await self._socket.receive()
                self._frames.append(frame)
                self._arrived.set()
                if len(self._frames) >= FRAMES_HELD:
                    self._space.clear()
                    await self._space.wait()
        except Gone:
            self._ended = True
            self._arrived.set()

    async def _more(self) -> bool:
        """Wait for frames; False when the peer is gone and all of its frames are written."""
        while not self._frames:
            if self._ended:
                return False
            self._arrived.clear()
            await self._arrived.wait()
        return True

    async def _write_batch(self) -> None:
        events: list[Event] = []
        rejects: list[Reject] = []
        frames = 0
        while self._frames and len(events) < BATCH:
            self._take(self._frames.popleft(), events, rejects)
            frames += 1
        self._space.set()
        if events:
            await self._store(events, rejects)
        self._dealt_with += frames
        if self._gate is not None:
            self._gate.confirm(self._dealt_with)
        for reject in rejects:
            self._note(reject)
        if self._talks and not self._ended:
            for reject in rejects:
                await self._socket.send(reject)
            await self._socket.send(Ack(self._events))

    def _take(self, frame: str | bytes, events: list[Event], rejects: list[Reject]) -> None:
        """Sort what one frame holds into `events` and `rejects`."""
        data = frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame
        if self._talks and data.lstrip()[:1] == b"[":
            try:
                raws = [bytes(raw) for raw in _decode_array(data)]
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                self._events += 1
                rejects.append(Reject(None, problem_of(error).msg))
                return
        else:
            raws = [data]
        for raw in raws:
            self._events += 1
            try:
                events.append(read_event(raw, self._edge))
            except EventRefused as refused:
                rejects.append(Reject(_id_of(raw), refused.reason))

    async def _store(self, events: Sequence[Event], rejects: list[Reject]) -> None:
        """Commit events; a batch the store refuses is halved until the culprit is alone."""
        deadline = self._edge.clock.monotonic() + RETRY_SECONDS
        pause = 0.05
        while True:
            try:
                await self._edge.store.write(ops.ingest, self._context, events)
                return
            except ServiceUnavailable:
                if self._edge.clock.monotonic() > deadline:
                    await self._socket.close(TRY_LATER, "The database is not available")
                    raise Gone from None
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
            except Refusal as error:
                if len(events) == 1:
                    rejects.append(Reject(events[0].id, error.detail))
                    return
                break
            except Exception:
                # The socket edge is a supervision point: one bad event must not cost the others.
                if len(events) == 1:
                    logger.exception("the event %s could not be stored", events[0].id)
                    rejects.append(Reject(events[0].id, "The event could not be stored"))
                    return
                break
        middle = len(events) // 2
        await self._store(events[:middle], rejects)
        await self._store(events[middle:], rejects)

    def _note(self, reject: Reject) -> None:
        self._edge.counters.reject_event(reject.reason)
        if reject.reason not in self._logged and len(self._logged) < 20:
            self._logged.add(reject.reason)
            logger.warning("refused event %s: %s", reject.id, reject.reason)


def read_event(raw: bytes, edge: Edge) -> Event:
    """The event that a frame holds. Raises `EventRefused`."""
    if len(raw) > edge.config.event_limits.maximum_bytes:
        raise EventRefused(f"larger than {edge.config.event_limits.maximum_bytes} bytes")
    try:
        event = _mend(_decode_event(without_nul(raw)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        found = problem_of(error)
        place = ".".join(str(step) for step in found.loc)
        raise EventRefused(f"{place}: {found.msg}" if place else found.msg) from None
    reason = problem(event)
    if reason is not None:
        raise EventRefused(reason)
    return event


def _id_of(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw, type=_Identified).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
