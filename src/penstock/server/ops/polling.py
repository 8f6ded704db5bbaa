"""What a worker polls for: runs it may start, and that its queues are being polled.

Nothing is reserved by a poll: two workers may get the same run, and the one whose proposal of
Pending is accepted starts it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from penstock.schemas.errors import ObjectMissing
from penstock.schemas.flow_runs import FlowRun
from penstock.schemas.work import PollBody, WorkerFlowRun, WorkQueueRunsBody
from penstock.server.ops import views
from penstock.server.ops.context import Context
from penstock.server.ops.deployment_runs import MARK_AGAIN, mark_deployments_polled
from penstock.server.ops.paging import page_limit
from penstock.server.ops.work_queues import existing_queue
from penstock.server.ops.work_records import pool_of, record_queue
from penstock.server.store.transaction import Row, Tx

NOTE_AGAIN = timedelta(seconds=5)
"""How old the note of a queue's last poll may be: a worker polls more often than it is written."""
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 12, 31, tzinfo=UTC)


class Poll(Struct, frozen=True):
    """Answer to a poll, and the queues whose poll is worth a note."""

    answer: list[Any]
    unnoted: list[str]


class Due(Struct, frozen=True):
    """Runs of a pool that can start, as rows, and the queues whose poll is worth a note."""

    work_pool_id: str
    rows: list[Row]
    unnoted: list[str]


def get_scheduled_flow_runs(
    tx: Tx, context: Context, name: str, *, body: PollBody | None = None
) -> Poll:
    """Runs that a worker of the pool may start: by priority of their queues, then by time.

    No more than the free slots of each queue and of the pool; nothing of what is paused. Two
    statements. Refuses a pool or a queue that does not exist (404).
    """
    body = body or PollBody()
    due = due_of_pool(
        tx,
        name,
        body.work_queue_names,
        before=body.scheduled_before or _LATEST,
        after=body.scheduled_after or _EARLIEST,
        limit=page_limit(context, body.limit),
    )
    answer = [
        WorkerFlowRun(
            work_pool_id=row["work_pool_id"],
            work_queue_id=row["work_queue_id"],
            flow_run=views.flow_run(row, tx.now),
        )
        for row in due.rows
    ]
    return Poll(answer, due.unnoted)


def due_of_pool(
    tx: Tx,
    name: str,
    queue_names: Sequence[str],
    *,
    before: datetime,
    limit: int,
    after: datetime = _EARLIEST,
) -> Due:
    """Rows of the runs that can start in a window of time. Refuses a pool or queue that does not
    exist (404)."""
    names = sorted(set(queue_names)) or None
    queues = tx.all("work_pool.polled_queues", name=name, names=names)
    if not queues:
        raise ObjectMissing(f"work pool {name!r} does not exist; create it first")
    missing = set(names or ()) - {queue["name"] for queue in queues}
    if missing:
        raise ObjectMissing(
            f"work pool {name!r} has no queue {min(missing)!r}; list its queues, or create it"
        )
    work_pool_id = queues[0]["work_pool_id"]
    rows = tx.all(
        "work_pool.due_runs",
        work_pool_id=work_pool_id,
        ids=None if names is None else [queue["id"] for queue in queues],
        before=before,
        after=after,
        limit=limit,
    )
    return Due(work_pool_id, rows, [queue["id"] for queue in queues if _is_unnoted(tx, queue)])


def read_work_queue_runs(
    tx: Tx, context: Context, id: str, *, body: WorkQueueRunsBody | None = None
) -> Poll:
    """As `get_scheduled_flow_runs`, of one queue."""
    body = body or WorkQueueRunsBody()
    queue = existing_queue(tx, id)
    rows = tx.all(
        "work_pool.due_runs",
        work_pool_id=queue["work_pool_id"],
        ids=[id],
        before=body.scheduled_before or _LATEST,
        after=_EARLIEST,
        limit=page_limit(context, body.limit),
    )
    answer: list[FlowRun] = [views.flow_run(row, tx.now) for row in rows]
    return Poll(answer, [id] if _is_unnoted(tx, queue) else [])


def note_poll(tx: Tx, context: Context, ids: list[str]) -> None:
    """Note that these queues, and their deployments, are polled for now.

    Queues and deployments that were not ready become so, with an event for each.
    """
    for before in tx.all("work_queue.polled", ids=ids, before=tx.now - NOTE_AGAIN):
        ready = before["status"] == "NOT_READY"
        status = "READY" if ready else before["status"]
        tx.run("work_queue.set_polled", id=before["id"], status=status, now=tx.now)
        if ready:
            record_queue(
                tx,
                context,
                "ready",
                pool_of(before),
                before=before,
                after={**before, "status": status},
            )
    deployments = tx.all("work_queue.polled_deployments", ids=ids, before=tx.now - MARK_AGAIN)
    if deployments:
        mark_deployments_polled(tx, context, [row["id"] for row in deployments])


def _is_unnoted(tx: Tx, queue: Row) -> bool:
    polled = queue["last_polled"]
    if queue["id"] is None:
        return False
    return queue["status"] == "NOT_READY" or polled is None or polled < tx.now - NOTE_AGAIN
