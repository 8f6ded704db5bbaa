"""Operations on work pools."""

from typing import Any

from msgspec import UNSET, Raw

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.errors import Forbidden, ObjectConflict, ObjectMissing, RequestInvalid
from penstock.schemas.work import (
    WorkPool,
    WorkPoolConcurrencyStatus,
    WorkPoolConcurrencyStatusBody,
    WorkPoolCreate,
    WorkPoolsCountBody,
    WorkPoolsPage,
    WorkPoolStorageConfiguration,
    WorkPoolUpdate,
    WorkQueueConcurrencyStatusDetail,
)
from penstock.server.domain.job_templates import TemplateInvalid, check_template
from penstock.server.ops import cleanup_ledger, work_queues, workers
from penstock.server.ops.context import Context
from penstock.server.ops.paging import page_count, page_limit
from penstock.server.ops.topics import snapshot_topic, work_topic
from penstock.server.ops.work_records import (
    pool_view,
    record_pool,
    record_pool_status,
    record_queue,
    related_pool,
)
from penstock.server.store.selection import count, select
from penstock.server.store.transaction import Row, Tx

AGENT_POOL = "default-agent-pool"
AGENT = "prefect-agent"
"""The type of pools without workers; they have no status."""
_RESERVED = "prefect"


def create_work_pool(tx: Tx, context: Context, *, body: WorkPoolCreate) -> WorkPool:
    """A new pool with its queue `default`.

    Refuses a taken name (409), a name kept for the product (403) and a base job template whose
    placeholders are not declared (422).
    """
    if body.name.lower().startswith(_RESERVED):
        raise Forbidden(
            f"work pool names that begin with {_RESERVED!r} are reserved; choose another name"
        )
    _check(body.base_job_template)
    return pool_view(context, insert_pool(tx, context, body))


def insert_pool(tx: Tx, context: Context, body: WorkPoolCreate) -> Row:
    """Insert a pool that was checked, and its default queue; refuses a taken name (409)."""
    status = None if body.type == AGENT else "PAUSED" if body.is_paused else "NOT_READY"
    queue_id = str(uuid7())
    row: Row = {
        "id": str(uuid7()),
        "name": body.name,
        "type": body.type,
        "description": body.description,
        "base_job_template": Raw(json.encode(body.base_job_template)),
        "is_paused": body.is_paused,
        "concurrency_limit": body.concurrency_limit,
        "status": status,
        "default_queue_id": queue_id,
        "storage_configuration": Raw(json.encode(body.storage_configuration)),
    }
    if not tx.run("work_pool.insert", now=tx.now, **row):
        raise ObjectConflict(
            f"work pool {body.name!r} exists already; update it or choose another name"
        )
    pool = related_pool(row["id"], row["name"], row["type"])
    queue = work_queues.new_row(tx, id=queue_id, work_pool_id=row["id"], name="default", priority=1)
    tx.run("work_queue.insert", now=tx.now, **work_queues.stored(queue))
    record_queue(tx, context, "created", pool, after=queue)
    fresh = {**row, "status": None}
    record_pool(tx, context, "created", after=fresh)
    record_pool_status(tx, context, fresh, row)
    slots = None if body.concurrency_limit is None else 0
    return {**row, "created": tx.now, "updated": tx.now, "active_slots": slots}


def read_work_pool(tx: Tx, context: Context, name: str) -> WorkPool:
    row = tx.one("work_pool.get_by_name", name=name)
    if row is None:
        raise pool_missing(name)
    return pool_view(context, row)


def read_work_pools(
    tx: Tx, context: Context, *, body: WorkPoolsPage | None = None
) -> list[WorkPool]:
    """A page of the pools by name."""
    body = body or WorkPoolsPage()
    limit = page_limit(context, body.limit)
    if not limit:
        return []
    sql, params = select(
        "work_pool",
        {"work_pool": body.work_pools},
        sort="NAME_ASC",
        limit=limit,
        offset=body.offset,
        dialect=tx.dialect,
    )
    return [pool_view(context, row) for row in tx.fetch(sql, params)]


def count_work_pools(tx: Tx, context: Context, *, body: WorkPoolsCountBody | None = None) -> int:
    filters = {"work_pool": body.work_pools} if body is not None else {}
    sql, params = count("work_pool", filters, dialect=tx.dialect)
    return tx.fetch(sql, params)[0]["count"]


def update_work_pool(tx: Tx, context: Context, name: str, *, body: WorkPoolUpdate) -> None:
    """Set what `body` has; equal values write and emit nothing.

    Pausing is an event of its own. A resumed pool is ready when a worker of it is online. Of a
    reserved pool only the pause and the limit can be set (403 otherwise).
    """
    row = tx.one("work_pool.lock", name=name)
    if row is None:
        raise pool_missing(name)
    given = {
        field: getattr(body, field)
        for field in body.__struct_fields__
        if getattr(body, field) is not UNSET
    }
    if name.lower().startswith(_RESERVED) and set(given) - {"is_paused", "concurrency_limit"}:
        raise Forbidden(
            f"work pool {name!r} is reserved; only its pause and its concurrency limit can change"
        )
    changed = {**row, **_values(given)}
    if not any(differs(row[field], changed[field]) for field in given):
        return
    changed["status"] = _status_after(tx, row, changed)
    tx.run("work_pool.update", now=tx.now, **{name: changed[name] for name in _UPDATED})
    if _SHOWN & set(given):
        tx.wake(snapshot_topic(row["id"]))
        tx.wake(work_topic(row["id"]))
    told = changed if row["status"] is None else {**changed, **_pause(row)}
    record_pool(tx, context, "updated", before=row, after=told)
    if changed["status"] != row["status"]:
        record_pool_status(tx, context, told, changed)


