"""What rules change, carry along, and ask to be written."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec import Raw
from msgspec.structs import replace

from penstock.schemas.flow_runs import FlowRunPolicy
from penstock.schemas.states import SetStateStatus, State, StateDetails, StateType
from penstock.schemas.task_runs import TaskRunPolicy
from penstock.server.domain.orchestration.decide import decide
from penstock.server.domain.orchestration.facts import (
    Deployment,
    Facts,
    Limit,
    OnFull,
    Parent,
    Run,
    RunKind,
    is_persisted,
    proposal_of,
)
from penstock.server.domain.orchestration.policy import (
    BACKGROUND_TASK,
    CORE_FLOW,
    CORE_TASK,
    MINIMAL_FLOW,
    MINIMAL_TASK,
    Policy,
)
from penstock.server.domain.orchestration.verdicts import (
    AcquireSlots,
    Decision,
    EmitStateChange,
    InsertCache,
    KeepLease,
    MirrorState,
    OfferTaskRun,
    ReleaseHolder,
    ReleaseSlots,
    RenewLease,
    RetryTaskRuns,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUN, FRESH, LIMIT, LEASE, OTHER = (UUID(int=n) for n in range(1, 6))
SCHEDULED, PENDING, RUNNING = StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING
COMPLETED, FAILED, CANCELLED = StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED
PAUSED, CANCELLING = StateType.PAUSED, StateType.CANCELLING


def decided(
    policy: Policy,
    start: StateType | None,
    end: StateType,
    *,
    run: dict[str, Any] | None = None,
    held: dict[str, Any] | None = None,
    state: dict[str, Any] | None = None,
    asked: dict[str, Any] | None = None,
    proposed: dict[str, Any] | None = None,
    **facts: Any,
) -> Decision:
    """`held` and `asked` are details of the current and the proposed state."""
    ordinary = FlowRunPolicy() if policy.kind is RunKind.FLOW_RUN else TaskRunPolicy()
    current = None
    if start is not None:
        current = State(
            type=start,
            **{"timestamp": NOW - timedelta(seconds=10), **(state or {})},
            state_details=StateDetails(**(held or {})),
        )
    known = Facts(
        run=Run(kind=policy.kind, id=RUN, **{"policy": ordinary, **(run or {})}),
        state=current,
        now=NOW,
        fresh_id=FRESH,
        **facts,
    )
    details = StateDetails(**(asked or {}))
    return decide(known, proposal_of(end, NOW, details=details, **(proposed or {})), policy)


def limited(active: int, **deployment: Any) -> dict[str, Any]:
    limit = Limit(id=LIMIT, name="deployment", limit=2, active=active)
    return {"deployment": Deployment(id=OTHER, limit=limit, **deployment)}


def policy_after(decision: Decision) -> FlowRunPolicy:
    assert decision.run is not None and isinstance(decision.run.policy, FlowRunPolicy)
    return decision.run.policy


def details_after(decision: Decision) -> StateDetails:
    assert decision.state is not None
    return decision.state.details


# --- starting over --------------------------------------------------------------------------------

USED = FlowRunPolicy(resuming=True, pause_keys=["a"], retry_type="in_process", retries=3)


@pytest.mark.parametrize(
    ("end", "retry_type"), [(SCHEDULED, "reschedule"), (PENDING, None), (RUNNING, None)]
)
def test_a_flow_run_that_starts_over_forgets_its_pauses(end: StateType, retry_type: str) -> None:
    run = {"policy": USED, "deployment_id": OTHER, "run_count": 3}
    decision = decided(CORE_FLOW, FAILED, end, run=run)
    policy = policy_after(decision)
    assert (policy.resuming, policy.pause_keys, policy.retry_type) == (False, [], retry_type)
    assert policy.retries == 3
    assert decision.run is not None and decision.run.run_count == 3 + (end is RUNNING)


def test_starting_over_is_undone_when_no_slot_is_free() -> None:
    run = {"policy": USED, "deployment_id": OTHER}
    decision = decided(CORE_FLOW, FAILED, PENDING, run=run, **limited(active=2))
    assert decision.status is SetStateStatus.REJECT
    assert policy_after(decision) == USED


def test_a_task_run_that_starts_over_counts_from_zero() -> None:
    run = {"run_count": 4, "flow_run_id": OTHER, "flow_run_run_count": 1}
    parent = Parent(state_type=RUNNING, run_count=2)
    decision = decided(CORE_TASK, FAILED, RUNNING, run=run, parent=parent)
    assert decision.state is not None and decision.state.name == "Retrying"
    assert decision.run is not None
    assert (decision.run.run_count, decision.run.flow_run_run_count) == (1, 2)


def test_a_task_run_that_starts_over_in_the_same_flow_run_keeps_its_name() -> None:
    run = {"run_count": 4, "flow_run_id": OTHER, "flow_run_run_count": 2}
    parent = Parent(state_type=RUNNING, run_count=2)
    decision = decided(CORE_TASK, FAILED, RUNNING, run=run, parent=parent)
    assert decision.state is not None and decision.state.name == "Running"


def test_counting_from_zero_is_undone_when_the_task_run_may_not_start() -> None:
    parent = Parent(state_type=PAUSED, run_count=2, pause_reschedule=True, pause_timeout=NOW)
    run = {"run_count": 4, "flow_run_id": OTHER}
    decision = decided(CORE_TASK, FAILED, RUNNING, run=run, parent=parent)
    assert decision.run is not None and decision.run.run_count == 4
    assert decision.state is not None
    assert (decision.state.type, decision.state.name) == (PAUSED, "NotReady")
    assert details_after(decision).pause_timeout == NOW
    assert details_after(decision).pause_reschedule


# --- pausing and resuming -------------------------------------------------------------------------


def test_a_pause_remembers_its_key() -> None:
    run = {"policy": FlowRunPolicy(pause_keys=["a"])}
    decision = decided(CORE_FLOW, RUNNING, PAUSED, run=run, asked={"pause_key": "b"})
    assert policy_after(decision).pause_keys == ["a", "b"]


def test_a_pause_without_a_key_gets_one() -> None:
    assert policy_after(decided(CORE_FLOW, RUNNING, PAUSED)).pause_keys == [str(FRESH)]


@pytest.mark.parametrize(("name", "verb"), [("Paused", "pause"), ("Suspended", "suspend")])
def test_the_reason_names_what_was_asked(name: str, verb: str) -> None:
    decision = decided(CORE_FLOW, None, PAUSED, proposed={"name": name})
    assert decision.reason is not None and verb in decision.reason


@pytest.mark.parametrize("end", [RUNNING, SCHEDULED])
def test_a_paused_run_that_goes_on_is_resuming(end: StateType) -> None:
    assert policy_after(decided(CORE_FLOW, PAUSED, end)).resuming is True


@pytest.mark.parametrize("end", [COMPLETED, FAILED, CANCELLED])
def test_a_paused_run_that_ends_is_not_resuming(end: StateType) -> None:
    assert not policy_after(decided(CORE_FLOW, PAUSED, end)).resuming


def test_a_pause_that_timed_out_does_not_mark_the_run_as_resuming() -> None:
    held = {"pause_timeout": NOW - timedelta(seconds=1)}
    decision = decided(CORE_FLOW, PAUSED, RUNNING, held=held)
    assert decision.state is not None and decision.state.type is FAILED
    assert not policy_after(decision).resuming


def test_a_resumed_pause_in_one_process_is_counted_and_a_resumed_suspension_is_not() -> None:
    in_process = decided(CORE_FLOW, PAUSED, RUNNING, run={"run_count": 1})
    assert in_process.run is not None and in_process.run.run_count == 2
    run = {"run_count": 1, "policy": FlowRunPolicy(resuming=True)}
    suspended = decided(CORE_FLOW, PENDING, RUNNING, run=run)
    assert suspended.run is not None and suspended.run.run_count == 1
    assert policy_after(suspended).resuming is False


# --- carried along --------------------------------------------------------------------------------


def test_a_claimed_run_knows_when_it_was_due() -> None:
    due = NOW - timedelta(minutes=1)
    claimed = decided(CORE_FLOW, SCHEDULED, PENDING, held={"scheduled_time": due})
    assert details_after(claimed).scheduled_time == due
    own = decided(
        CORE_FLOW, SCHEDULED, PENDING, held={"scheduled_time": due}, asked={"scheduled_time": NOW}
    )
    assert details_after(own).scheduled_time == NOW


def test_another_pending_name_keeps_the_scheduled_time_and_the_lease() -> None:
    due = NOW - timedelta(minutes=1)
    decision = decided(
        CORE_FLOW,
        PENDING,
        PENDING,
        held={"scheduled_time": due, "deployment_concurrency_lease_id": LEASE},
        proposed={"name": "Submitting"},
    )
    assert details_after(decision).scheduled_time == due
    assert details_after(decision).deployment_concurrency_lease_id == LEASE


@pytest.mark.parametrize("end", [RUNNING, COMPLETED, CANCELLING, FAILED])
def test_the_lease_goes_along(end: StateType) -> None:
    held = {"deployment_concurrency_lease_id": LEASE}
    assert details_after(decided(CORE_FLOW, RUNNING, end, held=held)) == StateDetails(
        deployment_concurrency_lease_id=LEASE, flow_run_id=RUN
    )


def test_details_name_the_run() -> None:
    alone = decided(CORE_FLOW, None, RUNNING)
    assert details_after(alone).flow_run_id == RUN and details_after(alone).task_run_id is None
    subflow = decided(CORE_FLOW, None, RUNNING, run={"parent_task_run_id": OTHER})
    assert details_after(subflow).task_run_id == OTHER
    task = decided(CORE_TASK, None, PENDING, run={"flow_run_id": OTHER})
    assert (details_after(task).task_run_id, details_after(task).flow_run_id) == (RUN, OTHER)


def test_a_background_task_run_keeps_its_parameters() -> None:
    held = {"task_parameters_id": OTHER, "deferred": True}
    for start, end in ((SCHEDULED, PENDING), (PENDING, RUNNING), (SCHEDULED, RUNNING)):
        kept = details_after(decided(BACKGROUND_TASK, start, end, held=held))
        assert (kept.task_parameters_id, kept.deferred) == (OTHER, True)


# --- retries --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "run_count", "chance", "seconds"),
    [
        (TaskRunPolicy(retries=3), 1, 0.5, 0),
        (TaskRunPolicy(retries=3, retry_delay=7), 1, 0.5, 7),
        (TaskRunPolicy(retries=3, retry_delay_seconds=8), 1, 0.5, 8),
        (TaskRunPolicy(retries=3, retry_delay=[1, 5]), 1, 0.5, 1),
        (TaskRunPolicy(retries=3, retry_delay=[1, 5]), 2, 0.5, 5),
        (TaskRunPolicy(retries=3, retry_delay=[1, 5]), 3, 0.5, 5),
        (TaskRunPolicy(retries=3, retry_delay=[]), 1, 0.5, 0),
        (TaskRunPolicy(retries=3, retry_delay=-5), 1, 0.5, 0),
        (TaskRunPolicy(retries=3, retry_delay=1e30), 1, 0.5, 100 * 365 * 86_400),
        (TaskRunPolicy(retries=3, retry_delay=10, retry_jitter_factor=0.5), 1, 0.0, 10),
        (TaskRunPolicy(retries=3, retry_delay=10, retry_jitter_factor=0.5), 1, 0.5, 12.5),
    ],
)
def test_the_delay_of_a_task_retry(
    policy: TaskRunPolicy, run_count: int, chance: float, seconds: float
) -> None:
    run = {"policy": policy, "run_count": run_count}
    decision = decided(CORE_TASK, RUNNING, FAILED, run=run, chance=chance)
    assert details_after(decision).scheduled_time == NOW + timedelta(seconds=seconds)


def test_a_retry_keeps_message_and_data_of_the_failure() -> None:
    for policy in (CORE_FLOW, CORE_TASK):
        kind = FlowRunPolicy if policy is CORE_FLOW else TaskRunPolicy
        decision = decided(
            policy,
            RUNNING,
            FAILED,
            run={"policy": kind(retries=1), "run_count": 1},
            proposed={"message": "boom", "data": {"type": "reference"}},
        )
        assert decision.state is not None
        assert (decision.state.message, decision.state.data) == ("boom", {"type": "reference"})


def test_a_background_retry_is_offered_again() -> None:
    run = {"policy": TaskRunPolicy(retries=1), "run_count": 1}
    held = {"deferred": True, "task_parameters_id": OTHER}
    decision = decided(BACKGROUND_TASK, RUNNING, FAILED, run=run, held=held)
    assert details_after(decision).task_parameters_id == OTHER
    (offer,) = (write for write in decision.writes if isinstance(write, OfferTaskRun))
    assert offer.due == details_after(decision).scheduled_time


@pytest.mark.parametrize(
    ("api_version", "retried"), [(None, False), ((0, 8, 3), False), ((0, 8, 2), True)]
)
def test_only_old_clients_need_their_failed_tasks_retried(
    api_version: tuple[int, int, int] | None, retried: bool
) -> None:
    run = {"policy": FlowRunPolicy(retries=1), "run_count": 1}
    decision = decided(CORE_FLOW, RUNNING, FAILED, run=run, api_version=api_version)
    assert (RetryTaskRuns(scheduled_time=NOW) in decision.writes) == retried


def test_the_last_failure_forgets_the_retry_type() -> None:
    run = {"policy": FlowRunPolicy(retry_type="in_process"), "run_count": 1}
    assert policy_after(decided(CORE_FLOW, RUNNING, FAILED, run=run)).retry_type is None


@pytest.mark.parametrize(
    ("run_count", "current", "name"),
    [(0, "AwaitingRetry", "Running"), (1, "AwaitingRetry", "Retrying"), (1, "Late", "Rerunning")],
)
def test_the_name_of_a_rerun(run_count: int, current: str, name: str) -> None:
    decision = decided(
        CORE_TASK, SCHEDULED, RUNNING, run={"run_count": run_count}, state={"name": current}
    )
    assert decision.state is not None and decision.state.name == name


# --- waiting --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "delay"), [(0.001, 1), (1, 1), (1.5, 2), (86_400.5, 86_401)])
def test_the_wait_is_in_whole_seconds_and_never_too_short(seconds: float, delay: int) -> None:
    held = {"scheduled_time": NOW + timedelta(seconds=seconds)}
    decision = decided(CORE_FLOW, PENDING, RUNNING, held=held)
    assert (decision.status, decision.delay_seconds) == (SetStateStatus.WAIT, delay)


def test_a_run_that_is_due_now_does_not_wait() -> None:
    decision = decided(CORE_FLOW, PENDING, RUNNING, held={"scheduled_time": NOW})
    assert decision.status is SetStateStatus.ACCEPT


def test_an_empty_name_is_no_name() -> None:
    decision = decided(CORE_FLOW, None, RUNNING, proposed={"name": ""})
    assert decision.state is not None and decision.state.name == "Running"


def test_a_scheduled_state_is_due_now_unless_it_says_when() -> None:
    assert details_after(decided(CORE_FLOW, None, SCHEDULED)).scheduled_time == NOW


# --- caching --------------------------------------------------------------------------------------


def test_a_cached_result_is_copied() -> None:
    stored = State(
        type=COMPLETED,
        name="Completed",
        message="m",
        data=Raw(b'{"type":"reference"}'),
        state_details=StateDetails(cache_key="k", task_run_id=OTHER),
    )
    decision = decided(CORE_TASK, PENDING, RUNNING, asked={"cache_key": "k"}, cached=stored)
    assert decision.state is not None
    assert (decision.state.name, decision.state.data) == ("Cached", stored.data)
    assert details_after(decision).task_run_id == RUN and details_after(decision).cache_key == "k"
    assert decision.run is not None and decision.run.run_count == 0


def test_a_completed_state_is_put_under_its_key() -> None:
    asked = {"cache_key": "k", "cache_expiration": NOW}
    decision = decided(CORE_TASK, RUNNING, COMPLETED, asked=asked)
    assert decision.writes == (InsertCache(key="k", expiration=NOW),)


def test_an_overlong_key_is_not_written() -> None:
    decision = decided(
        CORE_TASK, RUNNING, COMPLETED, asked={"cache_key": "kkk"}, cache_key_length=2
    )
    assert decision.status is SetStateStatus.REJECT and decision.writes == ()


# --- slots ----------------------------------------------------------------------------------------


def test_without_limits_nothing_is_acquired_or_released() -> None:
    held = {"deployment_concurrency_lease_id": None}
    for start in (None, *StateType):
        for end in StateType:
            for policy in (CORE_FLOW, MINIMAL_FLOW):
                decision = decided(policy, start, end, held=held, run={"deployment_id": OTHER})
                assert not any(
                    isinstance(write, (AcquireSlots, RenewLease, KeepLease, ReleaseSlots))
                    for write in decision.writes
                )
            for policy in (CORE_TASK, MINIMAL_TASK):
                assert not decided(policy, start, end).writes


def test_a_claim_takes_a_slot_under_a_lease() -> None:
    decision = decided(CORE_FLOW, SCHEDULED, PENDING, **limited(active=1, grace_seconds=90))
    acquired = AcquireSlots(
        limit_ids=(LIMIT,), lease_id=FRESH, seconds=90, holder=f"flow_run:{RUN}"
    )
    assert acquired in decision.writes
    assert details_after(decision).deployment_concurrency_lease_id == FRESH


def test_a_queued_run_waits_for_a_slot() -> None:
    decision = decided(CORE_FLOW, SCHEDULED, PENDING, slot_wait_seconds=45, **limited(active=2))
    assert details_after(decision).scheduled_time == NOW + timedelta(seconds=45)
    assert decision.writes == (EmitStateChange(),)


def test_a_deployment_without_a_limit_holds_nobody_up() -> None:
    decision = decided(CORE_FLOW, SCHEDULED, PENDING, deployment=Deployment(id=OTHER))
    assert decision.status is SetStateStatus.ACCEPT and decision.writes == (EmitStateChange(),)


@pytest.mark.parametrize("end", [SCHEDULED, COMPLETED, FAILED, CANCELLED])
@pytest.mark.parametrize("start", [PENDING, RUNNING, CANCELLING])
@pytest.mark.parametrize("facts", [limited(active=2), {}])
def test_leaving_work_gives_the_slot_back_whatever_became_of_the_limit(
    start: StateType, end: StateType, facts: dict[str, Any]
) -> None:
    held = {"deployment_concurrency_lease_id": LEASE}
    decision = decided(MINIMAL_FLOW, start, end, held=held, **facts)
    assert ReleaseSlots(lease_id=LEASE) in decision.writes


def test_a_run_without_a_lease_gives_nothing_back() -> None:
    decision = decided(MINIMAL_FLOW, RUNNING, COMPLETED, **limited(active=2))
    assert not any(isinstance(write, ReleaseSlots) for write in decision.writes)


def test_a_retry_in_process_gives_the_slot_back() -> None:
    run = {"policy": FlowRunPolicy(retries=1), "run_count": 1}
    held = {"deployment_concurrency_lease_id": LEASE}
    decision = decided(CORE_FLOW, RUNNING, FAILED, run=run, held=held, **limited(active=2))
    assert ReleaseSlots(lease_id=LEASE) in decision.writes
    assert details_after(decision).deployment_concurrency_lease_id is None


@pytest.mark.parametrize(
    ("start", "end"), [(PENDING, RUNNING), (RUNNING, CANCELLING), (SCHEDULED, CANCELLED)]
)
def test_a_run_at_work_keeps_its_slot_and_an_idle_one_has_none(
    start: StateType, end: StateType
) -> None:
    decision = decided(MINIMAL_FLOW, start, end, **limited(active=2))
    assert not any(isinstance(write, ReleaseSlots) for write in decision.writes)


@pytest.mark.parametrize(
    ("version", "alive", "active", "write"),
    [
        ((3, 7, 4), True, 2, RenewLease(lease_id=LEASE, seconds=300)),
        (
            (3, 7, 4),
            False,
            1,
            AcquireSlots(limit_ids=(LIMIT,), lease_id=FRESH, seconds=300, holder=f"flow_run:{RUN}"),
        ),
        ((3, 4, 10), True, 2, KeepLease(lease_id=LEASE)),
        (None, True, 2, KeepLease(lease_id=LEASE)),
    ],
)
def test_the_slot_of_a_run_that_starts(
    version: tuple[int, ...] | None, alive: bool, active: int, write: Any
) -> None:
    held = {"deployment_concurrency_lease_id": LEASE}
    decision = decided(
        CORE_FLOW,
        PENDING,
        RUNNING,
        held=held,
        client_version=version,
        lease_alive=alive,
        **limited(active=active),
    )
    assert decision.status is SetStateStatus.ACCEPT
    assert [made for made in decision.writes if not isinstance(made, EmitStateChange)] == [write]
    lease = FRESH if isinstance(write, AcquireSlots) else LEASE
    assert details_after(decision).deployment_concurrency_lease_id == lease


@pytest.mark.parametrize("version", [(3, 0, 0), (3, 0, 3)])
def test_workers_that_hold_slots_themselves_take_none_here(version: tuple[int, ...]) -> None:
    decision = decided(CORE_FLOW, SCHEDULED, PENDING, client_version=version, **limited(active=2))
    assert decision.status is SetStateStatus.ACCEPT and decision.writes == (EmitStateChange(),)
    newer = decided(CORE_FLOW, SCHEDULED, PENDING, client_version=(3, 0, 4), **limited(active=2))
    assert newer.status is SetStateStatus.REJECT


def test_a_cancelled_new_run_says_why() -> None:
    decision = decided(
        CORE_FLOW, SCHEDULED, PENDING, **limited(active=2, on_full=OnFull.CANCEL_NEW)
    )
    assert decision.state is not None and decision.state.message == decision.reason
    assert decision.reason is not None and "limit" in decision.reason


def tags(*usage: tuple[int, int]) -> dict[str, Any]:
    limits = tuple(
        Limit(id=UUID(int=100 + n), name=f"tag:{n}", limit=limit, active=active)
        for n, (active, limit) in enumerate(usage)
    )
    return {"tag_limits": limits}


def test_a_task_run_takes_a_slot_of_every_tag_or_none() -> None:
    taken = decided(CORE_TASK, PENDING, RUNNING, **tags((0, 1), (1, 2)))
    (write,) = taken.writes
    assert isinstance(write, AcquireSlots)
    assert write.limit_ids == (UUID(int=100), UUID(int=101))
    assert write.holder == f"task_run:{RUN}" and write.seconds == 100 * 365 * 86_400
    assert decided(CORE_TASK, PENDING, RUNNING, **tags((0, 1), (2, 2))).writes == ()


def test_the_wait_for_a_tag_slot_is_spread_over_ten_seconds() -> None:
    waits = [
        decided(CORE_TASK, PENDING, RUNNING, chance=chance, **tags((1, 1))).delay_seconds
        for chance in (0.0, 0.05, 0.5, 0.9999)
    ]
    assert waits == [1, 1, 6, 10]


@pytest.mark.parametrize("end", [COMPLETED, FAILED, CANCELLED, PAUSED, SCHEDULED, PENDING])
def test_a_task_run_that_is_not_at_work_holds_no_tag_slot(end: StateType) -> None:
    decision = decided(MINIMAL_TASK, RUNNING, end, holds_slots=True)
    assert decision.writes == (ReleaseHolder(holder=f"task_run:{RUN}"),)
    assert decided(MINIMAL_TASK, RUNNING, end, **tags((1, 1))).writes == ()


def test_a_task_run_being_cancelled_keeps_its_tag_slot() -> None:
    assert decided(MINIMAL_TASK, RUNNING, CANCELLING, holds_slots=True).writes == ()


def test_a_task_run_takes_no_second_slot_of_a_limit() -> None:
    held, other = tags((1, 1), (0, 1))["tag_limits"]
    both = (replace(held, held=True), other)
    (write,) = decided(CORE_TASK, RUNNING, RUNNING, tag_limits=both).writes
    assert isinstance(write, AcquireSlots) and write.limit_ids == (other.id,)


# --- transforms -----------------------------------------------------------------------------------


def test_every_state_of_a_flow_run_is_told_and_mirrored() -> None:
    for policy in (CORE_FLOW, MINIMAL_FLOW):
        decision = decided(policy, RUNNING, COMPLETED, run={"parent_task_run_id": OTHER})
        assert decision.writes == (MirrorState(task_run_id=OTHER), EmitStateChange())
    assert decided(CORE_TASK, RUNNING, COMPLETED).writes == ()


def test_leaving_a_terminal_state_clears_the_end() -> None:
    run = {"start_time": NOW, "end_time": NOW, "expected_start_time": NOW}
    again = decided(CORE_FLOW, FAILED, RUNNING, run=run)
    assert again.run is not None
    assert (again.run.start_time, again.run.end_time) == (NOW, None)


def test_going_from_one_end_to_another_keeps_the_first_end() -> None:
    first = NOW - timedelta(hours=1)
    changed = decided(CORE_FLOW, FAILED, CANCELLED, run={"start_time": first, "end_time": first})
    assert changed.run is not None and changed.run.end_time == first


def test_running_again_after_running_adds_the_time_between() -> None:
    decision = decided(CORE_FLOW, RUNNING, RUNNING, run={"total_run_time": 1.5, "run_count": 1})
    assert decision.run is not None
    assert (decision.run.total_run_time, decision.run.run_count) == (11.5, 2)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, False),
        (Raw(b"null"), False),
        ({"type": "unpersisted"}, False),
        (Raw(b' {"type": "unpersisted"}'), False),
        ({"type": "reference"}, True),
        (Raw(b'{"type":"reference"}'), True),
        ({}, True),
        ([], True),
        (0, True),
        (Raw(b'"unpersisted"'), True),
    ],
)
def test_what_counts_as_a_stored_result(data: Any, expected: bool) -> None:
    assert is_persisted(data) is expected
