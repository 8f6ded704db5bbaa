"""Cancelling a flow run."""

from penstock.schemas.states import StateType
from penstock.server.domain.orchestration.facts import Facts, Proposal, proposal_of
from penstock.server.domain.orchestration.verdicts import ACCEPT, Reject, Verdict


def enforce_cancelling_to_cancelled(facts: Facts, proposal: Proposal) -> Verdict:
    """A run that is being cancelled can only become cancelled."""
    return Reject(reason=f"the run is being cancelled and cannot become {proposal.name}")


def bypass_cancelling_without_infrastructure(facts: Facts, proposal: Proposal) -> Verdict:
    """A run that no process works on is cancelled at once: there is nothing to terminate."""
    assert facts.state is not None
    if facts.state.type is StateType.SCHEDULED:
        idle = not facts.run.infrastructure_pid or facts.state.name == "Resuming"
    else:
        idle = facts.state.state_details.pause_reschedule or facts.state.name == "Resuming"
    if not idle:
        return ACCEPT
    reason = "nothing runs for this flow run, so there is nothing to terminate"
    return Reject(
        reason=reason,
        instead=proposal_of(StateType.CANCELLED, proposal.timestamp, message=reason),
    )
