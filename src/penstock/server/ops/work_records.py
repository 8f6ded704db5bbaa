"""Work pools, queues and workers as answers, and how their changes are recorded."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.events import RESOURCE_ID, RESOURCE_NAME, RESOURCE_ROLE, Resource
from penstock.schemas.work import Worker, WorkPool, WorkQueue
from penstock.server.domain.redaction import redacted
from penstock.server.ops.changes import Change, record
from penstock.server.ops.context import Context
from penstock.server.store.transaction import Row, Tx

POOL_FIELDS = ("description", "base_job_template", "concurrency_limit", "storage_configuration")
QUEUE_FIELDS = ("name", "description", "concurrency_limit", "priority", "filter")
FOLLOWS_WITHIN = timedelta(minutes=10)
"""How near two changes of a pool's status must be for the second event to name the first."""

_NAMED_BLOCK = (3, 3, 7)
"""Clients up to this version do not know `default_result_storage_block_id`."""
_POOL = ("id", "name", "type", *POOL_FIELDS, "is_paused", "status", "default_queue_id")
_QUEUE = ("id", "work_pool_id", *QUEUE_FIELDS, "is_paused", "status")
_WORKER = ("id", "work_pool_id", "name", "heartbeat_interval_seconds", "status")


# --- answers -------------------------------------------------------------------------------------


def pool_view(context: Context, row: Row) -> WorkPool:
    return WorkPool(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        type=row["type"],
        description=row["description"],
        base_job_template=row["base_job_template"],
        is_paused=row["is_paused"],
        concurrency_limit=row["concurrency_limit"],
        active_slots=row["active_slots"],
        status=row["status"],
        default_queue_id=row["default_queue_id"],
        storage_configuration=_storage(context, row["storage_configuration"]),
    )


def queue_view(row: Row) -> WorkQueue:
    return WorkQueue(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        description=row["description"],
        is_paused=row["is_paused"],
        concurrency_limit=row["concurrency_limit"],
        active_slots=row["active_slots"],
        priority=row["priority"],
        status=row["status"],
        last_polled=row["last_polled"],
        filter=row["filter"],
        work_pool_id=row["work_pool_id"],
        work_pool_name=row["work_pool_name"],
    )


def worker_view(row: Row, now: Any) -> Worker:
    """A worker with its status as it is at `now`, whether or not that was noted yet."""
    interval = row["heartbeat_interval_seconds"]
    online: Any = "ONLINE" if row["expires"] > now else "OFFLINE"
    return Worker(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        work_pool_id=row["work_pool_id"],
        last_heartbeat_time=row["last_heartbeat_time"],
        heartbeat_interval_seconds=None if interval is None else int(interval),
        status=online,
    )


def _storage(context: Context, stored: Any) -> Any:
    if context.client_version is None or context.client_version > _NAMED_BLOCK:
        return stored
    known = json.decode(stored)
    known.pop("default_result_storage_block_id", None)
    return known


# --- events --------------------------------------------------------------------------------------


def record_pool(
    tx: Tx,
    context: Context,
    action: str,
    *,
    before: Row | None = None,
    after: Row | None = None,
    event_id: UUID | None = None,
) -> None:
    """Record that a pool was created, updated or deleted."""
    row = _either(before, after)
    update = before is not None and after is not None
    change = Change(
        kind="work-pool",
        action=action,
        id=row["id"],
        name=row["name"],
        before=_of(before, _POOL),
        after=_of(after, _POOL),
        labels={"prefect.work-pool.type": row["type"], RESOURCE_ROLE: "work-pool"},
        payload=_updates(context, before, after, (*POOL_FIELDS, "is_paused")),
        related=[] if update else _of_pool(row),
        event_id=event_id,
    )
    record(tx, context, change)


