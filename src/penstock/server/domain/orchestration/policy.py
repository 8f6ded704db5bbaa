"""Which rules apply to which transition, in which order.

A policy is a tuple of rules and a tuple of transforms. A rule is asked when the current and the
proposed type are in its FROM and TO sets; a transform sees every state that is put in place.
"""

from collections.abc import Callable

from msgspec import Struct

from penstock.schemas.states import StateType
from penstock.server.domain.orchestration import transforms
from penstock.server.domain.orchestration.facts import Facts, Proposal, RunKind
from penstock.server.domain.orchestration.rules import (
    caching,
    cancelling,
    pausing,
    repetition,
    retries,
    scheduling,
    slots,
    terminal,
)
from penstock.server.domain.orchestration.states import SLOT_HOLDING, TERMINAL
from penstock.server.domain.orchestration.verdicts import Verdict, Write

Decide = Callable[[Facts, Proposal], Verdict]
Transform = Callable[[Facts, Proposal], tuple[Write, ...]]
Types = frozenset[StateType | None]

SCHEDULED, PENDING, RUNNING = StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING
COMPLETED, FAILED, CANCELLED = StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED
PAUSED, CANCELLING = StateType.PAUSED, StateType.CANCELLING

EVERY: Types = frozenset(StateType)
ANY: Types = EVERY | {None}


class Rule(Struct, frozen=True):
    """One rule and the transitions it is asked about."""

    name: str
    start: Types
    end: Types
    decide: Decide


class Policy(Struct, frozen=True):
    """Rules in order, and the transforms of whatever state comes out."""

    name: str
    kind: RunKind
    rules: tuple[Rule, ...]
    transforms: tuple[Transform, ...]
    index: dict[tuple[StateType | None, StateType], tuple[Rule, ...]]

    def rules_for(self, start: StateType | None, end: StateType) -> tuple[Rule, ...]:
        return self.index[start, end]


def policy(
    name: str, kind: RunKind, rules: tuple[Rule, ...], transforms: tuple[Transform, ...]
) -> Policy:
    """A policy with its rules looked up by transition once and for all."""
    index = {
        (start, end): tuple(rule for rule in rules if start in rule.start and end in rule.end)
        for start in (None, *StateType)
        for end in StateType
    }
    return Policy(name, kind, rules, transforms, index)


def _types(*types: StateType | None) -> Types:
    return frozenset(types)


_BYPASS_CANCELLING = Rule(
    "BypassCancellingFlowRunsWithNoInfra",
    _types(SCHEDULED, PAUSED),
    _types(CANCELLING),
    cancelling.bypass_cancelling_without_infrastructure,
)
_ONLY_SCHEDULED_LATE = Rule(
    "EnsureOnlyScheduledFlowsMarkedLate",
    ANY,
    _types(SCHEDULED),
    scheduling.only_scheduled_runs_become_late,
)
_PREVENT_PENDING = Rule(
    "PreventPendingTransitions",
    _types(PENDING, CANCELLING, RUNNING, CANCELLED),
    _types(PENDING),
    scheduling.prevent_pending_transitions,
)
_COPY_SCHEDULED_TIME = Rule(
    "CopyScheduledTime", _types(SCHEDULED), _types(PENDING), scheduling.copy_scheduled_time
)
_WAIT_FOR_SCHEDULED_TIME = Rule(
    "WaitForScheduledTime",
    _types(SCHEDULED, PENDING),
    _types(RUNNING),
    scheduling.wait_for_scheduled_time,
)

CORE_FLOW = policy(
    "CoreFlowPolicy",
    RunKind.FLOW_RUN,
    (
        Rule("PreserveDeploymentConcurrencyLeaseId", ANY, EVERY, slots.preserve_lease),
        Rule("PreventDuplicateTransitions", ANY, EVERY, repetition.prevent_duplicate_transitions),
        Rule(
            "HandleFlowTerminalStateTransitions",
            frozenset(TERMINAL),
            EVERY,
            terminal.handle_flow_terminal_transitions,
        ),
        Rule(
            "EnforceCancellingToCancelledTransition",
            _types(CANCELLING),
            EVERY - {CANCELLED},
            cancelling.enforce_cancelling_to_cancelled,
        ),
        _BYPASS_CANCELLING,
        _PREVENT_PENDING,
        Rule(
            "ValidateDeploymentConcurrencyAtRunning",
            _types(PENDING),
            _types(RUNNING),
            slots.validate_slot_at_running,
        ),
        Rule(
            "SecureFlowConcurrencySlots",
            ANY - SLOT_HOLDING,
            _types(PENDING),
            slots.secure_flow_slots,
        ),
        Rule(
            "RemoveDeploymentConcurrencyLeaseForOldClientVersions",
            _types(PENDING),
            _types(RUNNING, CANCELLING),
            slots.drop_lease_of_old_clients,
        ),
        _ONLY_SCHEDULED_LATE,
        Rule("HandlePausingFlows", ANY, _types(PAUSED), pausing.handle_pausing_flows),
        Rule(
            "HandleResumingPausedFlows",
            _types(PAUSED),
            EVERY,
            pausing.handle_resuming_paused_flows,
        ),
        _COPY_SCHEDULED_TIME,
        _WAIT_FOR_SCHEDULED_TIME,
        Rule("RetryFailedFlows", _types(RUNNING), _types(FAILED), retries.retry_failed_flows),
    ),
    (transforms.mirror, transforms.timers, transforms.instrument, slots.release_flow_slots),
)

