"""Taking events over HTTP: per-event size rule."""

from typing import Any

import msgspec
from msgspec import Raw

from penstock.schemas.errors import BodyTooLarge
from penstock.server.api.adapter import Call, Handler
from penstock.server.api.decoding import Problem, Unprocessable
from penstock.server.domain.event_rules import problem
from penstock.server.ops import events as ops


async def create_events(call: Call) -> Any:
    """Store events; 204 means committed.

    One invalid event refuses the whole batch. Events over the size limit are left out and
    counted; when all are, the answer is 413 and names them.
    """
    for index, event in enumerate(call.body):
        reason = problem(event)
        if reason is not None:
            raise Unprocessable(Problem(["body", index], reason, "value_error"))
    kept = _within_limit(call)
    if kept:
        await call.edge.store.write(ops.ingest, call.context, kept)


def _within_limit(call: Call) -> list[Any]:
    maximum = call.edge.config.event_limits.maximum_bytes
    events = call.body
    if len(call.raw_body) <= maximum:
        return events
    sizes = [len(bytes(raw)) for raw in msgspec.json.decode(call.raw_body, type=list[Raw])]
    kept = [event for event, size in zip(events, sizes, strict=True) if size <= maximum]
    for _ in range(len(events) - len(kept)):
        call.edge.counters.reject_event("too large")
    if events and not kept:
        names = ", ".join(str(event.id) for event in events[:20])
        raise BodyTooLarge(
            f"every event of the batch exceeds {maximum} bytes as JSON: {names}; shorten payloads"
        )
    return kept


HANDLERS: dict[str, Handler] = {"create_events": create_events}