def record_pool_status(tx: Tx, context: Context, before: Row, after: Row) -> None:
    """Store the status of a pool in `after` and record it; nothing when it has none."""
    status = after["status"]
    if status is None:
        return
    id = uuid7()
    last, since = before.get("last_status_event_id"), before.get("last_transitioned_status_at")
    near = last is not None and since is not None and tx.now - since < FOLLOWS_WITHIN
    tx.run("work_pool.set_status", id=after["id"], status=status, event_id=id, now=tx.now)
    change = Change(
        kind="work-pool",
        action=action_of(status),
        id=after["id"],
        name=after["name"],
        before=_of(before, _POOL),
        after=_of(after, _POOL),
        labels={"prefect.work-pool.type": after["type"]},
        event_id=id,
        follows=UUID(last) if near else None,
    )
    record(tx, context, change)


def record_queue(
    tx: Tx,
    context: Context,
    action: str,
    pool: Resource,
    *,
    before: Row | None = None,
    after: Row | None = None,
    event_id: UUID | None = None,
    caused_by: UUID | None = None,
) -> None:
    """Record that a queue was created, updated, deleted, or changed its status."""
    row = _either(after, before)
    change = Change(
        kind="work-queue",
        action=action,
        id=row["id"],
        name=row["name"],
        before=_of(before, _QUEUE),
        after=_of(after, _QUEUE),
        labels={RESOURCE_ROLE: "work-queue"},
        payload=_updates(context, before, after, QUEUE_FIELDS) if action == "updated" else {},
        related=[pool],
        event_id=event_id,
        caused_by=str(caused_by) if caused_by else None,
    )
    record(tx, context, change)


def record_worker(
    tx: Tx,
    context: Context,
    action: str,
    pool: Resource,
    *,
    before: Row | None = None,
    after: Row | None = None,
    caused_by: UUID | None = None,
) -> None:
    row = _either(after, before)
    change = Change(
        kind="worker",
        action=action,
        event=f"penstock.worker.{action}",
        id=row["id"],
        name=row["name"],
        before=_of(before, _WORKER),
        after=_of(after, _WORKER),
        related=[pool],
        caused_by=str(caused_by) if caused_by else None,
    )
    record(tx, context, change)


def related_pool(id: str, name: str, type: str) -> Resource:
    """The pool as the events of its queues and workers name it."""
    return {
        RESOURCE_ID: f"prefect.work-pool.{id}",
        RESOURCE_NAME: name,
        "prefect.work-pool.type": type,
        RESOURCE_ROLE: "work-pool",
    }


def pool_of(row: Row) -> Resource:
    """The pool of a row that names it in `work_pool_*` columns."""
    return related_pool(row["work_pool_id"], row["work_pool_name"], row["work_pool_type"])


def action_of(status: str) -> str:
    """`READY` is told as `ready`, `NOT_READY` as `not-ready`."""
    return status.lower().replace("_", "-")


def _of_pool(row: Row) -> list[Resource]:
    related: list[Resource] = []
    if row["default_queue_id"] is not None:
        related.append(
            {
                RESOURCE_ID: f"prefect.work-queue.{row['default_queue_id']}",
                RESOURCE_ROLE: "default-queue",
            }
        )
    block = json.decode(json.encode(row["storage_configuration"])).get(
        "default_result_storage_block_id"
    )
    if block is not None:
        related.append(
            {RESOURCE_ID: f"prefect.block-document.{block}", RESOURCE_ROLE: "result-storage"}
        )
    return related


def _updates(
    context: Context, before: Row | None, after: Row | None, fields: Sequence[str]
) -> dict[str, Any]:
    """What changed, in the shape of the contract, without secrets in it; empty for no update."""
    if before is None or after is None:
        return {}
    old, new = (_plain(context, row, fields) for row in (before, after))
    changed = [name for name in fields if old[name] != new[name]]
    return {
        "updated_fields": changed,
        "updates": {name: {"from": old[name], "to": new[name]} for name in changed},
    }


def _plain(context: Context, row: Row, fields: Sequence[str]) -> dict[str, Any]:
    kept = {name: row[name] for name in fields}
    return redacted(json.decode(json.encode(kept)), context.fingerprint_key)


def _of(row: Row | None, columns: Sequence[str]) -> Mapping[str, Any] | None:
    return None if row is None else {name: row[name] for name in columns}


def _either(first: Row | None, second: Row | None) -> Row:
    row = first or second
    assert row is not None, "a change has an object before or after it"
    return row
