"""Trying again after a failure, and how repeated runs are named and counted."""

from datetime import timedelta

from msgspec.structs import replace

from penstock.schemas.flow_runs import FlowRunPolicy
from penstock.schemas.states import StateDetails, StateType
from penstock.schemas.task_runs import TaskRunPolicy
from penstock.server.domain.orchestration.facts import Facts, Proposal
from penstock.server.domain.orchestration.verdicts import (
    ACCEPT,
    Abort,
    Accept,
    Change,
    Reject,
    RetryTaskRuns,
    Verdict,
    Write,
)

_TASKS_RETRIED_BY_CLIENT = (0, 8, 3)
"""From this API version on the client itself runs failed tasks of a retried flow run again."""

_LONGEST_DELAY = 100 * 365 * 86_400.0
"""Seconds; what a calendar can still say."""


def retry_failed_flows(facts: Facts, proposal: Proposal) -> Verdict:
    """A failure with retries left becomes AwaitingRetry; the process that ran it tries again."""
    policy = facts.run.policy
    assert isinstance(policy, FlowRunPolicy)
    if not _has_retries_left(facts):
        return Accept(before=Change(retry_type=None))
    delay = policy.retry_delay if policy.retry_delay is not None else policy.retry_delay_seconds
    waiting = _awaiting_retry(facts, proposal, delay, StateDetails())
    writes: tuple[Write, ...] = ()
    if facts.api_version is not None and facts.api_version < _TASKS_RETRIED_BY_CLIENT:
        assert waiting.details.scheduled_time is not None
        writes = (RetryTaskRuns(scheduled_time=waiting.details.scheduled_time),)
    return Reject(
        reason="Retrying",
        instead=waiting,
        before=Change(resuming=False, pause_keys=(), retry_type="in_process"),
        writes=writes,
    )


def retry_failed_tasks(facts: Facts, proposal: Proposal) -> Verdict:
    """A failure with retries left becomes AwaitingRetry, unless it says that it is final.

    A list of delays is indexed by the attempt and its last entry repeats. The jitter factor adds
    up to that fraction of the delay. A background task run keeps what a worker needs.
    """
    policy = facts.run.policy
    assert isinstance(policy, TaskRunPolicy) and facts.state is not None
    if proposal.details.retriable is False or not _has_retries_left(facts):
        return ACCEPT
    held = facts.state.state_details
    kept = StateDetails(deferred=held.deferred, task_parameters_id=held.task_parameters_id)
    delay = _task_delay(policy, facts.run.run_count)
    delay *= 1 + (policy.retry_jitter_factor or 0) * facts.chance
    return Reject(reason="Retrying", instead=_awaiting_retry(facts, proposal, delay, kept))


def rename_reruns(facts: Facts, proposal: Proposal) -> Verdict:
    """A second or later run is named for why it runs: Retrying after a wait, else Rerunning."""
    if facts.run.run_count == 0:
        return ACCEPT
    waited = facts.state is not None and facts.state.name == "AwaitingRetry"
    return Accept(proposal=replace(proposal, name="Retrying" if waited else "Rerunning"))


def update_flow_run_tracker(facts: Facts, proposal: Proposal) -> Verdict:
    """A task run remembers in which run of its flow run it last ran."""
    if facts.run.flow_run_id is None:
        return ACCEPT
    if facts.parent is None:
        return Abort(reason="the flow run of this task run is gone")
    return Accept(after=Change(flow_run_run_count=facts.parent.run_count))


def _has_retries_left(facts: Facts) -> bool:
    retries = facts.run.retries
    return bool(retries) and facts.run.run_count <= retries


def _task_delay(policy: TaskRunPolicy, run_count: int) -> float:
    delay = policy.retry_delay if policy.retry_delay is not None else policy.retry_delay_seconds
    if isinstance(delay, list):
        return float(delay[min(max(run_count - 1, 0), len(delay) - 1)]) if delay else 0.0
    return float(delay)


def _awaiting_retry(
    facts: Facts, proposal: Proposal, delay: float, details: StateDetails
) -> Proposal:
    due = facts.now + timedelta(seconds=min(max(delay, 0.0), _LONGEST_DELAY))
    return Proposal(
        type=StateType.SCHEDULED,
        name="AwaitingRetry",
        timestamp=proposal.timestamp,
        message=proposal.message,
        data=proposal.data,
        details=replace(details, scheduled_time=due),
    )
