"""Single flow runs: made once, changed by what is given, deleted with all that is theirs."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.databases import World, scheduled, wire

from penstock.schemas.errors import ObjectConflict, ObjectMissing, Refusal, RequestInvalid
from penstock.schemas.flow_runs import (
    FlowRunBegin,
    FlowRunCreate,
    FlowRunInputCreate,
    FlowRunPolicy,
    FlowRunUpdate,
)
from penstock.schemas.flows import FlowCreate
from penstock.schemas.logs import LogCreate
from penstock.schemas.states import SetStateBody, StateCreate, StateDetails, StateType
from penstock.server.ops import flow_run_inputs, flow_runs, logs, task_runs

MISSING = str(UUID(int=1))


def test_a_run_begins_pending_with_a_name_and_labels(world: World) -> None:
    flow_id = world.flow("etl")
    made = world.write(flow_runs.create_flow_run, body=FlowRunCreate(flow_id=UUID(flow_id)))
    run = wire(made.value)
    assert made.created
    assert run["state_type"] == run["state"]["type"] == "PENDING"
    assert run["labels"] == {"prefect.flow.id": flow_id}
    assert len(run["name"].split("-")) == 2
    assert run["expected_start_time"] == run["created"]
    assert wire(world.read(flow_runs.read_flow_run, run["id"])) == run
    assert world.events("prefect.flow-run.") == ["prefect.flow-run.Pending"]


@pytest.mark.parametrize(
    "state",
    [
        StateCreate(type=StateType.RUNNING, message="go"),
        StateCreate(type=StateType.COMPLETED, data={"type": "reference", "key": "k"}),
        StateCreate(type=StateType.SCHEDULED),
        StateCreate(type=StateType.PENDING, name="Submitting"),
    ],
    ids=lambda state: state.type.value,
)
def test_the_answer_of_a_creation_is_what_is_stored(world: World, state: StateCreate) -> None:
    policy = FlowRunPolicy(retries=2, resuming=True)
    body = FlowRunBegin(
        flow=FlowCreate(name="etl"),
        run=FlowRunCreate(flow_id=uuid4(), state=state, empirical_policy=policy),
    )
    run = world.write(flow_runs.begin_flow_run, body=body)
    assert wire(run) == wire(world.read(flow_runs.read_flow_run, run.id))


def test_begin_costs_six_statements(world: World) -> None:
    world.flow("etl")
    body = FlowRunBegin(flow=FlowCreate(name="etl"), run=FlowRunCreate(flow_id=uuid4()))
    before = world.store.statistics.snapshot()
    world.write(flow_runs.begin_flow_run, body=body)
    after = world.store.statistics.snapshot()
    assert after[0] - before[0] == 1
    assert after[1] - before[1] <= 6


def test_begin_is_repeatable_by_id(world: World) -> None:
    run = FlowRunCreate(flow_id=uuid4(), id=uuid4(), parameters={"x": 1})
    body = FlowRunBegin(flow=FlowCreate(name="etl"), run=run)
    first = world.write(flow_runs.begin_flow_run, body=body)
    events = world.events()
    again = world.write(flow_runs.begin_flow_run, body=body)
    assert first.id == str(run.id)
    assert wire(again) == wire(first)
    assert world.events() == events
    other = FlowRunBegin(flow=FlowCreate(name="other"), run=run)
    with pytest.raises(ObjectConflict, match="another flow"):
        world.write(flow_runs.begin_flow_run, body=other)


def test_creation_is_repeatable_by_idempotency_key(world: World) -> None:
    flow_id = UUID(world.flow("etl"))
    body = FlowRunCreate(flow_id=flow_id, idempotency_key="k", parameters={"x": 1})
    first = world.write(flow_runs.create_flow_run, body=body)
    body = FlowRunCreate(flow_id=flow_id, idempotency_key="k", parameters={"x": 2})
    again = world.write(flow_runs.create_flow_run, body=body)
    assert (first.created, again.created) == (True, False)
    assert again.value.id == first.value.id
    assert wire(again.value)["parameters"] == {"x": 1}
    elsewhere = FlowRunCreate(flow_id=UUID(world.flow("b")), idempotency_key="k")
    assert world.write(flow_runs.create_flow_run, body=elsewhere).created


@pytest.mark.parametrize("by", ["id", "key"])
def test_repetitions_at_the_same_time_make_one_run(world: World, by: str) -> None:
    same: dict[str, Any] = {"id": uuid4()} if by == "id" else {"idempotency_key": "k"}
    run = FlowRunCreate(flow_id=UUID(int=0), **same)
    body = FlowRunBegin(flow=FlowCreate(name="etl"), run=run)
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(world.write, flow_runs.begin_flow_run, body=body) for _ in range(16)]
        answers = [wire(call.result()) for call in calls]
    assert len({answer["id"] for answer in answers}) == 1
    assert {answer["state"]["type"] for answer in answers} == {"PENDING"}
    assert world.events("prefect.flow") == ["prefect.flow.created", "prefect.flow-run.Pending"]


def test_creation_is_refused(world: World) -> None:
    flow_id = UUID(world.flow("etl"))
    with pytest.raises(ObjectConflict, match="create the flow first"):
        world.write(flow_runs.create_flow_run, body=FlowRunCreate(flow_id=UUID(int=1)))
    with pytest.raises(ObjectMissing, match="work pool 'gpu'"):
        body = FlowRunCreate(flow_id=flow_id, work_pool_name="gpu")
        world.write(flow_runs.create_flow_run, body=body)
    world.limited(parameter_bytes=10)
    with pytest.raises(RequestInvalid, match="limit is 10"):
        body = FlowRunCreate(flow_id=flow_id, parameters={"long": "x" * 20})
        world.write(flow_runs.create_flow_run, body=body)
    assert world.rows("SELECT id FROM flow_run") == []


def test_estimates_follow_the_clock(world: World) -> None:
    late = world.flow_run(scheduled(world.now + timedelta(seconds=10)))
    running = world.flow_run(StateType.RUNNING)
    world.clock.advance(30)
    run = wire(world.read(flow_runs.read_flow_run, late))
    assert run["estimated_start_time_delta"] == 20.0
    run = wire(world.read(flow_runs.read_flow_run, running))
    assert (run["estimated_run_time"], run["total_run_time"]) == (30.0, 0.0)


def test_only_given_members_change(world: World) -> None:
    id = world.flow_run(name="n", flow_version="1", parameters={"a": 1}, tags=["t"])
    before = wire(world.read(flow_runs.read_flow_run, id))
    world.clock.advance(1)
    world.write(
        flow_runs.update_flow_run,
        id,
        body=FlowRunUpdate(flow_version=None, infrastructure_pid="host:1", name=None),
    )
    after = wire(world.read(flow_runs.read_flow_run, id))
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {
        "flow_version",
        "infrastructure_pid",
        "updated",
        "estimated_start_time_delta",
    }
    (event,) = world.rows("SELECT * FROM event WHERE event = ?", "penstock.flow-run.updated")
    assert wire(event["payload"]) == {"updated_fields": ["flow_version", "infrastructure_pid"]}


def test_a_change_of_nothing_writes_nothing(world: World) -> None:
    id = world.flow_run(name="n", parameters={"a": 1}, tags=["t"])
    before = wire(world.read(flow_runs.read_flow_run, id))
    same = FlowRunUpdate(
        name="n", parameters={"a": 1}, tags=["t"], empirical_policy=FlowRunPolicy()
    )
    world.clock.advance(1)
    world.write(flow_runs.update_flow_run, id, body=same)
    world.write(flow_runs.update_flow_run, id, body=FlowRunUpdate())
    after = wire(world.read(flow_runs.read_flow_run, id))
    assert after["updated"] == before["updated"]
    assert world.events("penstock.") == []


def test_updates_are_refused(world: World) -> None:
    id = world.flow_run(StateType.RUNNING)
    with pytest.raises(ObjectMissing):
        world.write(flow_runs.update_flow_run, MISSING, body=FlowRunUpdate(name="x"))
    with pytest.raises(Refusal, match="still scheduled") as refused:
        world.write(flow_runs.update_flow_run, id, body=FlowRunUpdate(job_variables={"a": 1}))
    assert refused.value.status == 400
    world.limited(parameter_bytes=5)
    with pytest.raises(RequestInvalid):
        world.write(flow_runs.update_flow_run, id, body=FlowRunUpdate(parameters={"a": "long"}))


def test_job_variables_of_a_scheduled_deployed_run_change(world: World) -> None:
    id = world.flow_run(scheduled(world.now), deployment_id=uuid4())
    world.write(flow_runs.update_flow_run, id, body=FlowRunUpdate(job_variables={"cpu": 2}))
    assert wire(world.read(flow_runs.read_flow_run, id))["job_variables"] == {"cpu": 2}


def test_labels_are_merged(world: World) -> None:
    id = world.flow_run(labels={"a": 1, "b": "x"})
    world.write(flow_runs.update_flow_run_labels, id, body={"b": True, "c": 1.5})
    labels = wire(world.read(flow_runs.read_flow_run, id))["labels"]
    assert labels.items() >= {"a": 1, "b": True, "c": 1.5}.items()
    assert "prefect.flow.id" in labels
    with pytest.raises(RequestInvalid, match="'d'"):
        world.write(flow_runs.update_flow_run_labels, id, body={"d": {"nested": 1}})
    with pytest.raises(ObjectMissing):
        world.write(flow_runs.update_flow_run_labels, MISSING, body={"a": 1})


def test_deleting_takes_everything_along(world: World) -> None:
    paused = StateCreate(
        type=StateType.PAUSED,
        state_details=StateDetails(pause_timeout=world.now + timedelta(hours=1)),
    )
    id = world.flow_run(StateType.RUNNING)
    child = world.subflow_run(id)
    world.store.write_sync(
        lambda tx: tx.run("timer.set", kind="pause-expiry", key=id, due=world.now, payload=paused)
    )
    world.write(
        flow_run_inputs.create_flow_run_input, id, body=FlowRunInputCreate(key="k", value="v")
    )
    record = LogCreate(level=20, message="m", name="n", timestamp=world.now, flow_run_id=UUID(id))
    world.write(logs.create_logs, body=[record])
    world.write(flow_runs.delete_flow_run, id)
    for table in ("task_run", "task_run_state", "flow_run_input", "log", "timer"):
        assert world.rows(f"SELECT * FROM {table}") == [], table
    assert wire(world.read(flow_runs.read_flow_run, child))["parent_task_run_id"] is None
    assert world.events("penstock.") == ["penstock.flow-run.deleted"]
    with pytest.raises(ObjectMissing):
        world.write(flow_runs.delete_flow_run, id)
    with pytest.raises(ObjectMissing):
        world.read(flow_runs.read_flow_run, id)


def test_a_history_is_read_in_order(world: World) -> None:
    id = world.flow_run(scheduled(world.now))
    world.clock.advance(1)
    body = SetStateBody(state=StateCreate(type=StateType.PENDING))
    world.write(flow_runs.set_flow_run_state, id, body=body)
    states = wire(world.read(flow_runs.read_flow_run_states, flow_run_id=id))
    assert [state["type"] for state in states] == ["SCHEDULED", "PENDING"]
    assert wire(world.read(flow_runs.read_flow_run_state, states[0]["id"])) == states[0]
    assert world.read(flow_runs.read_flow_run_states, flow_run_id=MISSING) == []
    with pytest.raises(ObjectMissing):
        world.read(flow_runs.read_flow_run_state, MISSING)


def test_task_runs_of_deleted_runs_are_gone(world: World) -> None:
    id = world.flow_run(StateType.RUNNING)
    task = world.task_run(id)
    world.write(flow_runs.delete_flow_run, id)
    with pytest.raises(ObjectMissing):
        world.read(task_runs.read_task_run, task)


def test_stored_documents_come_back_as_they_were(world: World) -> None:
    parameters = {"text": 'quote " backslash \\ é ☃', "list": [1, None, True], "deep": {"x": {}}}
    id = world.flow_run(parameters=parameters, context={"a": [1]})
    run = json.loads(json.dumps(wire(world.read(flow_runs.read_flow_run, id))))
    assert run["parameters"] == parameters
    assert run["context"] == {"a": [1]}
