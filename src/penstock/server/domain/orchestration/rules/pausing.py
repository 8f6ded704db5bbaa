"""Pausing, suspending and going on."""

from penstock.schemas.flow_runs import FlowRunPolicy
from penstock.schemas.states import StateType
from penstock.server.domain.orchestration.facts import Facts, Proposal, proposal_of
from penstock.server.domain.orchestration.states import TERMINAL
from penstock.server.domain.orchestration.verdicts import (
    ACCEPT,
    Abort,
    Accept,
    Change,
    Reject,
    Verdict,
)


def handle_pausing_flows(facts: Facts, proposal: Proposal) -> Verdict:
    """Only a running flow run pauses, once per pause key.

    A pause that gives up the process (`pause_reschedule`) needs a deployment to start it again,
    and a subflow has none of its own.
    """
    verb = "suspend" if proposal.name == "Suspended" else "pause"
    if facts.state is None:
        return Abort(reason=f"a run without a state cannot {verb}")
    if facts.state.type is not StateType.RUNNING:
        return Reject(
            reason=f"cannot {verb} a run that is {facts.state.name}; it has to be running"
        )
    keys = _pause_keys(facts)
    key = proposal.details.pause_key
    if key is not None and key in keys:
        return Reject(reason=f"the {verb} with key {key!r} has already fired")
    if proposal.details.pause_reschedule:
        if facts.run.parent_task_run_id is not None:
            return Abort(reason=f"cannot {verb} a subflow run; {verb} its parent instead")
        if facts.run.deployment_id is None:
            return Abort(reason=f"cannot {verb} a run without a deployment to start it again")
    return Accept(after=Change(pause_keys=(*keys, key or str(facts.fresh_id))))


def handle_resuming_paused_flows(facts: Facts, proposal: Proposal) -> Verdict:
    """A paused run goes on running, is scheduled again, or ends; after its timeout it has failed.

    Only an accepted way back to work marks the run as resuming. A refused one leaves it as it
    is: the next running state must be counted.
    """
    assert facts.state is not None
    details = facts.state.state_details
    ends = proposal.type in TERMINAL
    if not ends and proposal.type not in (StateType.RUNNING, StateType.SCHEDULED):
        return Reject(reason=f"a paused run cannot become {proposal.name}; resume or end it")
    if details.pause_reschedule and facts.run.deployment_id is None:
        return Reject(reason="a suspended run without a deployment has nothing to start it again")
    if details.pause_timeout is not None and details.pause_timeout < facts.now:
        reason = "the pause timed out and the run was never resumed"
        return Reject(
            reason=reason, instead=proposal_of(StateType.FAILED, proposal.timestamp, message=reason)
        )
    return ACCEPT if ends else Accept(after=Change(resuming=True))


def _pause_keys(facts: Facts) -> tuple[str, ...]:
    assert isinstance(facts.run.policy, FlowRunPolicy)
    return tuple(facts.run.policy.pause_keys or ())
