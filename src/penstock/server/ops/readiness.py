"""What the foreman does: objects that nobody hears of any more are marked, with an event each.

Every function deals with up to `limit` objects and returns how many there were.
"""

from datetime import timedelta

from penstock.server.ops.changes import Change, record
from penstock.server.ops.context import Context
from penstock.server.ops.deployment_rows import related
from penstock.server.ops.work_records import (
    pool_of,
    record_pool_status,
    record_queue,
    record_worker,
)
from penstock.server.store.transaction import Tx


def mark_silent_workers(tx: Tx, context: Context, limit: int) -> int:
    """Workers without a heartbeat for too long are offline."""
    rows = tx.all("foreman.silent_workers", now=tx.now, limit=limit)
    for row in rows:
        tx.run("foreman.set_offline", id=row["id"], now=tx.now)
        after = {**row, "status": "OFFLINE"}
        record_worker(tx, context, "offline", pool_of(row), before=row, after=after)
    return len(rows)


def mark_idle_pools(tx: Tx, context: Context, limit: int) -> int:
    """Pools none of whose workers is online are not ready."""
    rows = tx.all("foreman.idle_pools", limit=limit)
    for row in rows:
        record_pool_status(tx, context, row, {**row, "status": "NOT_READY"})
    return len(rows)


def mark_unpolled_queues(tx: Tx, context: Context, seconds: float, limit: int) -> int:
    """Queues that nobody polled for `seconds` are not ready."""
    before = tx.now - timedelta(seconds=seconds)
    rows = tx.all("foreman.unpolled_queues", before=before, limit=limit)
    for row in rows:
        tx.run("work_queue.set_status", id=row["id"], status="NOT_READY", now=tx.now)
        after = {**row, "status": "NOT_READY"}
        record_queue(tx, context, "not-ready", pool_of(row), before=row, after=after)
    return len(rows)


def mark_unpolled_deployments(
    tx: Tx, context: Context, seconds: float, queue_seconds: float, limit: int
) -> int:
    """Deployments for which, and for whose queue, nobody polled are not ready."""
    rows = tx.all(
        "foreman.unpolled_deployments",
        before=tx.now - timedelta(seconds=seconds),
        queue_before=tx.now - timedelta(seconds=queue_seconds),
        limit=limit,
    )
    for row in rows:
        tx.run("foreman.set_deployment_not_ready", id=row["id"])
        change = Change(
            kind="deployment",
            action="not-ready",
            id=row["id"],
            name=row["name"],
            before={"status": "READY"},
            after={"status": "NOT_READY"},
            related=related(row),
        )
        record(tx, context, change)
    return len(rows)
