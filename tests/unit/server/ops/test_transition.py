"""Random sequences of proposals against a real store keep the invariants of transitions.

T2: a state id is decided once and repetitions get the stored answer.
T3: the version grows by one per placed state, and the history is a path in the matrix.
T4: a terminal run goes on only by starting over or by force, and that is recorded.
E1: every placed state of a flow run has exactly one event, and nothing else has one.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from tests.store.run_rows import events, put_flow_run, put_task_run, run_row, state_rows

from penstock.base import json
from penstock.base.clock import ManualClock
from penstock.base.ids import uuid7
from penstock.schemas.flow_runs import FlowRunPolicy
from penstock.schemas.states import (
    TERMINAL_STATES,
    OrchestrationResult,
    SetStateBody,
    SetStateStatus,
    StateCreate,
    StateDetails,
    StateType,
)
from penstock.schemas.task_runs import TaskRunPolicy
from penstock.server.domain.orchestration.facts import RunKind
from penstock.server.domain.orchestration.states import MATRIX, Permission
from penstock.server.ops.context import Context, Made
from penstock.server.ops.transition import set_flow_run_state, set_task_run_state
from penstock.server.store import Store, open_store
from penstock.server.store.transaction import Tx

SET_STATE = {RunKind.FLOW_RUN: set_flow_run_state, RunKind.TASK_RUN: set_task_run_state}

details = st.builds(
    StateDetails,
    scheduled_time=st.just(None),
    transition_id=st.sampled_from([None, None, UUID(int=1), UUID(int=2)]),
    pause_reschedule=st.booleans(),
    pause_key=st.sampled_from([None, "a"]),
    cache_key=st.sampled_from([None, "k"]),
)
steps = st.fixed_dictionaries(
    {
        "type": st.sampled_from(StateType),
        "name": st.sampled_from([None, None, None, "Late", "Submitting", "Resuming"]),
        "force": st.sampled_from([False, False, False, True]),
        "data": st.sampled_from([None, {"type": "unpersisted"}, {"type": "reference"}]),
        "details": details,
        "due_in": st.sampled_from([None, None, 0, 60]),
        "named": st.booleans(),
        "repeat": st.booleans(),
        "wait": st.sampled_from([0, 0, 1, 61]),
    }
)
runs = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(RunKind),
        "retries": st.sampled_from([None, 1, 2]),
        "deployed": st.booleans(),
    }
)


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, clock: ManualClock) -> Iterator[Store]:
    path: Path = tmp_path_factory.mktemp("transitions") / "store.db"
    opened = open_store(f"sqlite:///{path}", clock=clock)
    opened.start()
    yield opened
    opened.stop()


def made_run(tx: Tx, run: dict[str, Any]) -> str:
    if run["kind"] is RunKind.TASK_RUN:
        return put_task_run(tx, empirical_policy=TaskRunPolicy(retries=run["retries"]))
    deployment_id = str(uuid7()) if run["deployed"] else None
    policy = FlowRunPolicy(retries=run["retries"])
    return put_flow_run(tx, empirical_policy=policy, deployment_id=deployment_id)


def body_of(step: dict[str, Any], clock: ManualClock) -> SetStateBody:
    asked = json.decode(json.encode(step["details"]), StateDetails)
    if step["due_in"] is not None:
        due = clock.now() + timedelta(seconds=step["due_in"])
        asked = json.decode(
            json.encode({**json.decode(json.encode(asked)), "scheduled_time": due}), StateDetails
        )
    state = StateCreate(
        type=step["type"],
        name=step["name"],
        data=step["data"],
        state_details=asked,
        id=uuid7() if step["named"] else UNSET,
    )
    return SetStateBody(state=state, force=step["force"])


@settings(max_examples=60, deadline=None)
@given(run=runs, sequence=st.lists(steps, min_size=1, max_size=12))
def test_invariants(
    store: Store, clock: ManualClock, run: dict[str, Any], sequence: list[dict[str, Any]]
) -> None:
    kind: RunKind = run["kind"]
    id = store.write_sync(made_run, run)
    before_events = len(store.read_sync(events))
    placed = 0
    for step in sequence:
        clock.advance(step["wait"])
        body = body_of(step, clock)
        before = store.read_sync(run_row, kind.value, id)
        made: Made[OrchestrationResult] = store.write_sync(
            SET_STATE[kind], Context(), id, body=body
        )
        after = store.read_sync(run_row, kind.value, id)
        placed += made.created
        check_answer(made, before, after)
        check_path(kind, body, made, before)
        if step["repeat"] and step["named"] and made.created:
            check_repetition(store, kind, id, body, made, after)
    check_history(store, kind, id, placed)
    told = store.read_sync(events)[before_events:]
    assert len(told) == (placed if kind is RunKind.FLOW_RUN else 0)


def check_answer(made: Made[OrchestrationResult], before: dict, after: dict) -> None:
    assert after["version"] == before["version"] + made.created
    if not made.created:
        assert after == before
        assert made.value.status is not SetStateStatus.ACCEPT
        stored = str(made.value.state.id) if made.value.state else None
        assert stored == before["state_id"]
        return
    state = made.value.state
    assert state is not None
    assert (after["state_id"], after["state_type"]) == (str(state.id), state.type.value)
    assert made.value.status in (SetStateStatus.ACCEPT, SetStateStatus.REJECT)
    ended = state.type in TERMINAL_STATES
    assert (after["end_time"] is not None) == ended
    assert after["start_time"] is not None or after["run_count"] == 0
    assert after["total_run_time"] >= before["total_run_time"]


def check_path(
    kind: RunKind, body: SetStateBody, made: Made[OrchestrationResult], before: dict
) -> None:
    if made.value.status is not SetStateStatus.ACCEPT:
        return
    start = StateType(before["state_type"]) if before["state_type"] else None
    if not body.force:
        assert MATRIX[kind][start, body.state.type] is not Permission.REFUSED
    assert made.value.state is not None and made.value.state.type is body.state.type


def check_repetition(
    store: Store,
    kind: RunKind,
    id: str,
    body: SetStateBody,
    made: Made[OrchestrationResult],
    after: dict,
) -> None:
    again = store.write_sync(SET_STATE[kind], Context(), id, body=body)
    assert not again.created
    assert json.encode(again.value) == json.encode(made.value)
    assert store.read_sync(run_row, kind.value, id) == after


def check_history(store: Store, kind: RunKind, id: str, placed: int) -> None:
    row = store.read_sync(run_row, kind.value, id)
    states = store.read_sync(state_rows, kind.value, id)
    assert row["version"] == placed == len(states)
    if states:
        assert states[-1]["id"] == row["state_id"]
    if kind is RunKind.TASK_RUN:
        return
    for event in store.read_sync(events)[-placed:] if placed else []:
        left = event["payload"]["initial_state"]
        if left is not None and StateType(left["type"]) in TERMINAL_STATES:
            assert event["payload"]["intended"]["from"] == left["type"]


@settings(max_examples=40, deadline=None)
@given(
    ended=st.sampled_from(sorted(TERMINAL_STATES)),
    end=st.sampled_from([t for t in StateType if t not in TERMINAL_STATES]),
    force=st.booleans(),
    deployed=st.booleans(),
    stored=st.booleans(),
)
def test_a_terminal_flow_run_goes_on_only_by_starting_over_or_by_force(
    store: Store, ended: StateType, end: StateType, force: bool, deployed: bool, stored: bool
) -> None:
    run = {"kind": RunKind.FLOW_RUN, "retries": None, "deployed": deployed}
    id = store.write_sync(made_run, run)
    data = {"type": "reference"} if stored else None
    first = SetStateBody(state=StateCreate(type=ended, data=data), force=True)
    before = store.write_sync(set_flow_run_state, Context(), id, body=first).value.state
    second = SetStateBody(state=StateCreate(type=end), force=force)
    made = store.write_sync(set_flow_run_state, Context(), id, body=second)
    row = store.read_sync(run_row, "flow_run", id)
    if not made.created:
        assert not force
        assert row["state_type"] == ended and row["end_time"] is not None
        return
    assert row["state_type"] == end and row["end_time"] is None
    event = store.read_sync(events)[-1]
    assert before is not None
    assert event["follows"] == str(before.id) and event["payload"]["intended"]["from"] == ended
    if not force:
        assert end in (StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING)
        assert not (ended is StateType.COMPLETED and stored)
        wanted = "reschedule" if end is StateType.SCHEDULED else None
        assert row["empirical_policy"]["retry_type"] == wanted
