"""Batches of log records on their way to the API: one outbox per API target."""

import threading
from collections.abc import Sequence

from penstock.base import json
from penstock.client.outbox import Bounds, Outbox
from penstock.client.posting import PostDelivery
from penstock.client.target import Target, current_target
from penstock.logging.complaint import say
from penstock.schemas.logs import LogCreate
from penstock.settings import get_current_settings

CAPACITY = 64_000_000
TRUNCATED = "... [truncated]"

_outboxes: dict[Target, Outbox] = {}
_lock = threading.Lock()


def ship(log: LogCreate, maximum: int) -> None:
    """Queue `log` for the current API target; a longer record than `maximum` bytes is cut."""
    _outbox(current_target()).put(encoded(log, maximum))


def encoded(log: LogCreate, maximum: int) -> bytes:
    """`log` as JSON of at most `maximum` bytes, its message cut at the end if need be."""
    data = json.encode(log)
    if len(data) <= maximum:
        return data
    room = maximum - (len(data) - len(json.encode(log.message))) - len(TRUNCATED) - 2
    message = log.message[: max(room, 0)]
    while message and len(json.encode(message)) > room + 2:
        # Escapes and characters of several bytes need more room than they have letters.
        message = message[: int(len(message) * room / len(json.encode(message)))]
    return json.encode(
        LogCreate(
            name=log.name,
            level=log.level,
            message=message + TRUNCATED,
            timestamp=log.timestamp,
            flow_run_id=log.flow_run_id,
            task_run_id=log.task_run_id,
        )
    )


def flush(timeout: float) -> int:
    """Send all queued records; returns how many are left after `timeout` seconds."""
    return sum(outbox.flush(timeout) for outbox in list(_outboxes.values()))


def discard(target: Target) -> None:
    """Forget the outbox of a target whose server is gone for good."""
    outbox = _outboxes.pop(target, None)
    if outbox is not None:
        outbox.stop()


def _outbox(target: Target) -> Outbox:
    known = _outboxes.get(target)
    if known is None:
        with _lock:
            known = _outboxes.get(target)
            if known is None:
                known = _outboxes[target] = _made(target)
    return known


def _made(target: Target) -> Outbox:
    settings = get_current_settings().logging.to_api
    return Outbox(
        f"logs for {target.name}",
        PostDelivery(target, "create_logs", tell=say),
        tell=say,
        describe=_describe,
        bounds=Bounds(
            interval=settings.batch_interval,
            batch_items=5_000,
            batch_bytes=max(settings.batch_size - settings.max_log_size, 1),
            capacity_bytes=max(CAPACITY, settings.batch_size),
        ),
    )


def _describe(items: Sequence[bytes]) -> str:
    runs = {str(json.decode(item).get("flow_run_id")) for item in items}
    named = ", ".join(sorted(runs)[:5]) + (", ..." if len(runs) > 5 else "")
    return f"{len(items)} log records of the flow runs {named}"
