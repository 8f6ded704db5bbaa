"""Producing owed teardowns, in the transaction that ends the run.

Whoever ends a run whose infrastructure may live on calls `owe`; the message is a row of the same
commit, so a run never ends without it and no worker hears of a change that was undone.
"""

from uuid import UUID

from msgspec.structs import replace

from penstock.base.ids import uuid7
from penstock.schemas.cleanup import (
    CleanupCause,
    CleanupMessage,
    FlowRunCleanupBody,
)
from penstock.schemas.errors import ObjectConflict, ObjectMissing
from penstock.schemas.events import RESOURCE_ID, RESOURCE_NAME
from penstock.schemas.states import (
    SetStateBody,
    SetStateStatus,
    State,
    StateCreate,
    StateType,
)
from penstock.server.domain.cleanup import Message
from penstock.server.domain.cleanup_owed import (
    Owed,
    cancelled_state_id,
    message_of,
    why_not,
)
from penstock.server.ops import cleanup_ledger, cleanup_rows
from penstock.server.ops.cleanup_rows import message_view, moment
from penstock.server.ops.context import Context
from penstock.server.ops.emit import emit
from penstock.server.store.transaction import Row, Tx

ACTIVE = frozenset({"PENDING", "RUNNING", "PAUSED", "CANCELLING"})
"""States of a run whose infrastructure is meant to exist."""


def owe(
    tx: Tx,
    context: Context,
    flow_run_id: str,
    cause: CleanupCause,
    *,
    state_id: str,
) -> Message | None:
    """Owe the teardown of what a run left; `state_id` is that of the state that ended it.

    None, and an event that says why, when no worker could be asked: the run belongs to no pool,
    or its pool has no workers of its own.
    """
    row = tx.one("cleanup.run", id=flow_run_id)
    if row is None:
        return None
    owed = owed_of(row, state_id)
    if (reason := why_not(owed)) is not None:
        _skipped(tx, row, cause, reason)
        return None
    return cleanup_ledger.enqueue(tx, context, message_of(owed, cause, moment(tx)))


def owed_of(row: Row, state_id: str) -> Owed:
    """What `cleanup.run` says of a run."""
    return Owed(
        flow_run_id=row["id"],
        state_id=state_id,
        work_pool_id=row["work_pool_id"],
        work_pool_type=row["work_pool_type"],
        work_queue_id=row["work_queue_id"],
        infrastructure_pid=row["infrastructure_pid"],
        worker_name=row["infrastructure_worker_name"],
        deployment_id=row["deployment_id"],
        flow_id=row["flow_id"],
    )


def _skipped(tx: Tx, row: Row, cause: CleanupCause, reason: str) -> None:
    emit(
        tx,
        event=f"{cleanup_rows.EVENT}skipped",
        resource={
            RESOURCE_ID: f"prefect.flow-run.{row['id']}",
            RESOURCE_NAME: row["name"],
        },
        payload={
            "cause": cause.value,
            "reason": reason,
            "infrastructure_pid": row["infrastructure_pid"],
            "work_pool": row["work_pool_name"],
        },
    )


def of_crash(tx: Tx, context: Context, row: Row, state_id: UUID, *, was_pending: bool) -> None:
    """After the server itself called a run crashed, owe what its process may have left.

    `row` is the run before that. A run that never reported infrastructure left none.
    """
    if not context.limits.teardown_on_crash or not row["infrastructure_pid"]:
        return
    cause = CleanupCause.PENDING_CLAIM_EXPIRED if was_pending else CleanupCause.HEARTBEAT_LOST
    owe(tx, context, row["id"], cause, state_id=str(state_id))


def of_lost_owner(tx: Tx, context: Context, row: Row, placed: State) -> None:
    """After a run's claim was taken back, owe what its owner may have left.

    `row` is the run before that, `placed` its state now. The same end is owed once, whoever
    notices it.
    """
    pending = row["state_type"] == StateType.PENDING
    of_crash(tx, context, row, placed.id, was_pending=pending)


def of_deletion(tx: Tx, context: Context, row: Row) -> None:
    """Before a run is deleted that still has infrastructure, owe its teardown."""
    if row["infrastructure_pid"] and row["state_type"] in ACTIVE:
        cause = CleanupCause.FLOW_RUN_DELETED
        owe(tx, context, row["id"], cause, state_id=row["state_id"])


def cancelled_body(row: Row) -> SetStateBody:
    """The state that ends a cancellation nobody confirmed; its id makes repeating it harmless."""
    state = StateCreate(
        id=UUID(cancelled_state_id(row["id"], row["state_id"])),
        type=StateType.CANCELLED,
        message="No worker confirmed in time that the run was stopped.",
    )
    return SetStateBody(state=state)


def of_cancelling(tx: Tx, context: Context, id: str, status: SetStateStatus, state_id: str) -> bool:
    """After the end of a silent cancellation was proposed, owe what the run may have left."""
    if status is not SetStateStatus.ACCEPT:
        return False
    owe(tx, context, id, CleanupCause.CANCELLING_TIMEOUT, state_id=state_id)
    return True


def request_flow_run_cleanup(
    tx: Tx, context: Context, id: str, *, body: FlowRunCleanupBody | None = None
) -> CleanupMessage:
    """Ask for the teardown of what a run left behind; an unfinished request is found again.

    Refuses a run that is still at work (409), one of no pool with workers (409) and an unknown
    one (404).
    """
    body = body or FlowRunCleanupBody()
    row = tx.one("cleanup.run", id=id)
    if row is None:
        raise ObjectMissing(f"there is no flow run {id}; it may have been deleted")
    if row["state_type"] in ACTIVE:
        raise ObjectConflict(
            f"flow run {id} is {row['state_type']}; cancel it first, what it leaves is torn down"
        )
    for found in tx.all("cleanup.of_run", flow_run_id=id):
        if found["state"] in (0, 1) and found["cause"] == CleanupCause.MANUAL:
            return message_view(cleanup_rows.message_of(found))
    owed = replace(
        owed_of(row, f"manual:{uuid7()}"),
        infrastructure_pid=body.infrastructure_pid or row["infrastructure_pid"],
        placement=body.placement,
    )
    if (reason := why_not(owed)) is not None:
        raise ObjectConflict(
            f"nobody can tear down what flow run {id} left ({reason}); it ran outside of a work"
            " pool with workers, so end its process where it runs"
        )
    message = message_of(owed, CleanupCause.MANUAL, moment(tx))
    return message_view(cleanup_ledger.enqueue(tx, context, message))
