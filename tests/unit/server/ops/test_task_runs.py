"""Task runs made and read over the API."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.databases import World, wire

from penstock.schemas.errors import ObjectConflict, ObjectMissing, RequestInvalid
from penstock.schemas.filters import FlowFilter, NameFilter, TaskRunFilter
from penstock.schemas.logs import LogCreate
from penstock.schemas.states import StateCreate, StateType
from penstock.schemas.task_runs import (
    ParameterResult,
    TaskRunCreate,
    TaskRunHistoryBody,
    TaskRunResult,
    TaskRunsFilterBody,
    TaskRunsFilterPage,
    TaskRunsPaginateBody,
    TaskRunUpdate,
)
from penstock.server.ops import flow_runs, logs, task_runs

MISSING = str(UUID(int=1))


def create(world: World, **fields: Any) -> Any:
    body = TaskRunCreate(**{"task_key": "work", "dynamic_key": "0", **fields})
    return world.write(task_runs.create_task_run, body=body)


def test_a_task_run_is_known_by_its_keys(world: World) -> None:
    parent = world.flow_run(StateType.RUNNING)
    first = create(world, flow_run_id=UUID(parent))
    again = create(world, flow_run_id=UUID(parent), name="other")
    assert (first.created, again.created) == (True, False)
    assert wire(again.value) == wire(first.value)
    assert create(world, flow_run_id=UUID(parent), dynamic_key="1").created
    assert create(world, flow_run_id=UUID(world.flow_run())).created


def test_outside_a_flow_run_the_keys_suffice(world: World) -> None:
    first, again = create(world), create(world)
    assert (first.created, again.created) == (True, False)
    assert again.value.id == first.value.id


def test_labels_name_flow_and_run(world: World) -> None:
    parent = world.flow_run()
    flow_id = wire(world.read(flow_runs.read_flow_run, parent))["flow_id"]
    run = wire(create(world, flow_run_id=UUID(parent), labels={"a": 1}).value)
    assert run["labels"] == {"prefect.flow.id": flow_id, "prefect.flow-run.id": parent, "a": 1}
    assert run["state_type"] == run["state"]["type"] == "PENDING"
    assert wire(create(world, labels={"a": 1}).value)["labels"] == {"a": 1}


def test_creation_is_refused(world: World) -> None:
    with pytest.raises(ObjectConflict, match="create the flow run first"):
        create(world, flow_run_id=UUID(int=1))
    with pytest.raises(RequestInvalid, match="2001 characters"):
        create(world, cache_key="k" * 2001)
    id = UUID(create(world).value.id)
    with pytest.raises(ObjectConflict, match="other keys"):
        create(world, id=id, dynamic_key="other")


def test_inputs_come_back(world: World) -> None:
    source = uuid4()
    inputs = {"x": [TaskRunResult(id=source)], "y": [ParameterResult(name="p")]}
    run = wire(create(world, task_inputs=inputs).value)
    assert run["task_inputs"] == {
        "x": [{"input_type": "task_run", "id": str(source)}],
        "y": [{"input_type": "parameter", "name": "p"}],
    }


def test_only_the_name_changes(world: World) -> None:
    id = create(world).value.id
    before = wire(world.read(task_runs.read_task_run, id))
    world.clock.advance(1)
    world.write(task_runs.update_task_run, id, body=TaskRunUpdate())
    world.write(task_runs.update_task_run, id, body=TaskRunUpdate(name=before["name"]))
    assert wire(world.read(task_runs.read_task_run, id))["updated"] == before["updated"]
    world.write(task_runs.update_task_run, id, body=TaskRunUpdate(name="new"))
    after = wire(world.read(task_runs.read_task_run, id))
    assert (after["name"], after["updated"] > before["updated"]) == ("new", True)
    with pytest.raises(ObjectMissing):
        world.write(task_runs.update_task_run, MISSING, body=TaskRunUpdate(name="x"))


def test_lists_and_pages(world: World) -> None:
    parent = world.flow_run()
    made = [world.task_run(parent), world.task_run(parent)]
    lone = world.task_run()
    listed = world.read(task_runs.read_task_runs)
    assert [run.id for run in listed] == [lone, *made[::-1]]
    assert wire(listed[0]) == wire(world.read(task_runs.read_task_run, lone))
    of_flow = FlowFilter(name=NameFilter(any_=["etl"]))
    assert world.read(task_runs.count_task_runs, body=TaskRunsFilterBody(flows=of_flow)) == 2
    assert world.read(task_runs.count_task_runs) == 3
    page = world.read(task_runs.paginate_task_runs, body=TaskRunsPaginateBody(limit=2, page=2))
    assert [run.id for run in page.results] == [made[0]]
    assert (page.count, page.pages) == (3, 2)
    summary = wire(page.results[0])
    assert "labels" not in summary
    assert summary["state"]["type"] == "PENDING"
    page = world.read(task_runs.paginate_task_runs, body=TaskRunsPaginateBody(limit=0))
    assert (page.results, page.pages) == ([], 0)
    assert world.read(task_runs.read_task_runs, body=TaskRunsFilterPage(limit=0)) == []
    with pytest.raises(RequestInvalid):
        world.read(task_runs.read_task_runs, body=TaskRunsFilterPage(limit=201))


def test_history(world: World) -> None:
    parent = world.flow_run(StateType.RUNNING)
    world.task_run(parent, StateType.RUNNING)
    world.task_run(parent)
    body = TaskRunHistoryBody(
        history_start=world.now,
        history_end=world.now + timedelta(hours=1),
        history_interval_seconds=3600,
        task_runs=TaskRunFilter(),
    )
    (interval,) = wire(world.read(task_runs.task_run_history, body=body))
    counts = {state["state_name"]: state["count_runs"] for state in interval["states"]}
    assert counts == {"Running": 1, "Pending": 1}


def test_deleting(world: World) -> None:
    parent = world.flow_run()
    id = world.task_run(parent)
    child = world.flow_run(parent_task_run_id=UUID(id))
    record = LogCreate(level=20, message="m", name="n", timestamp=world.now, task_run_id=UUID(id))
    world.write(logs.create_logs, body=[record])
    world.write(task_runs.delete_task_run, id)
    assert world.rows("SELECT * FROM task_run_state") == world.rows("SELECT * FROM log") == []
    assert wire(world.read(flow_runs.read_flow_run, child))["parent_task_run_id"] is None
    assert world.events("penstock.") == ["penstock.task-run.deleted"]
    with pytest.raises(ObjectMissing):
        world.write(task_runs.delete_task_run, id)


def test_states_are_read(world: World) -> None:
    id = world.task_run(None, StateCreate(type=StateType.RUNNING, message="m"))
    (state,) = wire(world.read(task_runs.read_task_run_states, task_run_id=id))
    assert (state["type"], state["message"]) == ("RUNNING", "m")
    assert wire(world.read(task_runs.read_task_run_state, state["id"])) == state
    assert world.read(task_runs.read_task_run_states, task_run_id=MISSING) == []
    with pytest.raises(ObjectMissing):
        world.read(task_runs.read_task_run_state, MISSING)
