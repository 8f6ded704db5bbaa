"""Operations on work queues, by pool and name and, for older clients, by id."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from msgspec import UNSET, Raw

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.errors import ObjectConflict, ObjectMissing, RequestInvalid
from penstock.schemas.events import Resource
from penstock.schemas.filters import AnyIdFilter, WorkPoolFilter
from penstock.schemas.work import (
    FlowRunSlotSummary,
    WorkQueue,
    WorkQueueConcurrencyStatus,
    WorkQueueConcurrencyStatusBody,
    WorkQueueCreate,
    WorkQueueHealthPolicy,
    WorkQueuesPage,
    WorkQueueStatusDetail,
    WorkQueueUpdate,
)
from penstock.server.domain.priorities import first_free, shifted
from penstock.server.ops.context import Context
from penstock.server.ops.deployment_rows import record_deployment
from penstock.server.ops.paging import page_count, page_limit
from penstock.server.ops.topics import work_topic
from penstock.server.ops.work_records import (
    action_of,
    pool_of,
    queue_view,
    record_queue,
    related_pool,
)
from penstock.server.store.selection import select
from penstock.server.store.transaction import Row, Tx

_NAME = re.compile(r"[^/%&><]+")
_STORED = (
    "id",
    "work_pool_id",
    "name",
    "description",
    "is_paused",
    "concurrency_limit",
    "priority",
    "status",
    "filter",
)


# --- by pool and name ----------------------------------------------------------------------------


def create_work_pool_queue(
    tx: Tx, context: Context, work_pool_name: str, *, body: WorkQueueCreate
) -> WorkQueue:
    """A new queue of the pool; refuses a taken name (409).

    Without a priority it gets the first that is free. At a taken one it goes before the queue
    that has it, which moves on to the next.
    """
    pool = tx.one("work_pool.lock", name=work_pool_name)
    if pool is None:
        raise _pool_missing(work_pool_name)
    return queue_view(insert_queue(tx, context, pool, body))


def insert_queue(tx: Tx, context: Context, pool: Row, body: WorkQueueCreate) -> Row:
    """Insert a queue into the locked `pool`; refuses a taken name (409)."""
    siblings = tx.all("work_queue.of_pool", work_pool_id=pool["id"])
    if any(queue["name"] == body.name for queue in siblings):
        raise ObjectConflict(
            f"work pool {pool['name']!r} has a queue {body.name!r} already; choose another name"
        )
    places = {queue["id"]: queue["priority"] for queue in siblings}
    row = new_row(
        tx,
        work_pool_id=pool["id"],
        name=body.name,
        description=body.description or "",
        is_paused=body.is_paused,
        concurrency_limit=body.concurrency_limit,
        priority=body.priority or first_free(places.values()),
        filter=None if body.filter is None else Raw(json.encode(body.filter)),
        status="PAUSED" if body.is_paused else "NOT_READY",
    )
    related = related_pool(pool["id"], pool["name"], pool["type"])
    event_id = uuid7()
    _make_room(tx, context, related, siblings, row["priority"], caused_by=event_id)
    tx.run("work_queue.insert", now=tx.now, **stored(row))
    record_queue(tx, context, "created", related, after=row, event_id=event_id)
    slots = None if row["concurrency_limit"] is None else 0
    return {**row, "work_pool_name": pool["name"], "active_slots": slots}


def read_work_pool_queue(tx: Tx, context: Context, work_pool_name: str, name: str) -> WorkQueue:
    return queue_view(_found(tx, work_pool_name, name))


def read_work_pool_queues(
    tx: Tx, context: Context, work_pool_name: str, *, body: WorkQueuesPage | None = None
) -> list[WorkQueue]:
    """A page of the queues of the pool, in the order in which they are served."""
    body = body or WorkQueuesPage()
    pool = tx.one("work_pool.get_by_name", name=work_pool_name)
    if pool is None:
        raise _pool_missing(work_pool_name)
    return _page(tx, context, body, sort="PRIORITY_ASC", pool_id=pool["id"])


def update_work_pool_queue(
    tx: Tx, context: Context, work_pool_name: str, name: str, *, body: WorkQueueUpdate
) -> None:
    """Set what `body` has; equal values write and emit nothing.

    Queues that move to make room, and the pause, are events of their own.
    """
    _update(tx, context, _found(tx, work_pool_name, name)["id"], body)


def delete_work_pool_queue(tx: Tx, context: Context, work_pool_name: str, name: str) -> None:
    """Delete the queue; runs and deployments lose it. Refuses a pool's default queue (409)."""
    _delete(tx, context, _found(tx, work_pool_name, name)["id"])


