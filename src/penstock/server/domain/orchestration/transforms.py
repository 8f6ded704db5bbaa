"""What every placed state does to its run, whichever rules let it through."""

from datetime import timedelta
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from penstock.schemas.flow_runs import FlowRunPolicy
from penstock.schemas.states import StateType
from penstock.server.domain.orchestration.facts import Facts, Proposal, Run, RunKind, with_details
from penstock.server.domain.orchestration.states import TERMINAL
from penstock.server.domain.orchestration.verdicts import (
    Change,
    ClearTimer,
    EmitStateChange,
    MirrorState,
    OfferTaskRun,
    SetTimer,
    WithdrawTaskRun,
    Write,
)

PAUSE_TIMER = "pause-expiry"
CANCELLING_TIMER = "cancelling-timeout"


def changed(run: Run, change: Change) -> Run:
    """`run` with the set fields of `change`."""
    fields: dict[str, Any] = {}
    if change.run_count is not UNSET:
        fields["run_count"] = change.run_count
    if change.flow_run_run_count is not UNSET:
        fields["flow_run_run_count"] = change.flow_run_run_count
    policy: dict[str, Any] = {}
    if change.resuming is not UNSET:
        policy["resuming"] = change.resuming
    if change.pause_keys is not UNSET:
        policy["pause_keys"] = list(change.pause_keys)
    if change.retry_type is not UNSET:
        policy["retry_type"] = change.retry_type
    if policy and any(getattr(run.policy, name) != value for name, value in policy.items()):
        fields["policy"] = replace(run.policy, **policy)
    return replace(run, **fields) if fields else run


def identified(facts: Facts, placed: Proposal) -> Proposal:
    """`placed` with the ids of its run and, for a subflow run, of the task run it stands for."""
    run = facts.run
    if run.kind is RunKind.TASK_RUN:
        return with_details(placed, task_run_id=run.id, flow_run_id=run.flow_run_id)
    if run.parent_task_run_id is not None:
        return with_details(placed, flow_run_id=run.id, task_run_id=run.parent_task_run_id)
    return with_details(placed, flow_run_id=run.id)


def advanced(facts: Facts, placed: Proposal) -> Run:
    """The run with its times and counters after `placed`."""
    run, current = facts.run, facts.state_type
    fields: dict[str, Any] = {}
    runs, ends = placed.type is StateType.RUNNING, placed.type in TERMINAL
    if run.start_time is None and (runs or (ends and run.end_time is None)):
        fields["start_time"] = placed.timestamp
    if ends and run.end_time is None:
        fields["end_time"] = placed.timestamp
    elif not ends and current in TERMINAL:
        fields["end_time"] = None
    if facts.state is not None and current is StateType.RUNNING:
        spent = (placed.timestamp - facts.state.timestamp) / timedelta(seconds=1)
        fields["total_run_time"] = run.total_run_time + spent
    scheduled = placed.details.scheduled_time if placed.type is StateType.SCHEDULED else None
    if run.expected_start_time is None:
        fields["expected_start_time"] = scheduled or placed.timestamp
    if scheduled is not None or current is StateType.SCHEDULED:
        fields["next_scheduled_start_time"] = scheduled
    if runs and not _is_resuming(run):
        fields["run_count"] = run.run_count + 1
    if (runs or ends) and _is_resuming(run):
        fields["policy"] = replace(run.policy, resuming=False)
    return replace(run, **fields) if fields else run


def timers(facts: Facts, placed: Proposal) -> tuple[Write, ...]:
    """Timers that the placed state starts or that the state it replaces no longer needs.

    Leaving a state clears its timer, entering one sets it, so a second pause gets its own time.
    """
    writes: list[Write] = []
    timeout = placed.details.pause_timeout if placed.type is StateType.PAUSED else None
    if timeout is not None:
        writes.append(SetTimer(kind=PAUSE_TIMER, due=timeout))
    elif facts.state is not None and facts.state.state_details.pause_timeout is not None:
        writes.append(ClearTimer(kind=PAUSE_TIMER))
    if placed.type is StateType.CANCELLING:
        due = placed.timestamp + timedelta(seconds=facts.cancelling_seconds)
        writes.append(SetTimer(kind=CANCELLING_TIMER, due=due))
    elif facts.state_type is StateType.CANCELLING:
        writes.append(ClearTimer(kind=CANCELLING_TIMER))
    return tuple(writes)


def mirror(facts: Facts, placed: Proposal) -> tuple[Write, ...]:
    """The state of a subflow run is also the state of the task run that stands for it."""
    task_run_id = facts.run.parent_task_run_id
    return (MirrorState(task_run_id=task_run_id),) if task_run_id is not None else ()


def instrument(facts: Facts, placed: Proposal) -> tuple[Write, ...]:
    """Every placed state of a flow run is told as an event."""
    return (EmitStateChange(),)


def queue_background_task(facts: Facts, placed: Proposal) -> tuple[Write, ...]:
    """A background task run is in the queue of the task workers exactly while it is scheduled."""
    details = placed.details
    if placed.type is StateType.SCHEDULED and details.deferred:
        return (OfferTaskRun(due=details.scheduled_time or placed.timestamp),)
    if (
        facts.state is not None
        and facts.state.type is StateType.SCHEDULED
        and facts.state.state_details.deferred
    ):
        return (WithdrawTaskRun(),)
    return ()


def _is_resuming(run: Run) -> bool:
    return isinstance(run.policy, FlowRunPolicy) and bool(run.policy.resuming)
