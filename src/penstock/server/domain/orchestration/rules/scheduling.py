"""Pending, scheduled times, lateness, background task runs."""

from datetime import timedelta
from math import ceil
from typing import Any

from penstock.schemas.states import StateType
from penstock.server.domain.orchestration.facts import Facts, Proposal, with_details
from penstock.server.domain.orchestration.verdicts import (
    ACCEPT,
    Abort,
    Accept,
    Reject,
    Verdict,
    Wait,
)


def prevent_pending_transitions(facts: Facts, proposal: Proposal) -> Verdict:
    """A run that is claimed, at work or cancelled cannot be claimed again.

    A pending run may take another pending name, as workers do while they prepare it; the
    scheduled time and the lease go along.
    """
    assert facts.state is not None
    current = facts.state
    renames = proposal.name not in (current.name, "Pending")
    if current.type is StateType.PENDING and renames:
        return _carry(facts, proposal, "scheduled_time", "deployment_concurrency_lease_id")
    return Abort(reason=f"the run is {current.name} and cannot be made {proposal.name}")


def only_scheduled_runs_become_late(facts: Facts, proposal: Proposal) -> Verdict:
    """Only a scheduled run can be named Late."""
    if proposal.name != "Late" or facts.state_type is StateType.SCHEDULED:
        return ACCEPT
    return Reject(reason="only a scheduled run can be late")


def copy_scheduled_time(facts: Facts, proposal: Proposal) -> Verdict:
    """A claimed run still knows when it was due."""
    return _carry(facts, proposal, "scheduled_time")


def wait_for_scheduled_time(facts: Facts, proposal: Proposal) -> Verdict:
    """Nothing runs before its scheduled time; the caller waits whole seconds, at least one."""
    assert facts.state is not None
    due = facts.state.state_details.scheduled_time
    if due is None or due <= facts.now:
        return ACCEPT
    seconds = ceil((due - facts.now) / timedelta(seconds=1))
    return Wait(delay_seconds=seconds, reason=f"the run is scheduled for {due.isoformat()}")


def copy_task_parameters(facts: Facts, proposal: Proposal) -> Verdict:
    """A background task run keeps the reference to its stored parameters."""
    return _carry(facts, proposal, "task_parameters_id", "deferred")


def prevent_running_tasks_of_stopped_flows(facts: Facts, proposal: Proposal) -> Verdict:
    """A task run starts only while its flow run runs; in a paused one it pauses too."""
    if facts.run.flow_run_id is None:
        return ACCEPT
    parent = facts.parent
    if parent is None or parent.state_type is None:
        return Abort(reason="the flow run of this task run has no state")
    if parent.state_type is StateType.RUNNING:
        return ACCEPT
    if parent.state_type is not StateType.PAUSED:
        return Abort(reason=f"the flow run of this task run is {parent.state_type.value}")
    reason = "the flow run of this task run is paused"
    paused = Proposal(
        type=StateType.PAUSED, name="NotReady", timestamp=proposal.timestamp, message=reason
    )
    return Reject(
        reason=reason,
        instead=with_details(
            paused, pause_timeout=parent.pause_timeout, pause_reschedule=parent.pause_reschedule
        ),
    )


def _carry(facts: Facts, proposal: Proposal, *names: str) -> Verdict:
    """Accept, with these details of the current state where the proposal has none."""
    assert facts.state is not None
    changes: dict[str, Any] = {}
    for name in names:
        held = getattr(facts.state.state_details, name)
        if held and not getattr(proposal.details, name):
            changes[name] = held
    return Accept(proposal=with_details(proposal, **changes)) if changes else ACCEPT