# --- by id ---------------------------------------------------------------------------------------


def read_work_queue(tx: Tx, context: Context, id: str) -> WorkQueue:
    return queue_view(existing_queue(tx, id))


def read_work_queues(
    tx: Tx, context: Context, *, body: WorkQueuesPage | None = None
) -> list[WorkQueue]:
    """A page of the queues of all pools by name."""
    return _page(tx, context, body or WorkQueuesPage(), sort="NAME_ASC")


def update_work_queue(tx: Tx, context: Context, id: str, *, body: WorkQueueUpdate) -> None:
    _update(tx, context, id, body)


def delete_work_queue(tx: Tx, context: Context, id: str) -> None:
    _delete(tx, context, id)


def read_work_queue_concurrency_status(
    tx: Tx, context: Context, id: str, *, body: WorkQueueConcurrencyStatusBody | None = None
) -> WorkQueueConcurrencyStatus:
    """Who holds slots of the queue, the longest in its state first."""
    body = body or WorkQueueConcurrencyStatusBody()
    limit = page_limit(context, body.limit)
    row = existing_queue(tx, id)
    slots = row["active_slots"]
    if slots is None:
        counted = tx.one("work_queue.active_slots", id=id)
        slots = counted["active_slots"] if counted is not None else 0
    return WorkQueueConcurrencyStatus(
        concurrency_limit=row["concurrency_limit"],
        active_slots=slots,
        count=slots,
        limit=limit,
        page=body.page,
        pages=page_count(slots, limit),
        flow_runs=slot_holders(tx, id, limit=limit, offset=(body.page - 1) * limit),
    )


def read_work_queue_status(tx: Tx, context: Context, id: str) -> WorkQueueStatusDetail:
    """Whether the queue is polled and has no late runs."""
    row = existing_queue(tx, id)
    counted = tx.one("work_queue.late_runs", id=id)
    late = counted["late_runs"] if counted is not None else 0
    seconds = int(context.limits.polled_within)
    return WorkQueueStatusDetail(
        healthy=late == 0 and polled_lately(tx, context, row),
        late_runs_count=late,
        last_polled=row["last_polled"],
        health_check_policy=WorkQueueHealthPolicy(
            maximum_late_runs=0, maximum_seconds_since_last_polled=seconds
        ),
    )


# --- parts ---------------------------------------------------------------------------------------


def queue_of_pool(tx: Tx, context: Context, pool: str, queue: str | None) -> Row:
    """The pool's queue of that name, made when it is not there, or its default queue.

    Refuses an unknown pool (404). The row has `work_queue_id`, `queue_name`, `work_pool_id`,
    `work_pool_name`, `work_pool_type` and `base_job_template`.
    """
    found = tx.one("deployment.queue", pool=pool, queue=queue)
    if found is None:
        raise _pool_missing(pool)
    if found["work_queue_id"] is not None:
        return found
    locked = tx.one("work_pool.lock", name=pool)
    if locked is None:
        raise _pool_missing(pool)
    # Somebody else may have made it before the pool was locked.
    again = tx.one("deployment.queue", pool=pool, queue=queue)
    if again is not None and again["work_queue_id"] is not None:
        return again
    if queue is None:
        raise ObjectConflict(f"work pool {pool!r} has no default queue; name a queue of it")
    if not _NAME.fullmatch(queue):
        raise _name_refused(queue)
    row = insert_queue(tx, context, locked, WorkQueueCreate(name=queue))
    return {**found, "work_queue_id": row["id"], "queue_name": row["name"]}


