"""Deleting runs with everything that belongs to them.

States, inputs and task runs go by cascade; timers and log records are not bound by a foreign key
and are deleted here. A subflow run outlives the task run that stood for it and loses its parent.
"""

from penstock.server.ops.emit import emit
from penstock.server.store.transaction import Row, Tx

CASCADE_BATCH = 500
MAXIMUM_SINGLE_EVENTS = 10_000
"""Above this many deleted children one event that sums them up replaces the single ones."""


def delete_flow_run_row(tx: Tx, row: Row, *, announce: bool = True) -> None:
    """Delete the flow run in `row` (its id, flow id and name are used)."""
    id = row["id"]
    tx.run("flow_run.delete_timers", id=id)
    tx.run("flow_run.orphan_children", id=id)
    tx.run("log.delete_of_flow_run", id=id)
    tx.run("flow_run.delete", id=id)
    if announce:
        emit(
            tx,
            event="penstock.flow-run.deleted",
            resource={
                "prefect.resource.id": f"prefect.flow-run.{id}",
                "prefect.resource.name": row["name"],
            },
            related=[_flow_resource(row["flow_id"])],
        )


def delete_flow_runs_of(tx: Tx, flow_id: str) -> int:
    """Delete all runs of a flow and return how many there were."""
    total = tx.one("flow.count_runs", id=flow_id)
    count = total["runs"] if total else 0
    announce = count <= MAXIMUM_SINGLE_EVENTS
    while rows := tx.all("flow.some_runs", id=flow_id, limit=CASCADE_BATCH):
        for row in rows:
            delete_flow_run_row(tx, row, announce=announce)
    if not announce:
        emit(
            tx,
            event="penstock.flow-run.bulk-deleted",
            resource=_flow_resource(flow_id),
            payload={"count": count},
        )
    return count


def delete_task_run_row(tx: Tx, row: Row) -> None:
    """Delete the task run in `row` (its id, flow run id and name are used)."""
    id = row["id"]
    tx.run("task_run.delete_timers", id=id)
    tx.run("flow_run.orphan_children_of_task_run", id=id)
    tx.run("log.delete_of_task_run", id=id)
    tx.run("task_run.delete", id=id)
    related = []
    if row["flow_run_id"] is not None:
        related.append(
            {
                "prefect.resource.id": f"prefect.flow-run.{row['flow_run_id']}",
                "prefect.resource.role": "flow-run",
            }
        )
    emit(
        tx,
        event="penstock.task-run.deleted",
        resource={
            "prefect.resource.id": f"prefect.task-run.{id}",
            "prefect.resource.name": row["name"],
        },
        related=related,
    )


def _flow_resource(flow_id: str) -> dict[str, str]:
    return {"prefect.resource.id": f"prefect.flow.{flow_id}", "prefect.resource.role": "flow"}
