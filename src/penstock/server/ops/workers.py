"""Operations on workers: their heartbeat, the list of them, forgetting one."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.errors import ObjectMissing
from penstock.schemas.events import Resource
from penstock.schemas.work import Worker, WorkerHeartbeat, WorkersPage
from penstock.server.ops.context import Context
from penstock.server.ops.paging import page_limit
from penstock.server.ops.work_records import (
    pool_of,
    record_pool_status,
    record_worker,
    worker_view,
)
from penstock.server.store.selection import select_workers
from penstock.server.store.transaction import Row, Tx

_LONGEST = 366 * 86_400.0
"""Seconds after which a worker counts as offline whatever interval it names."""


def worker_heartbeat(
    tx: Tx, context: Context, work_pool_name: str, *, body: WorkerHeartbeat
) -> None:
    """Note that a worker which has no channel is alive; an unknown one becomes known."""
    note_heartbeat(tx, context, work_pool_name, body)


def note_heartbeat(
    tx: Tx,
    context: Context,
    work_pool_name: str,
    body: WorkerHeartbeat,
    cleanup_kinds: Collection[str] = (),
) -> None:
    """Note that the worker is alive, and which teardowns it takes over its channel.

    The first sign of life of a worker is an event, and so is the first one of a pool that was
    not ready. Two statements when there is neither.
    """
    row = _worker(tx, work_pool_name, body.name)
    interval = body.heartbeat_interval_seconds
    seconds = interval if interval is not None else context.limits.worker_interval
    silence = min(max(seconds, 0) * context.limits.worker_heartbeats, _LONGEST)
    id = row["id"] or str(uuid7())
    tx.run(
        "worker.beat",
        id=id,
        work_pool_id=row["work_pool_id"],
        name=body.name,
        interval=interval,
        expires=tx.now + timedelta(seconds=silence),
        cleanup_kinds=json.text(sorted(cleanup_kinds)) if cleanup_kinds else None,
        now=tx.now,
    )
    if row["status"] != "ONLINE":
        known = {
            "id": id,
            "work_pool_id": row["work_pool_id"],
            "name": body.name,
            "heartbeat_interval_seconds": interval,
            "status": "ONLINE",
        }
        before = None if row["id"] is None else {**row, "name": body.name}
        record_worker(tx, context, "online", pool_of(row), before=before, after=known)
    if row["pool_status"] == "NOT_READY":
        _make_ready(tx, context, work_pool_name)


def read_workers(
    tx: Tx, context: Context, work_pool_name: str, *, body: WorkersPage | None = None
) -> list[Worker]:
    """A page of the workers of the pool, the latest heartbeat first, with their status now."""
    body = body or WorkersPage()
    limit = page_limit(context, body.limit)
    pool = tx.one("work_pool.get_by_name", name=work_pool_name)
    if pool is None:
        raise _pool_missing(work_pool_name)
    if not limit:
        return []
    sql, params = select_workers(
        pool["id"],
        body.workers,
        now=tx.now,
        limit=limit,
        offset=body.offset,
        dialect=tx.dialect,
    )
    return [worker_view(row, tx.now) for row in tx.fetch(sql, params)]


def delete_worker(tx: Tx, context: Context, work_pool_name: str, name: str) -> None:
    """Forget the worker; it comes back with its next heartbeat."""
    row = _worker(tx, work_pool_name, name)
    if row["id"] is None:
        raise ObjectMissing(
            f"work pool {work_pool_name!r} has no worker {name!r}; list its workers"
        )
    tx.run("worker.delete", id=row["id"])
    record_worker(tx, context, "deleted", pool_of(row), before={**row, "name": name})


def delete_workers_of(
    tx: Tx, context: Context, work_pool_id: str, pool: Resource, *, caused_by: UUID
) -> None:
    """Forget all workers of a pool that is being deleted."""
    for row in tx.all("worker.of_pool", work_pool_id=work_pool_id):
        tx.run("worker.delete", id=row["id"])
        record_worker(tx, context, "deleted", pool, before=row, caused_by=caused_by)


def _make_ready(tx: Tx, context: Context, work_pool_name: str) -> None:
    pool = tx.one("work_pool.lock", name=work_pool_name)
    if pool is not None and pool["status"] == "NOT_READY":
        record_pool_status(tx, context, pool, {**pool, "status": "READY"})


def _worker(tx: Tx, work_pool_name: str, name: str) -> Row:
    """The pool, and the worker when it has one of that name."""
    row = tx.one("worker.pool", work_pool_name=work_pool_name, name=name)
    if row is None:
        raise _pool_missing(work_pool_name)
    return row


def _pool_missing(name: str) -> ObjectMissing:
    return ObjectMissing(f"work pool {name!r} does not exist; list work pools, or create it first")