MINIMAL_FLOW = policy(
    "MinimalFlowPolicy",
    RunKind.FLOW_RUN,
    (
        Rule(
            "PreventResultDataLoss",
            frozenset(TERMINAL),
            frozenset(TERMINAL),
            terminal.prevent_result_data_loss,
        ),
        _BYPASS_CANCELLING,
    ),
    (transforms.mirror, transforms.timers, transforms.instrument, slots.release_flow_slots),
)

MARK_LATE = policy(
    "MarkLateRunsPolicy",
    RunKind.FLOW_RUN,
    (
        _ONLY_SCHEDULED_LATE,
        Rule(
            "EnforceDeploymentConcurrencyOnLate",
            _types(SCHEDULED),
            _types(SCHEDULED),
            slots.cancel_late_run_without_slot,
        ),
    ),
    (transforms.mirror, transforms.timers, transforms.instrument),
)

_CACHE_RETRIEVAL = Rule("CacheRetrieval", ANY, _types(RUNNING), caching.retrieve_from_cache)
_TASK_TERMINAL = Rule(
    "HandleTaskTerminalStateTransitions",
    frozenset(TERMINAL),
    EVERY,
    terminal.handle_task_terminal_transitions,
)
_RETRY_TASKS = Rule("RetryFailedTasks", _types(RUNNING), _types(FAILED), retries.retry_failed_tasks)
_RENAME_RERUNS = Rule("RenameReruns", ANY, _types(RUNNING), retries.rename_reruns)
_TRACKER = Rule(
    "UpdateFlowRunTrackerOnTasks", ANY, _types(RUNNING), retries.update_flow_run_tracker
)
_CACHE_INSERTION = Rule("CacheInsertion", ANY, _types(COMPLETED), caching.insert_into_cache)

CORE_TASK = policy(
    "CoreTaskPolicy",
    RunKind.TASK_RUN,
    (
        _CACHE_RETRIEVAL,
        _TASK_TERMINAL,
        Rule(
            "PreventRunningTasksFromStoppedFlows",
            ANY,
            _types(RUNNING),
            scheduling.prevent_running_tasks_of_stopped_flows,
        ),
        Rule("SecureTaskConcurrencySlots", ANY, _types(RUNNING), slots.secure_task_slots),
        _COPY_SCHEDULED_TIME,
        _WAIT_FOR_SCHEDULED_TIME,
        _RETRY_TASKS,
        _RENAME_RERUNS,
        _TRACKER,
        _CACHE_INSERTION,
    ),
    (slots.release_task_slots,),
)

BACKGROUND_TASK = policy(
    "BackgroundTaskPolicy",
    RunKind.TASK_RUN,
    (
        _PREVENT_PENDING,
        _CACHE_RETRIEVAL,
        _TASK_TERMINAL,
        _COPY_SCHEDULED_TIME,
        Rule(
            "CopyTaskParametersID",
            _types(SCHEDULED, PENDING),
            _types(PENDING, RUNNING),
            scheduling.copy_task_parameters,
        ),
        _WAIT_FOR_SCHEDULED_TIME,
        _RETRY_TASKS,
        _RENAME_RERUNS,
        _TRACKER,
        _CACHE_INSERTION,
    ),
    (slots.release_task_slots, transforms.queue_background_task),
)

MINIMAL_TASK = policy("MinimalTaskPolicy", RunKind.TASK_RUN, (), (slots.release_task_slots,))

POLICIES = (CORE_FLOW, MINIMAL_FLOW, MARK_LATE, CORE_TASK, BACKGROUND_TASK, MINIMAL_TASK)


def policy_for(facts: Facts, proposal: Proposal, *, force: bool) -> Policy:
    """The policy of a request: background task runs have their own, even when forced."""
    if facts.run.kind is RunKind.FLOW_RUN:
        return MINIMAL_FLOW if force else CORE_FLOW
    if proposal.details.deferred or (
        facts.state is not None and facts.state.state_details.deferred
    ):
        return BACKGROUND_TASK
    return MINIMAL_TASK if force else CORE_TASK
