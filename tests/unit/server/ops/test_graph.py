"""Graphs of flow runs."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.databases import World, wire

from penstock.schemas.errors import ObjectMissing, Refusal
from penstock.schemas.states import SetStateBody, StateCreate, StateType
from penstock.schemas.task_runs import ConstantResult, TaskRunResult
from penstock.server.ops import flow_runs, graph, task_runs


def taking(*ids: str) -> list[TaskRunResult]:
    return [TaskRunResult(id=UUID(id)) for id in ids]


def v2(world: World, run: str, **query: Any) -> dict[str, Any]:
    return wire(world.read(graph.read_flow_run_graph_v2, run, **query))


def ids(edges: list[dict[str, str]]) -> list[str]:
    return [edge["id"] for edge in edges]


@pytest.fixture
def diamond(world: World) -> tuple[str, list[str]]:
    run = world.flow_run(StateType.RUNNING)
    tasks: list[str] = []
    for name, sources in (("a", []), ("b", [0]), ("c", [0]), ("d", [1, 2])):
        world.clock.advance(1)
        inputs = {"x": [*taking(*(tasks[n] for n in sources)), ConstantResult(type="int")]}
        tasks.append(world.task_run(run, StateType.RUNNING, name=name, task_inputs=inputs))
    return run, tasks


def test_nodes_and_edges(world: World, diamond: tuple[str, list[str]]) -> None:
    run, tasks = diamond
    answer = v2(world, run)
    assert [id for id, _ in answer["nodes"]] == tasks
    nodes = dict(answer["nodes"])
    assert answer["root_node_ids"] == [tasks[0]]
    assert sorted(ids(nodes[tasks[0]]["children"])) == sorted(tasks[1:3])
    assert ids(nodes[tasks[3]]["parents"]) == tasks[1:3]
    assert nodes[tasks[3]]["label"] == "d"
    assert nodes[tasks[3]]["kind"] == "task-run"
    assert [state["type"] for state in answer["states"]] == ["RUNNING"]
    assert answer["artifacts"] == []


def test_pending_task_runs_are_not_shown(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    world.task_run(run, StateType.PENDING)
    shown = world.task_run(run, StateType.COMPLETED)
    (node,) = [node for _, node in v2(world, run)["nodes"]]
    assert node["id"] == shown
    assert node["end_time"] == node["start_time"] == wire(world.now)


def test_a_subflow_run_stands_for_its_task_run(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    stub = world.task_run(run, StateType.RUNNING, key="stub")
    child = world.flow_run(
        StateType.RUNNING, flow="child", name="kid", parent_task_run_id=UUID(stub)
    )
    world.clock.advance(1)
    after = world.task_run(run, StateType.RUNNING, task_inputs={"x": taking(stub)})
    nodes = dict(v2(world, run)["nodes"])
    assert set(nodes) == {child, after}
    assert (nodes[child]["kind"], nodes[child]["label"]) == ("flow-run", "child / kid")
    assert ids(nodes[after]["parents"]) == [child]
    assert ids(nodes[child]["children"]) == [after]


def test_nested_tasks_are_encapsulated(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    outer = world.task_run(run, StateType.RUNNING)
    world.clock.advance(1)
    inner = world.task_run(run, StateType.RUNNING, task_inputs={"__parents__": taking(outer)})
    answer = v2(world, run)
    node = dict(answer["nodes"])[inner]
    assert (ids(node["encapsulating"]), node["parents"]) == ([outer], [])
    assert answer["root_node_ids"] == [outer]


def test_since_leaves_out_what_has_ended(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    old = world.task_run(run, StateType.RUNNING)
    world.clock.advance(10)
    done = SetStateBody(state=StateCreate(type=StateType.COMPLETED), force=True)
    world.write(task_runs.set_task_run_state, old, body=done)
    running = world.task_run(run, StateType.RUNNING)
    since = world.now + timedelta(seconds=1)
    assert [id for id, _ in v2(world, run, since=since)["nodes"]] == [running]
    assert [id for id, _ in v2(world, run, since=world.now)["nodes"]] == [old, running]


def test_graphs_that_are_too_large_are_refused(
    world: World, diamond: tuple[str, list[str]]
) -> None:
    run, _ = diamond
    world.limited(graph_nodes=3)
    with pytest.raises(Refusal, match="more than 3") as refused:
        v2(world, run)
    assert refused.value.status == 400
    world.limited(graph_nodes=4)
    assert len(v2(world, run)["nodes"]) == 4


def test_the_first_version_lists_dependencies(world: World, diamond: tuple[str, list[str]]) -> None:
    run, tasks = diamond
    world.clock.advance(5)
    answer = wire(world.read(graph.read_flow_run_graph_v1, run))
    by_id = {entry["id"]: entry for entry in answer}
    assert ids(by_id[tasks[3]]["upstream_dependencies"]) == tasks[1:3]
    assert by_id[tasks[3]]["estimated_run_time"] == 5.0
    assert by_id[tasks[0]]["upstream_dependencies"] == []
    assert by_id[tasks[0]]["untrackable_result"] is False


def test_unknown_runs_are_refused(world: World) -> None:
    for op in (graph.read_flow_run_graph_v1, graph.read_flow_run_graph_v2):
        with pytest.raises(ObjectMissing):
            world.read(op, str(UUID(int=1)))


def test_a_run_without_tasks_has_an_empty_graph(world: World) -> None:
    run = world.flow_run(StateType.COMPLETED)
    answer = v2(world, run)
    assert (answer["nodes"], answer["root_node_ids"]) == ([], [])
    stored = wire(world.read(flow_runs.read_flow_run, run))
    assert answer["end_time"] == stored["end_time"]
