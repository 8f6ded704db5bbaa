"""Leaving a terminal state, or going from one to another."""

from msgspec.structs import replace

from penstock.schemas.states import State, StateType
from penstock.server.domain.orchestration.facts import Facts, Proposal, is_persisted
from penstock.server.domain.orchestration.states import TERMINAL
from penstock.server.domain.orchestration.verdicts import (
    ACCEPT,
    Abort,
    Accept,
    Change,
    Reject,
    Verdict,
)

_CLOSED = frozenset({StateType.CANCELLING, StateType.PAUSED, StateType.CRASHED})
"""Types that only a run at work can enter."""


def handle_flow_terminal_transitions(facts: Facts, proposal: Proposal) -> Verdict:
    """A finished flow run keeps its stored result; it may start over, which resets its policy.

    Refused: cancelling, pausing or crashing it; scheduling it without a deployment that could
    run it; leaving or replacing a completed state whose result is stored.
    """
    current = _current(facts)
    if proposal.type in _CLOSED:
        return _already_terminal(current, proposal)
    lossy = _would_lose_result(current, proposal)
    if lossy is not None:
        return lossy
    if proposal.type in TERMINAL:
        return ACCEPT
    if current.type is StateType.COMPLETED and is_persisted(current.data):
        return Reject(reason="the run is already completed and its result is stored")
    if proposal.type is StateType.SCHEDULED and facts.run.deployment_id is None:
        return Abort(
            reason="a finished run without a deployment has nothing that would run it again"
        )
    scheduled = proposal.type is StateType.SCHEDULED
    return Accept(
        before=Change(resuming=False, pause_keys=(), retry_type="reschedule" if scheduled else None)
    )


def prevent_result_data_loss(facts: Facts, proposal: Proposal) -> Verdict:
    """Even a forced completion does not replace a stored result by none."""
    return _would_lose_result(_current(facts), proposal) or ACCEPT


def handle_task_terminal_transitions(facts: Facts, proposal: Proposal) -> Verdict:
    """A finished task run that completed with a result stays; others may start over.

    Starting over counts runs from zero. When the flow run itself runs again, the task run's
    running state is named Retrying.
    """
    current = _current(facts)
    if proposal.type in _CLOSED:
        return _already_terminal(current, proposal)
    if current.type is StateType.COMPLETED and is_persisted(current.data):
        return Reject(reason="the task run is already completed and its result is stored")
    if proposal.type in TERMINAL:
        return ACCEPT
    renamed = None
    if proposal.type is StateType.RUNNING and _flow_runs_again(facts):
        renamed = replace(proposal, name="Retrying")
    return Accept(proposal=renamed, before=Change(run_count=0))


def _current(facts: Facts) -> State:
    assert facts.state is not None
    return facts.state


def _already_terminal(current: State, proposal: Proposal) -> Abort:
    return Abort(
        reason=f"the run is in the terminal state {current.name} and cannot become {proposal.name}"
    )


def _would_lose_result(current: State, proposal: Proposal) -> Reject | None:
    if (
        current.type is StateType.COMPLETED
        and proposal.type is StateType.COMPLETED
        and is_persisted(current.data)
        and not is_persisted(proposal.data)
    ):
        return Reject(reason="the stored result of the completed run would be lost")
    return None


def _flow_runs_again(facts: Facts) -> bool:
    return facts.parent is not None and facts.parent.run_count > facts.run.flow_run_run_count
