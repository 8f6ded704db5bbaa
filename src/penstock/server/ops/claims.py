"""Claims on runs: taken, renewed, ended, taken back.

A claim is taken in the transaction in which its run becomes Pending, and carries its expiry from
then on. Its number grows: whoever writes with an older one (a worker that was thought dead, the
process it started) is refused, and the refusal is an event and an audit row.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from penstock.base import json
from penstock.schemas.claims import (
    ClaimBody,
    ClaimedRun,
    Claims,
    EndClaimBody,
    EndedClaim,
    RenewClaimsBody,
    RenewedClaims,
)
from penstock.schemas.deployments import Deployment
from penstock.schemas.errors import ObjectMissing, RequestInvalid
from penstock.schemas.states import (
    SetStateBody,
    SetStateStatus,
    StateCreate,
    StateDetails,
    StateType,
)
from penstock.server.domain.claims import left_by_owner, left_by_process
from penstock.server.ops import cleanup_owed, views
from penstock.server.ops.context import Context
from penstock.server.ops.deployment_runs import mark_deployments_polled, unmarked_deployments
from penstock.server.ops.deployments import read_deployment
from penstock.server.ops.flow_runs import locked_flow_run
from penstock.server.ops.polling import due_of_pool, note_poll
from penstock.server.ops.transition import force_state, set_flow_run_state
from penstock.server.ops.worker_channel import pool_work
from penstock.server.store.transaction import Row, Tx


def claim_flow_runs(tx: Tx, context: Context, *, body: ClaimBody) -> Claims:
    """Take runs that are due now: each becomes Pending, for `body.owner`.

    Refuses a body that names neither a work pool nor deployments (422), an unknown pool or queue
    (404). What the rules do not let become Pending is not taken.
    """
    rows, next_due = (
        _due_of_pool(tx, context, body) if body.work_pool_name else _due(tx, context, body)
    )
    deployments: dict[str, Deployment | None] = {}
    taken = [
        claimed
        for row in rows
        if (claimed := _take(tx, context, body, row, deployments)) is not None
    ]
    return Claims(
        runs=taken,
        next_due_seconds=max(0.0, (next_due - tx.now).total_seconds()) if next_due else None,
    )


def renew_claims(tx: Tx, context: Context, *, body: RenewClaimsBody) -> RenewedClaims:
    """Keep claims for another lease; those that were taken back are named."""
    expires = tx.now + timedelta(seconds=body.lease_seconds)
    return RenewedClaims(
        lost=[
            key.flow_run_id
            for key in body.claims
            if not tx.run("run_claim.renew", id=key.flow_run_id, number=key.number, expires=expires)
        ]
    )


def end_claim(tx: Tx, context: Context, *, body: EndClaimBody) -> EndedClaim:
    """The process of the run is gone: a run without a final state gets one.

    It crashed, unless it was being cancelled: then it is cancelled. A run that is suspended, or
    was rescheduled, stays as it is. Under an outdated claim nothing is changed. Repeatable.
    """
    id = str(body.flow_run_id)
    row = locked_flow_run(tx, id)
    if row is None:
        return EndedClaim(lost=True)
    type = _state_type(row)
    if row["claim_number"] != body.number:
        return EndedClaim(state_type=type, state_name=row["state_name"], lost=True)
    tx.run("run_claim.delete", id=id, number=body.number)
    message = body.message
    state = left_by_process(type, _reschedules(row), message) if message is not None else None
    if state is None:
        return EndedClaim(state_type=type, state_name=row["state_name"])
    answer = force_state(tx, context, "flow_run", id, state)
    assert answer.state is not None
    return EndedClaim(state_type=answer.state.type, state_name=answer.state.name, forced=True)


def take_back(tx: Tx, context: Context, id: str, number: int) -> bool:
    """Take back a claim that was not renewed; False when it was renewed or ended meanwhile.

    What did not begin is scheduled anew, what ran has crashed, what was being cancelled is
    cancelled. The claim's number is outdated from now on.
    """
    row = locked_flow_run(tx, id)
    claim = tx.one("run_claim.get", id=id)
    if row is None or claim is None or claim["number"] != number or claim["expires"] > tx.now:
        return False
    tx.run("run_claim.delete", id=id, number=number)
    state = left_by_owner(_state_type(row), _reschedules(row), claim["owner"])
    if state is None:
        return False
    tx.run("run_claim.outdate", id=id)
    if state.type is StateType.SCHEDULED:
        state = StateCreate(
            type=state.type,
            name=state.name,
            message=state.message,
            state_details=StateDetails(scheduled_time=tx.now),
        )
    placed = force_state(tx, context, "flow_run", id, state).state
    if placed is not None:
        cleanup_owed.of_lost_owner(tx, context, row, placed)
    return True


def expired_claims(
    tx: Tx, now: datetime, since: datetime, after: datetime, after_id: str, limit: int
) -> list[Row]:
    """A page of the claims, taken at `since` or later, whose lease is over."""
    return tx.all(
        "run_claim.expired", now=now, since=since, after=after, after_id=after_id, limit=limit
    )


# --- taking --------------------------------------------------------------------------------------


def _due_of_pool(tx: Tx, context: Context, body: ClaimBody) -> tuple[list[Row], datetime | None]:
    assert body.work_pool_name is not None
    found = due_of_pool(
        tx, body.work_pool_name, body.work_queue_names, before=tx.now, limit=body.limit
    )
    if found.unnoted:
        note_poll(tx, context, found.unnoted)
    return found.rows, pool_work(tx, found.work_pool_id).next_due


def _due(tx: Tx, context: Context, body: ClaimBody) -> tuple[list[Row], datetime | None]:
    if not body.deployment_ids:
        raise RequestInvalid("name a work pool or deployments whose runs are to be claimed")
    ids = body.deployment_ids
    rows = tx.all("run_claim.deployments_due", ids=ids, before=tx.now, limit=body.limit)
    unmarked = unmarked_deployments(tx, ids)
    if unmarked:
        mark_deployments_polled(tx, context, unmarked)
    upcoming = tx.one("run_claim.next_of_deployments", ids=ids, now=tx.now)
    return rows, upcoming["due"] if upcoming is not None else None


def _take(
    tx: Tx,
    context: Context,
    body: ClaimBody,
    row: Row,
    deployments: dict[str, Deployment | None],
) -> ClaimedRun | None:
    id = row["id"]
    pending = SetStateBody(state=StateCreate(type=StateType.PENDING))
    answer = set_flow_run_state(tx, context, id, body=pending).value
    if answer.status is not SetStateStatus.ACCEPT:
        return None
    labels = {**(json.decode(row["labels"]) or {}), **body.labels}
    expires = tx.now + timedelta(seconds=body.lease_seconds)
    tx.run("run_claim.take", id=id, labels=labels)
    tx.run("run_claim.put", id=id, owner=body.owner, expires=expires, now=tx.now)
    whole = locked_flow_run(tx, id)
    assert whole is not None, "the transition has locked the run"
    flow = tx.one("flow.get", id=whole["flow_id"])
    return ClaimedRun(
        flow_run=views.flow_run(whole, tx.now),
        number=whole["claim_number"],
        expires=expires,
        flow_name=flow["name"] if flow is not None else "",
        deployment=_deployment(tx, context, whole["deployment_id"], deployments),
        work_pool_id=_uuid(row["work_pool_id"]),
        work_queue_id=_uuid(row["work_queue_id"]),
    )


def _deployment(
    tx: Tx, context: Context, id: str | None, known: dict[str, Deployment | None]
) -> Deployment | None:
    if id is None:
        return None
    if id not in known:
        try:
            known[id] = read_deployment(tx, context, id)
        except ObjectMissing:
            known[id] = None
    return known[id]


def _state_type(row: Row) -> StateType | None:
    return StateType(row["state_type"]) if row["state_type"] is not None else None


def _reschedules(row: Row) -> bool:
    details = row["state_state_details"]
    return details is not None and json.decode(details, StateDetails).pause_reschedule


def _uuid(text: Any) -> UUID | None:
    return UUID(text) if text is not None else None
