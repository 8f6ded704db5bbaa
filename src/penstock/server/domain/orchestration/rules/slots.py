"""Slots of concurrency limits: who takes one, keeps it, gives it back.

Without a limit in the facts none of these rules writes anything.
"""

from datetime import timedelta

from penstock.schemas.states import StateType
from penstock.server.domain.orchestration.facts import (
    Deployment,
    Facts,
    Limit,
    OnFull,
    Proposal,
    proposal_of,
    with_details,
)
from penstock.server.domain.orchestration.states import SLOT_HOLDING
from penstock.server.domain.orchestration.verdicts import (
    ACCEPT,
    Abort,
    Accept,
    AcquireSlots,
    KeepLease,
    Reject,
    ReleaseHolder,
    ReleaseSlots,
    RenewLease,
    Verdict,
    Wait,
    Write,
)

_LEASES_SINCE = (3, 4, 11)
"""The first client version that renews leases."""
_WORKERS_HOLD_SLOTS = ((3, 0, 0), (3, 0, 3))
"""Versions (first, last) whose workers take the deployment's slot themselves."""
_TASK_LEASE_SECONDS = 100 * 365 * 86_400.0
_LONGEST_TAG_WAIT = 10


def preserve_lease(facts: Facts, proposal: Proposal) -> Verdict:
    """The lease on a slot goes along from state to state."""
    lease_id = facts.lease_id
    if lease_id is None or proposal.details.deployment_concurrency_lease_id is not None:
        return ACCEPT
    return Accept(proposal=with_details(proposal, deployment_concurrency_lease_id=lease_id))


def secure_flow_slots(facts: Facts, proposal: Proposal) -> Verdict:
    """A claimed run takes a slot of its deployment; with none free it waits or is cancelled."""
    deployment = facts.deployment
    if deployment is None or _worker_holds_slots(facts):
        return ACCEPT
    if not deployment.found:
        return Abort(reason=f"the deployment {deployment.id} of this run does not exist")
    limit = deployment.limit
    if limit is None:
        return ACCEPT
    if limit.limit <= 0:
        return Abort(reason="the deployment's concurrency limit is 0, so the run could never start")
    if not limit.is_full:
        return _take(facts, proposal, deployment, limit)
    reason = f"the deployment's concurrency limit of {limit.limit} is reached"
    if deployment.on_full is OnFull.CANCEL_NEW:
        return _cancelled(proposal, reason)
    due = facts.now + timedelta(seconds=facts.slot_wait_seconds)
    waiting = proposal_of(StateType.SCHEDULED, proposal.timestamp, name="AwaitingConcurrencySlot")
    return Reject(reason=reason, instead=with_details(waiting, scheduled_time=due))


def validate_slot_at_running(facts: Facts, proposal: Proposal) -> Verdict:
    """A run that starts still holds its slot, or gets another; with none free it is cancelled.

    Clients that do not renew leases keep the slot without one.
    """
    deployment, lease_id = facts.deployment, facts.lease_id
    if deployment is None or deployment.limit is None or lease_id is None:
        return ACCEPT
    if not _renews_leases(facts):
        return ACCEPT
    if facts.lease_alive:
        return Accept(writes=(RenewLease(lease_id=lease_id, seconds=deployment.grace_seconds),))
    if not deployment.limit.is_full:
        return _take(facts, proposal, deployment, deployment.limit)
    return _cancelled(
        proposal, "the run lost its slot of the deployment's limit while it was provisioned"
    )


def drop_lease_of_old_clients(facts: Facts, proposal: Proposal) -> Verdict:
    """A client that cannot renew a lease must not lose its slot when the lease ends."""
    if facts.lease_id is None or facts.limit is None or _renews_leases(facts):
        return ACCEPT
    return Accept(writes=(KeepLease(lease_id=facts.lease_id),))


def cancel_late_run_without_slot(facts: Facts, proposal: Proposal) -> Verdict:
    """A late run of a full deployment that cancels new runs will not start: it is cancelled."""
    deployment = facts.deployment
    if proposal.name != "Late" or deployment is None or deployment.limit is None:
        return ACCEPT
    if deployment.on_full is not OnFull.CANCEL_NEW or not deployment.limit.is_full:
        return ACCEPT
    return _cancelled(
        proposal, f"the deployment's concurrency limit of {deployment.limit.limit} is reached"
    )


def secure_task_slots(facts: Facts, proposal: Proposal) -> Verdict:
    """A task run that starts takes one slot of every limit on its tags, or of none.

    What it holds already it does not take again.
    """
    limits = tuple(limit for limit in facts.tag_limits if not limit.held)
    if not limits:
        return ACCEPT
    for limit in limits:
        if limit.limit <= 0:
            return Abort(reason=f"the concurrency limit {limit.name!r} is 0, so nothing may run")
    for limit in limits:
        if limit.is_full:
            seconds = 1 + int(facts.chance * _LONGEST_TAG_WAIT)
            return Wait(
                delay_seconds=seconds, reason=f"the concurrency limit {limit.name!r} is reached"
            )
    return Accept(
        writes=(
            AcquireSlots(
                limit_ids=tuple(limit.id for limit in limits),
                lease_id=facts.fresh_id,
                seconds=_TASK_LEASE_SECONDS,
                holder=_task_holder(facts),
            ),
        )
    )


def release_flow_slots(facts: Facts, placed: Proposal) -> tuple[Write, ...]:
    """A run that is no longer pending, running or being cancelled gives its slot back.

    Whatever became of its deployment's limit meanwhile. A run without a lease has taken none.
    """
    if facts.lease_id is None:
        return ()
    if facts.state_type not in SLOT_HOLDING or placed.type in SLOT_HOLDING:
        return ()
    return (ReleaseSlots(lease_id=facts.lease_id),)


def release_task_slots(facts: Facts, placed: Proposal) -> tuple[Write, ...]:
    """A task run that is not at work holds no slot of its tags' limits."""
    if not facts.holds_slots or placed.type in (StateType.RUNNING, StateType.CANCELLING):
        return ()
    return (ReleaseHolder(holder=_task_holder(facts)),)


def _take(facts: Facts, proposal: Proposal, deployment: Deployment, limit: Limit) -> Accept:
    lease_id = facts.fresh_id
    slots = AcquireSlots(
        limit_ids=(limit.id,),
        lease_id=lease_id,
        seconds=deployment.grace_seconds,
        holder=f"flow_run:{facts.run.id}",
    )
    return Accept(
        proposal=with_details(proposal, deployment_concurrency_lease_id=lease_id), writes=(slots,)
    )


def _cancelled(proposal: Proposal, reason: str) -> Reject:
    return Reject(
        reason=reason,
        instead=proposal_of(StateType.CANCELLED, proposal.timestamp, message=reason),
    )


def _worker_holds_slots(facts: Facts) -> bool:
    first, last = _WORKERS_HOLD_SLOTS
    return facts.client_version is not None and first <= facts.client_version[:3] <= last


def _renews_leases(facts: Facts) -> bool:
    return facts.client_version is not None and facts.client_version >= _LEASES_SINCE


def _task_holder(facts: Facts) -> str:
    return f"task_run:{facts.run.id}"
