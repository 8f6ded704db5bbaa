"""What holds for every decision, whatever is known and proposed."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

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
    Proposal,
    Run,
    RunKind,
    proposal_of,
)
from penstock.server.domain.orchestration.policy import POLICIES, Policy
from penstock.server.domain.orchestration.states import MATRIX, SLOT_HOLDING, TERMINAL, Permission
from penstock.server.domain.orchestration.verdicts import (
    AcquireSlots,
    EmitStateChange,
    KeepLease,
    ReleaseSlots,
    RenewLease,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ids = st.sampled_from([None, UUID(int=1), UUID(int=2)])
times = st.sampled_from([None, NOW - timedelta(hours=1), NOW, NOW + timedelta(seconds=0.5)])
names = st.sampled_from([None, "Late", "Resuming", "AwaitingRetry", "Suspended", "Pending"])
data = st.sampled_from([None, {"type": "unpersisted"}, {"type": "reference"}, 0])
details = st.builds(
    StateDetails,
    scheduled_time=times,
    pause_timeout=times,
    transition_id=ids,
    pause_key=st.sampled_from([None, "a"]),
    pause_reschedule=st.booleans(),
    retriable=st.sampled_from([None, True, False]),
    cache_key=st.sampled_from([None, "k", "kkk"]),
    refresh_cache=st.sampled_from([None, True]),
    deferred=st.booleans(),
    deployment_concurrency_lease_id=ids,
)
limits = st.builds(
    Limit,
    id=st.just(UUID(int=7)),
    name=st.just("l"),
    limit=st.integers(0, 2),
    active=st.integers(0, 2),
)
deployments = st.none() | st.builds(
    Deployment,
    id=st.just(UUID(int=8)),
    found=st.booleans(),
    limit=st.none() | limits,
    on_full=st.sampled_from(OnFull),
)
flow_policies = st.builds(
    FlowRunPolicy,
    retries=st.sampled_from([None, 0, 1, 2]),
    retry_delay=st.sampled_from([None, 5]),
    resuming=st.booleans(),
    pause_keys=st.sampled_from([None, [], ["a"]]),
)
task_policies = st.builds(
    TaskRunPolicy,
    retries=st.sampled_from([None, 0, 1, 2]),
    retry_delay=st.sampled_from([None, 5, [1, 2]]),
    retry_jitter_factor=st.sampled_from([None, 0.5]),
)


@st.composite
def situations(draw: Any) -> tuple[Facts, Proposal, Policy]:
    policy: Policy = draw(st.sampled_from(POLICIES))
    is_flow = policy.kind is RunKind.FLOW_RUN
    state = draw(
        st.none()
        | st.builds(
            State,
            type=st.sampled_from(StateType),
            name=names,
            timestamp=st.just(NOW - timedelta(seconds=10)),
            data=data,
            state_details=details,
        )
    )
    ended = state is not None and state.type in TERMINAL
    run = Run(
        kind=policy.kind,
        id=UUID(int=3),
        policy=draw(flow_policies if is_flow else task_policies),
        run_count=draw(st.integers(0, 3)),
        start_time=NOW - timedelta(minutes=1) if ended else draw(times),
        end_time=NOW - timedelta(seconds=10) if ended else None,
        deployment_id=draw(ids),
        parent_task_run_id=draw(ids),
        infrastructure_pid=draw(st.sampled_from([None, "", "host:1"])),
        flow_run_id=None if is_flow else draw(ids),
    )
    parents = st.none() | st.builds(
        Parent, state_type=st.none() | st.sampled_from(StateType), run_count=st.integers(0, 3)
    )
    facts = Facts(
        run=run,
        state=state,
        now=NOW,
        fresh_id=UUID(int=9),
        chance=draw(st.floats(0, 1, exclude_max=True)),
        parent=None if is_flow else draw(parents),
        deployment=draw(deployments) if is_flow else None,
        lease_alive=draw(st.booleans()),
        holds_slots=not is_flow and draw(st.booleans()),
        tag_limits=() if is_flow else tuple(draw(st.lists(limits, max_size=2))),
        cached=draw(st.none() | st.just(State(type=StateType.COMPLETED, timestamp=NOW))),
        client_version=draw(st.sampled_from([None, (3, 0, 2), (3, 4, 10), (3, 4, 11), (3, 7, 4)])),
        api_version=draw(st.sampled_from([None, (0, 8, 2), (0, 8, 4)])),
        cache_key_length=2,
    )
    proposal = proposal_of(
        draw(st.sampled_from(StateType)),
        NOW,
        name=draw(names),
        data=draw(data),
        details=draw(details),
    )
    return facts, proposal, policy


@settings(max_examples=600, deadline=None)
@given(situations())
def test_every_decision(situation: tuple[Facts, Proposal, Policy]) -> None:
    facts, proposal, policy = situation
    decision = decide(facts, proposal, policy)
    assert decision == decide(facts, proposal, policy)
    assert (decision.reason is None) == (decision.status is SetStateStatus.ACCEPT)
    assert (decision.delay_seconds >= 1) == (decision.status is SetStateStatus.WAIT)
    if decision.state is None:
        assert decision.status is not SetStateStatus.ACCEPT
        assert decision.run is None and decision.writes == ()
        return
    assert decision.status in (SetStateStatus.ACCEPT, SetStateStatus.REJECT)
    if decision.status is SetStateStatus.ACCEPT:
        assert decision.state.type is proposal.type
    check_run(facts, decision.state, decision.run)
    check_slots(facts, decision.state, decision.writes)
    told = decision.writes.count(EmitStateChange())
    assert told == (policy.kind is RunKind.FLOW_RUN)


def check_run(facts: Facts, state: Proposal, run: Run | None) -> None:
    assert run is not None
    assert (run.end_time is not None) == (state.type in TERMINAL)
    assert run.expected_start_time is not None
    assert run.total_run_time >= facts.run.total_run_time
    if state.type is StateType.RUNNING:
        assert run.start_time is not None
        assert run.run_count <= facts.run.run_count + 1
    if state.type is StateType.SCHEDULED:
        assert run.next_scheduled_start_time == state.details.scheduled_time is not None
    elif facts.state_type is StateType.SCHEDULED:
        assert run.next_scheduled_start_time is None
    if run.kind is RunKind.FLOW_RUN:
        assert state.details.flow_run_id == run.id
    else:
        assert state.details.task_run_id == run.id


def check_slots(facts: Facts, state: Proposal, writes: tuple) -> None:
    """A slot is taken only for a run that goes to work, and given back only when it leaves."""
    kinds = [type(write) for write in writes]
    leases = kinds.count(AcquireSlots) + kinds.count(RenewLease) + kinds.count(KeepLease)
    assert leases <= 1 and kinds.count(ReleaseSlots) <= 1
    if AcquireSlots in kinds:
        assert state.type in (StateType.PENDING, StateType.RUNNING)
        assert ReleaseSlots not in kinds
        for limit in (facts.limit, *facts.tag_limits):
            assert limit is None or limit.held or not limit.is_full
    leaves = facts.state_type in SLOT_HOLDING and state.type not in SLOT_HOLDING
    if ReleaseSlots in kinds:
        assert leaves and facts.lease_id is not None


@settings(max_examples=400, deadline=None)
@given(situations())
def test_nothing_that_the_matrix_refuses_is_accepted(
    situation: tuple[Facts, Proposal, Policy],
) -> None:
    facts, proposal, policy = situation
    if not policy.name.startswith("Core"):
        return
    decision = decide(facts, proposal, policy)
    permission = MATRIX[policy.kind][facts.state_type, proposal.type]
    if permission is Permission.REFUSED:
        assert decision.status is not SetStateStatus.ACCEPT
    if permission is Permission.ALLOWED and decision.status is not SetStateStatus.ACCEPT:
        assert policy.kind is RunKind.FLOW_RUN and facts.state is not None
        wanted = proposal.details.transition_id
        assert wanted == facts.state.state_details.transition_id is not None
