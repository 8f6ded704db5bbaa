"""The same transition proposed twice."""

from penstock.server.domain.orchestration.facts import Facts, Proposal
from penstock.server.domain.orchestration.verdicts import ACCEPT, Reject, Verdict


def prevent_duplicate_transitions(facts: Facts, proposal: Proposal) -> Verdict:
    """A proposal with the transition id of the current state changes nothing."""
    wanted = proposal.details.transition_id
    if facts.state is None or wanted is None:
        return ACCEPT
    if wanted != facts.state.state_details.transition_id:
        return ACCEPT
    return Reject(reason=f"transition {wanted} was already made and led to the current state")
