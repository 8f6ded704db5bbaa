"""The queue of background task runs, and the task workers that take from it.

A run waits in the queue from the moment it is scheduled until its state changes. It is lent to
one connection at a time. When the connection ends, or is not heard of for `LOAN`, the run is lent
to another one; so neither a worker nor a server takes a run with it. A run that two workers have
got in the end is taken on by one: the other's Pending is refused.
"""

from datetime import datetime, timedelta

from penstock.base import json
from penstock.schemas.task_runs import TaskRun
from penstock.schemas.task_workers import TaskWorker, TaskWorkersFilterBody
from penstock.server.ops import views
from penstock.server.ops.context import Context
from penstock.server.store.transaction import Tx

TOPIC = "task_runs"
"""Woken when a run comes into the queue or back to it."""
LOAN = timedelta(seconds=30)
"""How long a connection is thought to live after it was last heard of."""


def offer(tx: Tx, task_run_id: str, due: datetime) -> None:
    """Put a scheduled run into the queue, to be taken from `due` on. One statement."""
    tx.run("task_queue.offer", task_run_id=task_run_id, due=due)
    tx.wake(TOPIC)


def withdraw(tx: Tx, task_run_id: str) -> None:
    """Take a run out of the queue that is not scheduled any more. One statement."""
    tx.run("task_queue.withdraw", task_run_id=task_run_id)


def is_waiting(tx: Tx, keys: list[str]) -> bool:
    """Whether there is a run of one of these tasks to take now. One statement, without a lock."""
    return tx.one("task_queue.is_waiting", keys=keys, now=tx.now) is not None


def take(tx: Tx, connection_id: str, keys: list[str]) -> TaskRun | None:
    """Lend the run that is due longest to the connection; None when there is none."""
    while found := tx.one("task_queue.next", keys=keys, now=tx.now):
        id = found["task_run_id"]
        row = tx.one("task_run.get", id=id)
        if row is None or row["state_type"] != "SCHEDULED":
            # Told by an event that it runs, which does not come through the queue.
            withdraw(tx, id)
            continue
        tx.run("task_queue.lend", task_run_id=id, connection_id=connection_id, until=tx.now + LOAN)
        return views.task_run(row, tx.now)
    return None


def put_worker(tx: Tx, connection_id: str, identifier: str, keys: list[str]) -> None:
    """Note that the worker is connected, and leave the runs with it that were lent to it."""
    tx.run(
        "task_worker.put",
        connection_id=connection_id,
        identifier=identifier,
        task_keys=keys,
        now=tx.now,
    )
    tx.run("task_queue.extend", connection_id=connection_id, until=tx.now + LOAN)
    tx.run("task_worker.delete_silent", before=tx.now - 10 * LOAN)


def remove_worker(tx: Tx, connection_id: str) -> None:
    """Forget a worker, and put back what was lent to it and not taken on."""
    tx.run("task_worker.delete", connection_id=connection_id)
    if tx.run("task_queue.return", connection_id=connection_id, now=tx.now):
        tx.wake(TOPIC)


def read_task_workers(
    tx: Tx, context: Context, *, body: TaskWorkersFilterBody | None = None
) -> list[TaskWorker]:
    """The connected workers by their identifier, each with all tasks of its connections."""
    filter = body.task_worker_filter if body is not None else None
    workers: dict[str, TaskWorker] = {}
    for row in tx.all("task_worker.present", since=tx.now - LOAN):
        name, keys = row["identifier"], json.decode(row["task_keys"], list[str])
        known = workers.get(name)
        workers[name] = TaskWorker(
            identifier=name,
            task_keys=list(dict.fromkeys([*(known.task_keys if known else ()), *keys])),
            timestamp=max(row["timestamp"], known.timestamp if known else row["timestamp"]),
        )
    if filter is None:
        return list(workers.values())
    wanted = set(filter.task_keys)
    return [worker for worker in workers.values() if not wanted.isdisjoint(worker.task_keys)]
