"""Changes that the server makes of itself, each checked again in the transaction that makes it.

A background loop reads what may be due and calls these for one row each; between the two another
process may have dealt with the row, so every function looks at it under lock first and returns
whether it changed anything.
"""

from datetime import datetime
from typing import Any

from penstock.base import json
from penstock.schemas.states import (
    TERMINAL_STATES,
    SetStateStatus,
    StateCreate,
    StateDetails,
    StateType,
)
from penstock.server.ops import cleanup_owed, transition
from penstock.server.ops.context import Context
from penstock.server.ops.deletion import delete_flow_run_row
from penstock.server.ops.flow_runs import locked_flow_run
from penstock.server.ops.task_runs import locked_task_run
from penstock.server.ops.transition import force_state
from penstock.server.store.transaction import Row, Tx


def mark_late(tx: Tx, context: Context, id: str, before: datetime) -> bool:
    """Name a scheduled run Late when it should have started by `before` and was not touched."""
    row = locked_flow_run(tx, id)
    if row is None or row["state_type"] != StateType.SCHEDULED or row["state_name"] != "Scheduled":
        return False
    due = row["next_scheduled_start_time"]
    if due is None or due > before:
        return False
    late = StateCreate(
        type=StateType.SCHEDULED, name="Late", state_details=StateDetails(scheduled_time=due)
    )
    result = transition.mark_late(tx, context, id, state=late)
    return result.status == SetStateStatus.ACCEPT


def expire_pause(tx: Tx, context: Context, id: str) -> bool:
    """Fail a run that is still paused although its time to be resumed is over."""
    row = locked_flow_run(tx, id)
    if row is None or row["state_type"] != StateType.PAUSED:
        return False
    details = json.decode(row["state_state_details"], StateDetails)
    if details.pause_timeout is None or details.pause_timeout > tx.now:
        return False
    failed = StateCreate(type=StateType.FAILED, message="The flow was paused and never resumed.")
    force_state(tx, context, "flow_run", id, failed)
    return True


def expire_cancelling(tx: Tx, context: Context, id: str) -> bool:
    """Cancel a run whose worker did not confirm in time that it stopped it; owe its teardown."""
    row = locked_flow_run(tx, id)
    if row is None or row["state_type"] != StateType.CANCELLING:
        return False
    body = cleanup_owed.cancelled_body(row)
    result = transition.set_flow_run_state(tx, context, id, body=body).value
    return cleanup_owed.of_cancelling(tx, context, id, result.status, str(body.state.id))


def expire_silent_cancelling(tx: Tx, context: Context, id: str, before: datetime) -> bool:
    """The same, unless the run began to be cancelled after `before`."""
    row = locked_flow_run(tx, id)
    if row is None or row["state_timestamp"] > before:
        return False
    return expire_cancelling(tx, context, id)


def cancel_task_run(tx: Tx, context: Context, id: str) -> bool:
    """Cancel a task run that has not ended although its flow run was cancelled."""
    row = locked_task_run(tx, id)
    if row is None or row["flow_run_id"] is None or _is_terminal(row):
        return False
    parent = tx.one("flow_run.get", id=row["flow_run_id"])
    if parent is None or parent["state_type"] != StateType.CANCELLED:
        return False
    force_state(tx, context, "task_run", id, _cancelled(StateType.CANCELLED))
    return True


def cancel_subflow_run(tx: Tx, context: Context, id: str) -> bool:
    """Cancel a subflow run whose parent was cancelled; a deployed one through its worker."""
    row = locked_flow_run(tx, id)
    if row is None or _is_terminal(row):
        return False
    parent = tx.one("flow_run.parent_state", id=id)
    if parent is None or parent["state_type"] != StateType.CANCELLED:
        return False
    deployed = row["deployment_id"] is not None
    if deployed and row["state_type"] == StateType.CANCELLING:
        return False
    kind = StateType.CANCELLING if deployed else StateType.CANCELLED
    force_state(tx, context, "flow_run", id, _cancelled(kind))
    return True


def delete_expired_flow_run(tx: Tx, context: Context, id: str, before: datetime) -> bool:
    """Delete a run that ended before `before` and belongs to no other."""
    row = locked_flow_run(tx, id)
    if row is None or not _is_terminal(row) or row["parent_task_run_id"] is not None:
        return False
    if row["end_time"] is None or row["end_time"] >= before:
        return False
    delete_flow_run_row(tx, context, row)
    return True


def delete_expired_events(
    tx: Tx, context: Context, before: datetime, name: str | None, limit: int
) -> int:
    """Delete up to `limit` events that occurred before `before`, of one name or of all."""
    if name is None:
        rows = tx.all("event.expired", before=before, limit=limit)
    else:
        rows = tx.all("event.expired_of_name", event=name, before=before, limit=limit)
    if rows:
        tx.many("event.delete_resource", [pair for row in rows for pair in _resources(row)])
        tx.many("event.delete", [{"seq": row["seq"]} for row in rows])
    return len(rows)


def delete_logs_without_run(tx: Tx, context: Context, id: str, before: datetime) -> int:
    """Delete the log records, made before `before`, of a flow run that is no longer there."""
    if tx.one("flow_run.exists", id=id) is not None:
        return 0
    return tx.run("log.delete_settled_of_flow_run", id=id, before=before)


def delete_stale_cache_entries(tx: Tx, context: Context) -> int:
    return tx.run("task_run.delete_stale_cache", now=tx.now)


def _is_terminal(row: Row) -> bool:
    return row["state_type"] in TERMINAL_STATES


def _cancelled(type: StateType) -> StateCreate:
    return StateCreate(type=type, message="The parent flow run was cancelled.")


def _resources(row: Row) -> list[dict[str, Any]]:
    ids = {row["resource_id"]}
    ids.update(resource["prefect.resource.id"] for resource in json.decode(row["related"]))
    return [{"resource_id": id, "occurred": row["occurred"], "seq": row["seq"]} for id in ids]
