"""Every pair of types under every situation the rules look at, against tables written by hand.

Marks of an expected outcome:

    .  accepted as proposed          k  rejected, the current state stays
    a  aborted                       w  to be proposed again later
    C  rejected to Cancelled         F  rejected to Failed
    R  rejected to AwaitingRetry     Q  rejected to AwaitingConcurrencySlot
    N  rejected to Paused/NotReady   H  rejected to Completed/Cached (a cache hit)
    K  the proposed state is stored and the answer is a rejection
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec import Struct, field

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
    proposal_of,
)
from penstock.server.domain.orchestration.policy import (
    BACKGROUND_TASK,
    CORE_FLOW,
    CORE_TASK,
    MARK_LATE,
    MINIMAL_FLOW,
    MINIMAL_TASK,
    Policy,
)
from penstock.server.domain.orchestration.states import MATRIX, Permission
from penstock.server.domain.orchestration.verdicts import Decision

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAST, FUTURE = NOW - timedelta(hours=1), NOW + timedelta(seconds=90)
SOME, OTHER = UUID(int=1), UUID(int=2)
STORED = {"type": "reference", "key": "abc"}

COLUMNS = tuple(
    StateType(name)
    for name in [
        "SCHEDULED",
        "PENDING",
        "RUNNING",
        "COMPLETED",
        "FAILED",
        "CANCELLED",
        "CRASHED",
        "PAUSED",
        "CANCELLING",
    ]
)
ROWS = (None, *COLUMNS)

Cell = tuple[StateType | None, StateType]
Grid = dict[Cell, str]


def rows(text: str) -> Grid:
    cells: Grid = {}
    for line in text.strip().splitlines():
        name, *marks = line.split()
        start = None if name == "none" else StateType(name)
        cells |= {(start, end): mark for end, mark in zip(COLUMNS, marks, strict=True)}
    return cells


def column(end: StateType, marks: str) -> Grid:
    return {(start, end): mark for start, mark in zip(ROWS, marks.split(), strict=True)}


class Situation(Struct, kw_only=True):
    """What holds besides the two types, and the outcomes expected then."""

    policy: Policy
    expected: Grid
    run: dict = field(default_factory=dict)
    facts: dict = field(default_factory=dict)
    current: dict = field(default_factory=dict)
    current_details: dict = field(default_factory=dict)
    current_data: object = None
    proposed: dict = field(default_factory=dict)
    proposed_details: dict = field(default_factory=dict)
    proposed_data: object = None


#              SCH PEN RUN COM FAI CAN CRA PAU CNG
FLOW = rows("""
none           .   .   .   .   .   .   .   a   .
SCHEDULED      .   .   .   .   .   .   .   k   C
PENDING        .   a   .   .   .   .   .   k   .
RUNNING        .   a   .   .   .   .   .   .   .
COMPLETED      a   .   .   .   .   .   a   a   a
FAILED         a   .   .   .   .   .   a   a   a
CANCELLED      a   a   .   .   .   .   a   a   a
CRASHED        a   .   .   .   .   .   a   a   a
PAUSED         .   k   .   .   .   .   .   k   k
CANCELLING     k   k   k   k   k   .   k   k   k
""")

DEPLOYED = FLOW | {
    (start, StateType.SCHEDULED): "."
    for start in (StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED, StateType.CRASHED)
}

TASK = rows("""
none           .   .   .   .   .   .   .   .   .
SCHEDULED      .   .   .   .   .   .   .   .   .
PENDING        .   .   .   .   .   .   .   .   .
RUNNING        .   .   .   .   .   .   .   .   .
COMPLETED      .   .   .   .   .   .   a   a   a
FAILED         .   .   .   .   .   .   a   a   a
CANCELLED      .   .   .   .   .   .   a   a   a
CRASHED        .   .   .   .   .   .   a   a   a
PAUSED         .   .   .   .   .   .   .   .   .
CANCELLING     .   .   .   .   .   .   .   .   .
""")

ALL_ACCEPTED = {(start, end): "." for start in ROWS for end in COLUMNS}


def limited(active: int, limit: int = 2, on_full: OnFull = OnFull.ENQUEUE) -> dict:
    usage = Limit(id=OTHER, name="d", limit=limit, active=active)
    return {"deployment": Deployment(id=SOME, limit=usage, on_full=on_full)}


def tagged(active: int, limit: int = 1) -> dict:
    return {"tag_limits": (Limit(id=OTHER, name="tag:db", limit=limit, active=active),)}


DEPLOYMENT = {"deployment_id": SOME}
CHILD = {"flow_run_id": OTHER}

FLOW_SITUATIONS = {
    "plain": Situation(policy=CORE_FLOW, expected=FLOW),
    "deployed": Situation(policy=CORE_FLOW, expected=DEPLOYED, run=DEPLOYMENT),
    "process known": Situation(
        policy=CORE_FLOW,
        expected=FLOW | {(StateType.SCHEDULED, StateType.CANCELLING): "."},
        run={"infrastructure_pid": "host:1"},
    ),
    "resuming": Situation(
        policy=CORE_FLOW,
        expected=FLOW | {(StateType.PAUSED, StateType.CANCELLING): "C"},
        run={"infrastructure_pid": "host:1"},
        current={"name": "Resuming"},
    ),
    "result stored": Situation(
        policy=CORE_FLOW,
        expected=FLOW | rows("COMPLETED k k k k . . a a a"),
        current_data=STORED,
    ),
    "result stored, unpersisted proposed": Situation(
        policy=CORE_FLOW,
        expected=FLOW | rows("COMPLETED k k k k . . a a a"),
        current_data=STORED,
        proposed_data={"type": "unpersisted"},
    ),
    "result stored, stored proposed": Situation(
        policy=CORE_FLOW,
        expected=FLOW | rows("COMPLETED k k k . . . a a a"),
        current_data=STORED,
        proposed_data={"type": "reference", "key": "new"},
    ),
    "result not stored": Situation(
        policy=CORE_FLOW, expected=FLOW, current_data={"type": "unpersisted"}
    ),
    "late": Situation(
        policy=CORE_FLOW,
        expected=FLOW
        | column(StateType.SCHEDULED, "k . k k a a a a k k")
        | {(StateType.PENDING, StateType.PENDING): "."},
        proposed={"name": "Late"},
    ),
    "other name": Situation(
        policy=CORE_FLOW,
        expected=FLOW | {(StateType.PENDING, StateType.PENDING): "."},
        proposed={"name": "Submitting"},
    ),
    "same transition": Situation(
        policy=CORE_FLOW,
        expected={cell: mark if cell[0] is None else "k" for cell, mark in FLOW.items()},
        current_details={"transition_id": SOME},
        proposed_details={"transition_id": SOME},
    ),
    "other transition": Situation(
        policy=CORE_FLOW,
        expected=FLOW,
        current_details={"transition_id": SOME},
        proposed_details={"transition_id": OTHER},
    ),
    "due later": Situation(
        policy=CORE_FLOW,
        expected=FLOW
        | {
            (StateType.SCHEDULED, StateType.RUNNING): "w",
            (StateType.PENDING, StateType.RUNNING): "w",
        },
        current_details={"scheduled_time": FUTURE},
    ),
    "retries left": Situation(
        policy=CORE_FLOW,
        expected=FLOW | {(StateType.RUNNING, StateType.FAILED): "R"},
        run={"policy": FlowRunPolicy(retries=1), "run_count": 1},
    ),
    "retries used up": Situation(
        policy=CORE_FLOW,
        expected=FLOW,
        run={"policy": FlowRunPolicy(retries=1), "run_count": 2},
    ),
    "pause key used": Situation(
        policy=CORE_FLOW,
        expected=FLOW | {(StateType.RUNNING, StateType.PAUSED): "k"},
        run={"policy": FlowRunPolicy(pause_keys=["a"])},
        proposed_details={"pause_key": "a"},
    ),
    "pause key new": Situation(
        policy=CORE_FLOW,
        expected=FLOW,
        run={"policy": FlowRunPolicy(pause_keys=["a"])},
        proposed_details={"pause_key": "b"},
    ),
    "suspending without deployment": Situation(
        policy=CORE_FLOW,
        expected=FLOW | {(StateType.RUNNING, StateType.PAUSED): "a"},
        proposed_details={"pause_reschedule": True},
    ),
    "suspending a subflow": Situation(
        policy=CORE_FLOW,
        expected=DEPLOYED | {(StateType.RUNNING, StateType.PAUSED): "a"},
        run=DEPLOYMENT | {"parent_task_run_id": OTHER},
        proposed_details={"pause_reschedule": True},
    ),
    "suspending": Situation(
        policy=CORE_FLOW,
        expected=DEPLOYED,
        run=DEPLOYMENT,
        proposed_details={"pause_reschedule": True},
    ),
    "suspended": Situation(
        policy=CORE_FLOW,
        expected=DEPLOYED | {(StateType.PAUSED, StateType.CANCELLING): "C"},
        run=DEPLOYMENT,
        current_details={"pause_reschedule": True},
    ),
    "suspended without deployment": Situation(
        policy=CORE_FLOW,
        expected=FLOW | rows("PAUSED k k k k k k k k C"),
        current_details={"pause_reschedule": True},
    ),
    "pause timed out": Situation(
        policy=CORE_FLOW,
        expected=FLOW | rows("PAUSED F k F F F F F k k"),
        current_details={"pause_timeout": PAST},
    ),
    "pause not timed out": Situation(
        policy=CORE_FLOW, expected=FLOW, current_details={"pause_timeout": FUTURE}
    ),
    "slot free": Situation(
        policy=CORE_FLOW, expected=DEPLOYED, run=DEPLOYMENT, facts=limited(active=1)
    ),
    "no slot, wait": Situation(
        policy=CORE_FLOW,
        expected=DEPLOYED | column(StateType.PENDING, "Q Q a a Q Q a Q Q k"),
        run=DEPLOYMENT,
        facts=limited(active=2),
    ),
    "no slot, cancel": Situation(
        policy=CORE_FLOW,
        expected=DEPLOYED | column(StateType.PENDING, "C C a a C C a C C k"),
        run=DEPLOYMENT,
        facts=limited(active=2, on_full=OnFull.CANCEL_NEW),
    ),
    "limit of zero": Situation(
        policy=CORE_FLOW,
        expected=DEPLOYED | column(StateType.PENDING, "a a a a a a a a a k"),
        run=DEPLOYMENT,
        facts=limited(active=0, limit=0),
    ),
    "deployment gone": Situation(
        policy=CORE_FLOW,
        expected=DEPLOYED | column(StateType.PENDING, "a a a a a a a a a k"),
        run=DEPLOYMENT,
        facts={"deployment": Deployment(id=SOME, found=False)},
    ),
    "worker holds slots": Situation(
        policy=CORE_FLOW,
        expected=DEPLOYED,
        run=DEPLOYMENT,
        facts=limited(active=2) | {"client_version": (3, 0, 2)},
    ),
    "lease lost, slot free": Situation(
        policy=CORE_FLOW,
        expected=DEPLOYED,
        run=DEPLOYMENT,
        facts=limited(active=1) | {"client_version": (3, 7, 4)},
        current_details={"deployment_concurrency_lease_id": SOME},
    ),
    "lease lost, no slot": Situation(
        policy=CORE_FLOW,
        expected=DEPLOYED
        | column(StateType.PENDING, "Q Q a a Q Q a Q Q k")
        | {(StateType.PENDING, StateType.RUNNING): "C"},
        run=DEPLOYMENT,
        facts=limited(active=2) | {"client_version": (3, 7, 4)},
        current_details={"deployment_concurrency_lease_id": SOME},
    ),
    "lease held, no other slot": Situation(
        policy=CORE_FLOW,
        expected=DEPLOYED | column(StateType.PENDING, "Q Q a a Q Q a Q Q k"),
        run=DEPLOYMENT,
        facts=limited(active=2) | {"client_version": (3, 7, 4), "lease_alive": True},
        current_details={"deployment_concurrency_lease_id": SOME},
    ),
    "lease unknown to an old client": Situation(
        policy=CORE_FLOW,
        expected=DEPLOYED | column(StateType.PENDING, "Q Q a a Q Q a Q Q k"),
        run=DEPLOYMENT,
        facts=limited(active=2) | {"client_version": (3, 4, 10)},
        current_details={"deployment_concurrency_lease_id": SOME},
    ),
}

TASK_SITUATIONS = {
    "alone": Situation(policy=CORE_TASK, expected=TASK),
    "flow running": Situation(
        policy=CORE_TASK,
        expected=TASK,
        run=CHILD,
        facts={"parent": Parent(state_type=StateType.RUNNING)},
    ),
    "flow without state": Situation(
        policy=CORE_TASK,
        expected=TASK | column(StateType.RUNNING, "a a a a a a a a a a"),
        run=CHILD,
        facts={"parent": Parent(state_type=None)},
    ),
    "flow paused": Situation(
        policy=CORE_TASK,
        expected=TASK | column(StateType.RUNNING, "N N N N N N N N N N"),
        run=CHILD,
        facts={"parent": Parent(state_type=StateType.PAUSED)},
    ),
    **{
        f"flow {other.value}": Situation(
            policy=CORE_TASK,
            expected=TASK | column(StateType.RUNNING, "a a a a a a a a a a"),
            run=CHILD,
            facts={"parent": Parent(state_type=other)},
        )
        for other in COLUMNS
        if other not in (StateType.RUNNING, StateType.PAUSED)
    },
    "result stored": Situation(
        policy=CORE_TASK,
        expected=TASK | rows("COMPLETED k k k k k k a a a"),
        current_data=STORED,
    ),
    "result not stored": Situation(
        policy=CORE_TASK, expected=TASK, current_data={"type": "unpersisted"}
    ),
    "due later": Situation(
        policy=CORE_TASK,
        expected=TASK
        | {
            (StateType.SCHEDULED, StateType.RUNNING): "w",
            (StateType.PENDING, StateType.RUNNING): "w",
        },
        current_details={"scheduled_time": FUTURE},
    ),
    "retries left": Situation(
        policy=CORE_TASK,
        expected=TASK | {(StateType.RUNNING, StateType.FAILED): "R"},
        run={"policy": TaskRunPolicy(retries=1), "run_count": 1},
    ),
    "old name of retries": Situation(
        policy=CORE_TASK,
        expected=TASK | {(StateType.RUNNING, StateType.FAILED): "R"},
        run={"policy": TaskRunPolicy(max_retries=1), "run_count": 1},
    ),
    "retries used up": Situation(
        policy=CORE_TASK,
        expected=TASK,
        run={"policy": TaskRunPolicy(retries=1), "run_count": 2},
    ),
    "not retriable": Situation(
        policy=CORE_TASK,
        expected=TASK,
        run={"policy": TaskRunPolicy(retries=1), "run_count": 1},
        proposed_details={"retriable": False},
    ),
    "cache hit": Situation(
        policy=CORE_TASK,
        expected=TASK | column(StateType.RUNNING, "H H H H H H H H H H"),
        facts={"cached": State(type=StateType.COMPLETED, timestamp=PAST, data=STORED)},
        proposed_details={"cache_key": "k"},
    ),
    "cache to be refreshed": Situation(
        policy=CORE_TASK,
        expected=TASK,
        facts={"cached": State(type=StateType.COMPLETED, timestamp=PAST, data=STORED)},
        proposed_details={"cache_key": "k", "refresh_cache": True},
    ),
    "overlong cache key": Situation(
        policy=CORE_TASK,
        expected=TASK | column(StateType.COMPLETED, "K K K K K K K K K K"),
        proposed_details={"cache_key": "k" * 2001},
    ),
    "longest cache key": Situation(
        policy=CORE_TASK, expected=TASK, proposed_details={"cache_key": "k" * 2000}
    ),
    "tag slot free": Situation(policy=CORE_TASK, expected=TASK, facts=tagged(active=0)),
    "no tag slot": Situation(
        policy=CORE_TASK,
        expected=TASK | column(StateType.RUNNING, "w w w w w w w w w w"),
        facts=tagged(active=1),
    ),
    "tag limit of zero": Situation(
        policy=CORE_TASK,
        expected=TASK | column(StateType.RUNNING, "a a a a a a a a a a"),
        facts=tagged(active=0, limit=0),
    ),
}

BACKGROUND = TASK | column(StateType.PENDING, ". . a a . . a . . a")

OTHER_SITUATIONS = {
    "forced flow": Situation(
        policy=MINIMAL_FLOW,
        expected=ALL_ACCEPTED | {(StateType.SCHEDULED, StateType.CANCELLING): "C"},
        current_details={"transition_id": SOME, "scheduled_time": FUTURE},
        proposed_details={"transition_id": SOME},
    ),
    "forced flow, result stored": Situation(
        policy=MINIMAL_FLOW,
        expected=ALL_ACCEPTED
        | {
            (StateType.SCHEDULED, StateType.CANCELLING): "C",
            (StateType.COMPLETED, StateType.COMPLETED): "k",
        },
        current_data=STORED,
    ),
    "forced flow, suspended": Situation(
        policy=MINIMAL_FLOW,
        expected=ALL_ACCEPTED
        | {
            (StateType.SCHEDULED, StateType.CANCELLING): "C",
            (StateType.PAUSED, StateType.CANCELLING): "C",
        },
        current_details={"pause_reschedule": True},
    ),
    "forced task": Situation(
        policy=MINIMAL_TASK,
        expected=ALL_ACCEPTED,
        run=CHILD | {"policy": TaskRunPolicy(retries=5)},
        facts={"parent": Parent(state_type=StateType.CANCELLED)},
        current_data=STORED,
    ),
    "marked late": Situation(
        policy=MARK_LATE,
        expected=ALL_ACCEPTED | column(StateType.SCHEDULED, "k . k k k k k k k k"),
        proposed={"name": "Late"},
    ),
    "marked late, no slot, cancel": Situation(
        policy=MARK_LATE,
        expected=ALL_ACCEPTED | column(StateType.SCHEDULED, "k C k k k k k k k k"),
        run=DEPLOYMENT,
        facts=limited(active=2, on_full=OnFull.CANCEL_NEW),
        proposed={"name": "Late"},
    ),
    "marked late, no slot, wait": Situation(
        policy=MARK_LATE,
        expected=ALL_ACCEPTED | column(StateType.SCHEDULED, "k . k k k k k k k k"),
        run=DEPLOYMENT,
        facts=limited(active=2),
        proposed={"name": "Late"},
    ),
    "background": Situation(policy=BACKGROUND_TASK, expected=BACKGROUND),
    "background, flow stopped": Situation(
        policy=BACKGROUND_TASK,
        expected=BACKGROUND,
        run=CHILD,
        facts={"parent": Parent(state_type=StateType.CANCELLED)},
    ),
    "background, flow gone": Situation(
        policy=BACKGROUND_TASK,
        expected=BACKGROUND | column(StateType.RUNNING, "a a a a a a a a a a"),
        run=CHILD,
    ),
    "background, result stored": Situation(
        policy=BACKGROUND_TASK,
        expected=BACKGROUND | rows("COMPLETED k k k k k k a a a"),
        current_data=STORED,
    ),
    "background, other pending name": Situation(
        policy=BACKGROUND_TASK,
        expected=BACKGROUND | {(StateType.PENDING, StateType.PENDING): "."},
        proposed={"name": "Submitted"},
    ),
    "background, due later": Situation(
        policy=BACKGROUND_TASK,
        expected=BACKGROUND
        | {
            (StateType.SCHEDULED, StateType.RUNNING): "w",
            (StateType.PENDING, StateType.RUNNING): "w",
        },
        current_details={"scheduled_time": FUTURE},
    ),
}

SITUATIONS = {
    **{f"flow run: {name}": situation for name, situation in FLOW_SITUATIONS.items()},
    **{f"task run: {name}": situation for name, situation in TASK_SITUATIONS.items()},
    **OTHER_SITUATIONS,
}


def decision(situation: Situation, start: StateType | None, end: StateType) -> Decision:
    kind = situation.policy.kind
    ordinary = FlowRunPolicy() if kind is RunKind.FLOW_RUN else TaskRunPolicy()
    run = Run(kind=kind, id=UUID(int=7), **{"policy": ordinary, **situation.run})
    state = None
    if start is not None:
        state = State(
            type=start,
            timestamp=PAST,
            data=situation.current_data,
            state_details=StateDetails(**situation.current_details),
            **situation.current,
        )
    facts = Facts(run=run, state=state, now=NOW, fresh_id=UUID(int=9), **situation.facts)
    proposal = proposal_of(
        end,
        NOW,
        data=situation.proposed_data,
        details=StateDetails(**situation.proposed_details),
        **situation.proposed,
    )
    return decide(facts, proposal, situation.policy)


def mark(outcome: Decision, end: StateType) -> str:
    if outcome.status is SetStateStatus.REJECT and outcome.state is not None:
        return {
            "Completed": "K",
            "Cancelled": "C",
            "Failed": "F",
            "AwaitingRetry": "R",
            "AwaitingConcurrencySlot": "Q",
            "NotReady": "N",
            "Cached": "H",
        }[outcome.state.name]
    if outcome.status is SetStateStatus.ACCEPT:
        assert outcome.state is not None and outcome.state.type is end
        return "."
    assert outcome.state is None and outcome.run is None and outcome.writes == ()
    marks = {SetStateStatus.REJECT: "k", SetStateStatus.ABORT: "a", SetStateStatus.WAIT: "w"}
    return marks[outcome.status]


@pytest.mark.parametrize("name", SITUATIONS)
def test_every_transition_of_the_situation(name: str) -> None:
    situation = SITUATIONS[name]
    assert len(situation.expected) == len(ROWS) * len(COLUMNS)
    found = {
        (start, end): mark(decision(situation, start, end), end)
        for start in ROWS
        for end in COLUMNS
    }
    different = {
        f"{start} -> {end}": f"{found[start, end]} expected {wanted}"
        for (start, end), wanted in situation.expected.items()
        if found[start, end] != wanted
    }
    assert different == {}


@pytest.mark.parametrize("name", SITUATIONS)
def test_whoever_is_refused_is_told_why(name: str) -> None:
    for start in ROWS:
        for end in COLUMNS:
            outcome = decision(SITUATIONS[name], start, end)
            assert (outcome.reason is None) == (outcome.status is SetStateStatus.ACCEPT)
            assert (outcome.delay_seconds > 0) == (outcome.status is SetStateStatus.WAIT)


@pytest.mark.parametrize(
    ("kind", "situations"),
    [(RunKind.FLOW_RUN, FLOW_SITUATIONS), (RunKind.TASK_RUN, TASK_SITUATIONS)],
)
def test_the_matrix_says_what_the_rules_do(kind: RunKind, situations: dict) -> None:
    expected = {}
    for cell in MATRIX[kind]:
        marks = {
            situation.expected[cell] == "."
            for name, situation in situations.items()
            if name != "same transition"
        }
        expected[cell] = {
            (True,): Permission.ALLOWED,
            (False,): Permission.REFUSED,
            (False, True): Permission.CONDITIONAL,
        }[tuple(sorted(marks))]
    assert MATRIX[kind] == expected


def test_decisions_are_repeatable() -> None:
    for situation in SITUATIONS.values():
        for start in ROWS:
            for end in COLUMNS:
                first = decision(situation, start, end)
                assert first == decision(situation, start, end)
