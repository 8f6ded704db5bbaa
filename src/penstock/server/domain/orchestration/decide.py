"""Fold the rules of a policy over a proposal.

The first rule that does not accept decides. What earlier rules asked for is forgotten then,
unless the state put in place is of the proposed type, in which case they still hold.
"""

from msgspec.structs import replace

from penstock.schemas.states import SetStateStatus
from penstock.server.domain.orchestration.facts import Facts, Proposal
from penstock.server.domain.orchestration.policy import Policy
from penstock.server.domain.orchestration.transforms import advanced, changed, identified
from penstock.server.domain.orchestration.verdicts import (
    Abort,
    Accept,
    Change,
    Decision,
    Reject,
    Wait,
    Write,
)


def decide(facts: Facts, proposal: Proposal, policy: Policy) -> Decision:
    """What becomes of `proposal`. Pure: the same arguments always give the same decision."""
    original = facts.run
    after: list[Change] = []
    writes: list[Write] = []
    for rule in policy.rules_for(facts.state_type, proposal.type):
        verdict = rule.decide(facts, proposal)
        if isinstance(verdict, Accept):
            proposal = verdict.proposal or proposal
            facts = _with_change(facts, verdict.before)
            if verdict.after is not None:
                after.append(verdict.after)
            writes += verdict.writes
            continue
        if not isinstance(verdict, Reject) or verdict.instead is None:
            return _kept(verdict)
        if verdict.instead.type is not proposal.type:
            facts, after, writes = replace(facts, run=original), [], []
        facts = _with_change(facts, verdict.before)
        writes += verdict.writes
        return _settled(
            facts, verdict.instead, policy, after, writes, SetStateStatus.REJECT, verdict.reason
        )
    return _settled(facts, proposal, policy, after, writes, SetStateStatus.ACCEPT, None)


def _kept(verdict: Reject | Wait | Abort) -> Decision:
    if isinstance(verdict, Wait):
        return Decision(
            status=SetStateStatus.WAIT, reason=verdict.reason, delay_seconds=verdict.delay_seconds
        )
    status = SetStateStatus.ABORT if isinstance(verdict, Abort) else SetStateStatus.REJECT
    return Decision(status=status, reason=verdict.reason)


def _settled(
    facts: Facts,
    placed: Proposal,
    policy: Policy,
    after: list[Change],
    writes: list[Write],
    status: SetStateStatus,
    reason: str | None,
) -> Decision:
    placed = identified(facts, placed)
    run = advanced(facts, placed)
    for change in after:
        run = changed(run, change)
    for transform in policy.transforms:
        writes += transform(facts, placed)
    return Decision(status=status, reason=reason, state=placed, run=run, writes=tuple(writes))


def _with_change(facts: Facts, change: Change | None) -> Facts:
    if change is None:
        return facts
    run = changed(facts.run, change)
    return facts if run is facts.run else replace(facts, run=run)
