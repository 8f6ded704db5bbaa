"""Deleting runs with everything that belongs to them.

States, inputs and task runs go by cascade. Timers, log records and leases on slots are not bound
by a foreign key and are deleted here. A subflow run outlives the task run that stood for it and
loses its parent.
"""

from uuid import UUID

from penstock.schemas.events import RESOURCE_ID, RESOURCE_ROLE, Resource
from penstock.server.domain.orchestration.transforms import CANCELLING_TIMER, PAUSE_TIMER
from penstock.server.ops import cleanup_owed
from penstock.server.ops.changes import Change, record
from penstock.server.ops.context import Context
from penstock.server.store.transaction import Row, Tx

CASCADE_BATCH = 500
RUN_TIMERS = (PAUSE_TIMER, CANCELLING_TIMER)
"""Kinds of timers whose key is a flow run's id; task runs have none."""


def delete_flow_run_row(
    tx: Tx, context: Context, row: Row, *, caused_by: UUID | None = None
) -> None:
    """Delete the flow run in `row`; `caused_by` is the event of the deletion it is part of."""
    id = row["id"]
    cleanup_owed.of_deletion(tx, context, row)
    for kind in RUN_TIMERS:
        tx.run("timer.delete", kind=kind, key=id)
    tx.run("flow_run.orphan_children", id=id)
    tx.run("log.delete_of_flow_run", id=id)
    tx.run("concurrency.release_flow_run", id=id)
    tx.run("flow_run.delete", id=id)
    change = Change(
        kind="flow-run",
        action="deleted",
        event="penstock.flow-run.deleted",
        id=id,
        name=row["name"],
        before=row,
        related=[as_related("flow", row["flow_id"])],
        caused_by=str(caused_by) if caused_by else None,
    )
    record(tx, context, change)


def delete_flow_runs_of(tx: Tx, context: Context, flow_id: str, *, caused_by: UUID) -> int:
    """Delete all runs of a flow and return how many there were."""
    count = 0
    while rows := tx.all("flow.some_runs", id=flow_id, limit=CASCADE_BATCH):
        for row in rows:
            delete_flow_run_row(tx, context, row, caused_by=caused_by)
        count += len(rows)
    return count


def delete_task_run_row(tx: Tx, context: Context, row: Row) -> None:
    """Delete the task run in `row`."""
    id = row["id"]
    tx.run("flow_run.orphan_children_of_task_run", id=id)
    tx.run("log.delete_of_task_run", id=id)
    tx.run("concurrency.release_task_run", id=id)
    tx.run("task_run.delete", id=id)
    parent = row["flow_run_id"]
    change = Change(
        kind="task-run",
        action="deleted",
        event="penstock.task-run.deleted",
        id=id,
        name=row["name"],
        before={name: value for name, value in row.items() if name != "version"},
        related=[] if parent is None else [as_related("flow-run", parent)],
    )
    record(tx, context, change)


def as_related(kind: str, id: str) -> Resource:
    """The resource of an object as an event names it when it is related to the event's own."""
    return {RESOURCE_ID: f"prefect.{kind}.{id}", RESOURCE_ROLE: kind}