def new_row(tx: Tx, *, work_pool_id: str, name: str, priority: int, **fields: Any) -> Row:
    """The row of a queue to be inserted; unnamed fields are those of a fresh one."""
    return {
        "id": str(uuid7()),
        "description": "",
        "is_paused": False,
        "concurrency_limit": None,
        "status": "NOT_READY",
        "filter": None,
        "last_polled": None,
        "created": tx.now,
        "updated": tx.now,
        **fields,
        "work_pool_id": work_pool_id,
        "name": name,
        "priority": priority,
    }


def stored(row: Row) -> Mapping[str, Any]:
    """The parameters with which a row is inserted."""
    return {name: row[name] for name in _STORED}


def existing_queue(tx: Tx, id: str) -> Row:
    row = tx.one("work_queue.get", id=id)
    if row is None:
        raise ObjectMissing(f"work queue {id} does not exist; list work queues to find its id")
    return row


def delete_queues_of(
    tx: Tx, context: Context, work_pool_id: str, pool: Resource, *, caused_by: UUID
) -> None:
    """Delete all queues of a locked pool that is being deleted."""
    for row in tx.all("work_queue.of_pool", work_pool_id=work_pool_id):
        _delete_row(tx, context, row, pool, caused_by=caused_by)


def slot_holders(tx: Tx, queue_id: str, *, limit: int, offset: int = 0) -> list[FlowRunSlotSummary]:
    if not limit:
        return []
    return [
        FlowRunSlotSummary(
            id=row["id"],
            name=row["name"],
            start_time=row["start_time"],
            state_type=row["state_type"],
            state_name=row["state_name"],
            state_timestamp=row["state_timestamp"],
            time_in_current_state=max((tx.now - row["state_timestamp"]).total_seconds(), 0.0),
        )
        for row in tx.all("work_queue.active_runs", id=queue_id, limit=limit, offset=offset)
    ]


def polled_lately(tx: Tx, context: Context, row: Row) -> bool:
    polled = row["last_polled"]
    if polled is None:
        return False
    return (tx.now - polled).total_seconds() <= context.limits.polled_within


def _page(
    tx: Tx, context: Context, body: WorkQueuesPage, *, sort: str, pool_id: str | None = None
) -> list[WorkQueue]:
    limit = page_limit(context, body.limit)
    if not limit:
        return []
    filters: dict[str, Any] = {"work_queue": body.work_queues}
    if pool_id is not None:
        filters["work_pool"] = WorkPoolFilter(id=AnyIdFilter(any_=[UUID(pool_id)]))
    sql, params = select(
        "work_queue", filters, sort=sort, limit=limit, offset=body.offset, dialect=tx.dialect
    )
    return [queue_view(row) for row in tx.fetch(sql, params)]


def _found(tx: Tx, work_pool_name: str, name: str) -> Row:
    row = tx.one("work_queue.get_by_name", work_pool_name=work_pool_name, name=name)
    if row is None:
        raise _pool_missing(work_pool_name)
    if row["id"] is None:
        raise ObjectMissing(
            f"work pool {work_pool_name!r} has no queue {name!r}; list its queues, or create it"
        )
    return row


def _update(tx: Tx, context: Context, id: str, body: WorkQueueUpdate) -> None:
    tx.one("work_queue.lock_pool", id=id)
    row = existing_queue(tx, id)
    changed = {**row, **_values(body)}
    names = ("name", "description", "is_paused", "concurrency_limit", "priority", "last_polled")
    if all(row[name] == changed[name] for name in names) and not _differs(row, changed):
        return
    if changed["is_paused"] != row["is_paused"]:
        changed["status"] = _status_after(tx, context, changed)
    event_id = uuid7()
    pool = pool_of(row)
    siblings = [
        queue
        for queue in tx.all("work_queue.of_pool", work_pool_id=row["work_pool_id"])
        if queue["id"] != id
    ]
    if any(queue["name"] == changed["name"] for queue in siblings):
        raise ObjectConflict(
            f"work pool {row['work_pool_name']!r} has a queue {changed['name']!r} already; "
            "choose another name"
        )
    if changed["priority"] != row["priority"]:
        _make_room(tx, context, pool, siblings, changed["priority"], caused_by=event_id)
    if changed["name"] != row["name"]:
        _rename_in_deployments(tx, context, row, changed["name"], caused_by=event_id)
    values = {**stored(changed), "last_polled": changed["last_polled"]}
    values.pop("work_pool_id")
    tx.run("work_queue.update", now=tx.now, **values)
    if any(changed[name] != row[name] for name in ("is_paused", "concurrency_limit")):
        tx.wake(work_topic(row["work_pool_id"]))
    told = {**changed, "is_paused": row["is_paused"], "status": row["status"]}
    record_queue(tx, context, "updated", pool, before=row, after=told, event_id=event_id)
    if changed["is_paused"] != row["is_paused"]:
        action = action_of(changed["status"])
        record_queue(tx, context, action, pool, before=told, after=changed)


