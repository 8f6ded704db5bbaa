"""The dead-letter desk: operations on owed teardowns, named as in the operation table."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from msgspec.structs import fields

from penstock.schemas.cleanup import (
    CleanupBulkBody,
    CleanupBulkCancelBody,
    CleanupBulkResult,
    CleanupCancelBody,
    CleanupCountBody,
    CleanupEvidence,
    CleanupFilter,
    CleanupHistory,
    CleanupMessage,
    CleanupMessageDetail,
    CleanupMessages,
    CleanupPage,
    CleanupPoolStatus,
    CleanupRequeueBody,
    CleanupState,
)
from penstock.schemas.errors import ObjectConflict, ObjectMissing, RequestInvalid
from penstock.server.domain import cleanup
from penstock.server.ops import changes, cleanup_ledger
from penstock.server.ops.cleanup_rows import (
    EVENT,
    locked,
    payload_of,
    related_of,
)
from penstock.server.ops.context import Context
from penstock.server.store.transaction import Row, Tx

_CANCELLABLE = frozenset({cleanup.READY})
_FORCED = cleanup.UNFINISHED


def read_cleanup_messages(
    tx: Tx, context: Context, *, body: CleanupPage | None = None
) -> CleanupMessages:
    """A page of messages by creation, the newest first unless asked otherwise."""
    return cleanup_ledger.page(tx, body or CleanupPage())


def count_cleanup_messages(
    tx: Tx, context: Context, *, body: CleanupCountBody | None = None
) -> dict[str, int]:
    """How many messages the filter selects, by state or by reason."""
    body = body or CleanupCountBody()
    return cleanup_ledger.count_by(tx, body.cleanup_messages, body.group_by.value)


def read_cleanup_message(tx: Tx, context: Context, id: str) -> CleanupMessageDetail:
    """A message with its deliveries."""
    found = cleanup_ledger.find(tx, id)
    if found is None:
        raise _missing(id)
    return found


def requeue_cleanup_message(
    tx: Tx, context: Context, id: str, *, body: CleanupRequeueBody | None = None
) -> CleanupMessage:
    """Make a dead or cancelled message ready again, with fresh budgets (409 for others).

    One whose pool was deleted needs the name of another one (409 otherwise).
    """
    body = body or CleanupRequeueBody()
    message = _existing(tx, id)
    pool_id = None
    if body.work_pool_name is not None:
        pool = tx.one("work_pool.get_by_name", name=body.work_pool_name)
        if pool is None:
            raise ObjectMissing(
                f"work pool {body.work_pool_name!r} does not exist; list work pools, or create it"
            )
        pool_id = pool["id"]
    elif message.dead_reason == cleanup_ledger.POOL_DELETED:
        raise ObjectConflict(
            f"the work pool of cleanup message {id} was deleted; name another pool whose workers"
            " reach the infrastructure"
        )
    made = cleanup_ledger.requeue(
        tx,
        context,
        id,
        infrastructure_pid=body.infrastructure_pid,
        placement=body.placement,
        work_pool_id=pool_id,
    )
    if made is None:
        raise ObjectConflict(
            f"cleanup message {id} is {message.state.value}; only dead and cancelled ones are"
            " requeued"
        )
    return made


def cancel_cleanup_message(
    tx: Tx, context: Context, id: str, *, body: CleanupCancelBody | None = None
) -> CleanupMessage:
    """Give a message up; one that a worker holds only with `force` (409 otherwise)."""
    body = body or CleanupCancelBody()
    message = _existing(tx, id)
    made = cleanup_ledger.cancel(tx, context, id, force=body.force)
    if made is None:
        hint = "; send force to take it from its worker" if message.state is cleanup.LEASED else ""
        raise ObjectConflict(f"cleanup message {id} is {message.state.value}{hint}")
    return made


def requeue_cleanup_messages(
    tx: Tx, context: Context, *, body: CleanupBulkBody
) -> CleanupBulkResult:
    """Requeue everything dead or cancelled that the filter selects, oldest first.

    What lost its pool is left out: it needs another one, named for each.
    """
    return _bulk(
        tx,
        body,
        cleanup_ledger.REQUEUEABLE,
        lambda found: cleanup_ledger.requeue(tx, context, found),
        keep=lambda found: found.dead_reason != cleanup_ledger.POOL_DELETED,
    )


def cancel_cleanup_messages(
    tx: Tx, context: Context, *, body: CleanupBulkCancelBody
) -> CleanupBulkResult:
    """Cancel everything unfinished that the filter selects, oldest first."""
    states = _FORCED if body.force else _CANCELLABLE
    return _bulk(
        tx, body, states, lambda found: cleanup_ledger.cancel(tx, context, found, force=body.force)
    )


def _bulk(
    tx: Tx,
    body: CleanupBulkBody | CleanupBulkCancelBody,
    states: frozenset[CleanupState],
    change: Callable[[str], Any],
    keep: Callable[[cleanup.Message], bool] = lambda _: True,
) -> CleanupBulkResult:
    given = body.cleanup_messages
    if all(getattr(given, field.name) is None for field in fields(CleanupFilter)):
        raise RequestInvalid(
            "a change of many cleanup messages needs a condition; send one in the filter"
        )
    counts = cleanup_ledger.count_by(tx, given, "state")
    matched = sum(number for state, number in counts.items() if CleanupState(state) in states)
    found = [
        id
        for id in cleanup_ledger.selected(tx, given, body.limit, states)
        if (message := locked(tx, id)) is not None and keep(message)
    ]
    changed = found if body.preview else [id for id in found if change(id) is not None]
    return CleanupBulkResult(
        ids=[UUID(id) for id in changed], matched=matched, preview=body.preview
    )


def delete_cleanup_message(tx: Tx, context: Context, id: str) -> None:
    """Delete a finished message with its deliveries; an unfinished one is refused (409)."""
    message = _existing(tx, id)
    if message.state in cleanup.UNFINISHED:
        raise ObjectConflict(
            f"cleanup message {id} is {message.state.value}; cancel it first if it is not wanted"
        )
    tx.run("cleanup.delete", id=id, fence=message.fence)
    changes.record(
        tx,
        context,
        changes.Change(
            kind="cleanup-message",
            action="deleted",
            event=f"{EVENT}deleted",
            id=id,
            name=message.kind,
            before=cleanup_ledger.snapshot(message),
            related=related_of(message),
            payload=payload_of(message),
        ),
    )


def read_work_pool_cleanup_status(tx: Tx, context: Context, name: str) -> CleanupPoolStatus:
    """How the cleanup of a pool is doing."""
    pool = tx.one("work_pool.get_by_name", name=name)
    if pool is None:
        raise ObjectMissing(f"work pool {name!r} does not exist; list work pools, or create it")
    found = cleanup_ledger.stats(tx).get(pool["id"])
    dead = tx.one("cleanup.last_dead", work_pool_id=pool["id"])
    workers = tx.all("worker.of_pool", work_pool_id=pool["id"])
    return CleanupPoolStatus(
        work_pool_id=UUID(pool["id"]),
        counts=found.counts if found is not None else {},
        oldest_ready_seconds=found.oldest_ready_seconds if found is not None else None,
        overdue_leases=found.overdue if found is not None else 0,
        capable_workers=sorted(
            row["name"] for row in workers if row["expires"] > tx.now and row["cleanup_kinds"]
        ),
        last_dead_at=dead["finished_at"] if dead is not None else None,
        last_dead_reason=dead["dead_reason"] if dead is not None else None,
    )


# --- the evidence of a run -----------------------------------------------------------------------


def read_flow_run_cleanup(tx: Tx, context: Context, id: str) -> CleanupHistory:
    """Everything known about the teardown of what a run left, in order of time.

    Also of a run that was deleted, as long as one of its messages is kept (404 otherwise).
    """
    run = tx.one("cleanup.run", id=id)
    rows = tx.all("cleanup.of_run", flow_run_id=id)
    if run is None and not rows:
        raise ObjectMissing(f"there is no flow run {id}, and no cleanup of one")
    details = [cleanup_ledger.detail_of(tx, row) for row in rows]
    evidence = _states(tx, id) if run is not None else []
    for row, detail in zip(rows, details, strict=True):
        evidence += _of_message(tx, row, detail)
    return CleanupHistory(
        flow_run_id=UUID(id),
        infrastructure_pid=run["infrastructure_pid"] if run is not None else None,
        messages=details,
        evidence=sorted(evidence, key=lambda one: one.at),
    )


def _states(tx: Tx, id: str) -> list[CleanupEvidence]:
    return [
        CleanupEvidence(
            at=row["timestamp"],
            step="state",
            detail=f"{row['name']}: {row['message']}" if row["message"] else row["name"],
        )
        for row in tx.all("flow_run.states", id=id)
    ]


def _of_message(tx: Tx, row: Row, detail: CleanupMessageDetail) -> list[CleanupEvidence]:
    message = detail.message
    found = [
        CleanupEvidence(
            at=message.created_at,
            step="owed",
            detail=f"{message.cause}, placement {message.placement.value},"
            f" infrastructure {message.target.get('infrastructure_pid')}",
            message_id=message.id,
            worker_name=message.affinity_worker_name,
        )
    ]
    for delivery in detail.history:
        found.append(
            CleanupEvidence(
                at=delivery.reserved_at,
                step="reserved",
                detail=f"delivery {delivery.number}",
                message_id=message.id,
                worker_name=delivery.worker_name,
            )
        )
        if delivery.ended_at is not None and delivery.outcome is not None:
            cost = " (one attempt)" if delivery.charged else ""
            reason = f": {delivery.reason}" if delivery.reason else ""
            found.append(
                CleanupEvidence(
                    at=delivery.ended_at,
                    step=delivery.outcome.value,
                    detail=f"delivery {delivery.number}{reason}{cost}",
                    message_id=message.id,
                    worker_name=delivery.worker_name,
                )
            )
    acts = tx.all("cleanup.acts", object_id=row["id"])
    for entry in acts:
        found.append(
            CleanupEvidence(
                at=entry["at"],
                step=entry["action"],
                detail=f"by {entry['actor_type']} {entry['actor_name'] or entry['actor_id']}",
                message_id=message.id,
            )
        )
    if message.finished_at is not None:
        reason = message.dead_reason or message.last_reason
        found.append(
            CleanupEvidence(
                at=message.finished_at,
                step=message.state.value,
                detail=reason or "the worker says that the infrastructure is gone",
                message_id=message.id,
                worker_name=message.lease_worker_name,
            )
        )
    return found


def _existing(tx: Tx, id: str) -> cleanup.Message:
    message = locked(tx, id)
    if message is None:
        raise _missing(id)
    return message


def _missing(id: str) -> ObjectMissing:
    return ObjectMissing(
        f"there is no cleanup message {id}; it may have been purged after its retention"
    )