def delete_work_pool(tx: Tx, context: Context, name: str) -> None:
    """Delete the pool with its queues and workers; runs and deployments of it lose their queue."""
    row = tx.one("work_pool.lock", name=name)
    if row is None:
        raise pool_missing(name)
    if name.lower().startswith(_RESERVED):
        raise Forbidden(f"work pool {name!r} is reserved and cannot be deleted; pause it instead")
    event_id = uuid7()
    pool = related_pool(row["id"], row["name"], row["type"])
    workers.delete_workers_of(tx, context, row["id"], pool, caused_by=event_id)
    work_queues.delete_queues_of(tx, context, row["id"], pool, caused_by=event_id)
    cleanup_ledger.bury_pool(tx, row["id"])
    tx.run("work_pool.delete", id=row["id"])
    tx.wake(snapshot_topic(row["id"]))
    record_pool(tx, context, "deleted", before=row, event_id=event_id)


def read_work_pool_concurrency_status(
    tx: Tx, context: Context, name: str, *, body: WorkPoolConcurrencyStatusBody | None = None
) -> WorkPoolConcurrencyStatus:
    """Who holds slots of the pool: a page of its queues by priority, each with some of its runs."""
    body = body or WorkPoolConcurrencyStatusBody()
    limit = page_limit(context, body.limit)
    row = tx.one("work_pool.get_by_name", name=name)
    if row is None:
        raise pool_missing(name)
    slots = row["active_slots"]
    if slots is None:
        slots = _single(tx.one("work_pool.active_slots", id=row["id"]))
    total = _single(tx.one("work_queue.count_of_pool", work_pool_id=row["id"]))
    queues = tx.all(
        "work_queue.usage",
        work_pool_id=row["id"],
        limit=limit,
        offset=(body.page - 1) * limit,
    )
    return WorkPoolConcurrencyStatus(
        concurrency_limit=row["concurrency_limit"],
        active_slots=slots,
        count=total,
        limit=limit,
        page=body.page,
        pages=page_count(total, limit),
        queues=[
            WorkQueueConcurrencyStatusDetail(
                queue_id=queue["id"],
                queue_name=queue["name"],
                concurrency_limit=queue["concurrency_limit"],
                active_slots=queue["active_slots"],
                flow_run_count=queue["active_slots"],
                flow_runs=work_queues.slot_holders(tx, queue["id"], limit=body.flow_run_limit)
                if queue["active_slots"]
                else [],
            )
            for queue in queues
        ],
    )


def pool_missing(name: str) -> ObjectMissing:
    return ObjectMissing(f"work pool {name!r} does not exist; list work pools, or create it")


def differs(stored: Any, value: Any) -> bool:
    """Whether a value is another one than that of a stored column."""
    if isinstance(stored, Raw) or isinstance(value, Raw):
        return json.decode(json.encode(stored)) != json.decode(json.encode(value))
    return stored != value


_SHOWN = {"base_job_template", "concurrency_limit", "is_paused", "storage_configuration"}
"""Changes of these are told to connected workers."""
_UPDATED = (
    "id",
    "description",
    "base_job_template",
    "is_paused",
    "concurrency_limit",
    "storage_configuration",
    "status",
)


def _values(given: dict[str, Any]) -> dict[str, Any]:
    """The columns that an update sets; a null template or storage is an empty one."""
    values = dict(given)
    if "base_job_template" in given:
        template = given["base_job_template"] or {}
        _check(template)
        values["base_job_template"] = Raw(json.encode(template))
    if "storage_configuration" in given:
        values["storage_configuration"] = Raw(
            json.encode(given["storage_configuration"] or WorkPoolStorageConfiguration())
        )
    if values.get("is_paused", False) is None:
        values["is_paused"] = False
    return values


def _status_after(tx: Tx, row: Row, changed: Row) -> str | None:
    if row["status"] is None or row["is_paused"] == changed["is_paused"]:
        return row["status"]
    if changed["is_paused"]:
        return "PAUSED"
    online = tx.one("worker.any_online", work_pool_id=row["id"], now=tx.now)
    return "NOT_READY" if online is None else "READY"


def _pause(row: Row) -> dict[str, Any]:
    """What the event of the status tells, and the event of the update does not."""
    return {"is_paused": row["is_paused"], "status": row["status"]}


def _check(template: dict[str, Any]) -> None:
    try:
        check_template(template)
    except TemplateInvalid as error:
        raise RequestInvalid(f"{error}; change base_job_template") from None


def _single(row: Row | None) -> int:
    assert row is not None, "a count always has a row"
    return next(iter(row.values()))