def _values(body: WorkQueueUpdate) -> dict[str, Any]:
    """The columns that `body` sets; a name and a priority cannot be cleared."""
    given = {
        name: getattr(body, name)
        for name in body.__struct_fields__
        if getattr(body, name) is not UNSET
    }
    for name in ("name", "priority", "is_paused"):
        if given.get(name, UNSET) is None:
            del given[name]
    if "name" in given and not _NAME.fullmatch(given["name"]):
        raise _name_refused(given["name"])
    if "description" in given:
        given["description"] = given["description"] or ""
    if given.get("filter") is not None:
        given["filter"] = Raw(json.encode(given["filter"]))
    return given


def _differs(row: Row, changed: Row) -> bool:
    old, new = (
        None if it["filter"] is None else json.decode(it["filter"]) for it in (row, changed)
    )
    return old != new


def _status_after(tx: Tx, context: Context, row: Row) -> str:
    if row["is_paused"]:
        return "PAUSED"
    return "READY" if polled_lately(tx, context, row) else "NOT_READY"


def _make_room(
    tx: Tx,
    context: Context,
    pool: Resource,
    siblings: list[Row],
    priority: int,
    *,
    caused_by: UUID,
) -> None:
    by_id = {queue["id"]: queue for queue in siblings}
    places = {id: queue["priority"] for id, queue in by_id.items()}
    if priority not in places.values():
        return
    for id, place in shifted(places, priority).items():
        before = by_id[id]
        tx.run("work_queue.set_priority", id=id, priority=place, now=tx.now)
        record_queue(
            tx,
            context,
            "updated",
            pool,
            before=before,
            after={**before, "priority": place},
            caused_by=caused_by,
        )


def _rename_in_deployments(
    tx: Tx, context: Context, row: Row, name: str, *, caused_by: UUID
) -> None:
    deployments = tx.all("work_queue.deployments", id=row["id"])
    tx.run("work_queue.rename_in_deployments", id=row["id"], name=name, now=tx.now)
    for before in deployments:
        after = {**before, "work_queue_name": name, "queue_name": name}
        record_deployment(
            tx, context, "updated", after, before=before, after=after, caused_by=caused_by
        )


def _delete(tx: Tx, context: Context, id: str) -> None:
    tx.one("work_queue.lock_pool", id=id)
    row = existing_queue(tx, id)
    if row["default_queue_id"] == id:
        raise ObjectConflict(
            f"{row['name']!r} is the default queue of work pool {row['work_pool_name']!r} and "
            "cannot be deleted; delete the pool, or pause the queue"
        )
    _delete_row(tx, context, row, pool_of(row))


def _delete_row(
    tx: Tx, context: Context, row: Row, pool: Resource, *, caused_by: UUID | None = None
) -> None:
    event_id = uuid7()
    deployments = tx.all("work_queue.deployments", id=row["id"])
    tx.run("work_queue.detach_deployments", id=row["id"], now=tx.now)
    for before in deployments:
        after = {**before, "work_queue_id": None, "queue_name": None}
        record_deployment(
            tx, context, "updated", before, before=before, after=after, caused_by=event_id
        )
    tx.run("work_queue.delete", id=row["id"])
    record_queue(tx, context, "deleted", pool, before=row, event_id=event_id, caused_by=caused_by)


def _pool_missing(name: str) -> ObjectMissing:
    return ObjectMissing(f"work pool {name!r} does not exist; list work pools, or create it first")


def _name_refused(name: str) -> RequestInvalid:
    return RequestInvalid(
        f"{name!r} cannot be the name of a work queue; use a name without / % & < and >"
    )
