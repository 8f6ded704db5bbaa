"""`/events/out`: events that match a filter, from the table and then as they are committed.

A subscriber is a cursor over the log's `seq`: what it has not been sent yet is read from the
table, page by page, so a slow reader holds no memory here and misses nothing. Only one that has
fallen behind by more events than configured is closed.
"""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
from msgspec import Struct

from penstock.base import json
from penstock.schemas.events import EventFilter
from penstock.server.api.decoding import mender, problem_of
from penstock.server.api.edge import Edge
from penstock.server.api.ws.socket import (
    PEER_PROTOCOL,
    POLICY,
    PROTOCOL,
    TRY_LATER,
    Gone,
    Socket,
    handshake,
    read_object,
)
from penstock.server.domain.event_matching import matcher
from penstock.server.ops import event_stream as ops

DISABLED = "Event streaming is disabled; set server.events.stream_out_enabled"
TOPIC = "events"
POLL_SECONDS = 1.0
PAGES_BETWEEN_CHECKS = 20
FOREVER = "9999-12-31T23:59:59Z"

_mend: Any = mender(EventFilter)


class Subscribe(Struct):
    """What a subscriber asks for. `after_seq` is an extension: resume behind that event."""

    filter: Any = None
    backfill: bool = True
    after_seq: int | None = None


async def events_out(socket: Socket, edge: Edge) -> None:
    """Serve one connection until either side closes it."""
    await handshake(socket, edge, PEER_PROTOCOL)
    if not edge.config.events_stream_enabled:
        await socket.close(POLICY, DISABLED)
        return
    request, filter = await _subscription(socket)
    sender = asyncio.create_task(_send(socket, edge, request, filter), name="events-out")
    listener = asyncio.create_task(_listen(socket), name="events-out-listener")
    try:
        await asyncio.wait((sender, listener), return_when=asyncio.FIRST_COMPLETED)
    finally:
        sender.cancel()
        listener.cancel()
        outcomes = await asyncio.gather(sender, listener, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


async def _listen(socket: Socket) -> None:
    """Notice when the peer leaves; what it says meanwhile means nothing."""
    while True:
        await socket.receive()


async def _subscription(socket: Socket) -> tuple[Subscribe, EventFilter]:
    message = read_object(await socket.receive())
    if message.get("type") != "filter":
        await socket.close(PROTOCOL, "Expected 'filter' message")
        raise Gone
    try:
        request = msgspec.convert(message, Subscribe, strict=False)
        if not isinstance(request.filter, dict):
            raise msgspec.ValidationError("Expected `object` - at `$.filter`")
        filter = _mend(msgspec.convert(_open_ended(request.filter), EventFilter, strict=False))
    except (msgspec.ValidationError, OverflowError) as error:
        problem = problem_of(error)
        place = ".".join(str(step) for step in problem.loc)
        await socket.close(PROTOCOL, f"Invalid filter: {place} {problem.msg}")
        raise Gone from None
    return request, filter


def _open_ended(filter: dict[str, Any]) -> dict[str, Any]:
    """The filter without an end in time where the subscriber named none."""
    occurred = filter.get("occurred") or {}
    if isinstance(occurred, dict) and occurred.get("until") is None:
        return filter | {"occurred": occurred | {"until": FOREVER}}
    return filter


async def _send(socket: Socket, edge: Edge, request: Subscribe, filter: EventFilter) -> None:
    limits = edge.config.event_limits
    earliest = edge.clock.now() - timedelta(seconds=limits.backfill_seconds)
    since = max(filter.occurred.since, earliest) if request.backfill else None
    position = await edge.store.read(
        ops.start_position, since=since, after=request.after_seq, maximum=limits.maximum_lag
    )
    matches = matcher(filter)
    pages = 0
    while position is not None:
        seen = edge.bus.version(TOPIC)
        page = await edge.store.read(ops.page_after, position, limits.page)
        for event in page:
            if matches(event.decoded()):
                await socket.send(json.encode({"type": "event", "event": event}))
            position = event.seq
        if len(page) < limits.page:
            pages = 0
            await edge.bus.wait(TOPIC, seen, POLL_SECONDS)
            continue
        pages += 1
        if pages % PAGES_BETWEEN_CHECKS == 0:
            behind = await edge.store.read(ops.lag, position, limits.maximum_lag + 1)
            if behind > limits.maximum_lag:
                break
    await socket.close(TRY_LATER, "Subscriber too slow")
