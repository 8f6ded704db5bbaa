"""Artifacts, the newest of each key, and the results of runs among them."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.databases import World, wire

from penstock.base import json
from penstock.schemas.artifacts import (
    ArtifactCollectionFilter,
    ArtifactCreate,
    ArtifactFilter,
    ArtifactFilterKey,
    ArtifactsFilterPage,
    ArtifactSort,
    ArtifactUpdate,
    LatestArtifactsFilterPage,
)
from penstock.schemas.errors import ObjectConflict, ObjectMissing
from penstock.schemas.filters import (
    AnyIdFilter,
    FlowFilter,
    FlowRunFilter,
    IdFilter,
    NameFilter,
    TaskRunFilter,
    TextFilter,
)
from penstock.schemas.shapes import Operator
from penstock.schemas.states import SetStateBody, StateCreate, StateType
from penstock.server.ops import artifacts, flow_runs, graph, task_runs


def create(world: World, key: str | None = None, data: Any = None, **fields: Any) -> str:
    body = ArtifactCreate(key=key, data=data, **fields)
    made = world.write(artifacts.create_artifact, body=body)
    assert made.created
    return made.value.id


def read(world: World, id: str) -> dict[str, Any]:
    return wire(world.read(artifacts.read_artifact, id))


def listed(world: World, **filters: Any) -> list[str]:
    body = ArtifactsFilterPage(**filters)
    found = [one["id"] for one in wire(world.read(artifacts.read_artifacts, body=body))]
    assert world.read(artifacts.count_artifacts, body=body) == len(found)
    return found


def latest(world: World, **filters: Any) -> list[dict[str, Any]]:
    body = LatestArtifactsFilterPage(**filters)
    found = wire(world.read(artifacts.read_latest_artifacts, body=body))
    assert world.read(artifacts.count_latest_artifacts, body=body) == len(found)
    return found


def told(world: World) -> list[tuple[str, str, dict[str, Any]]]:
    rows = world.rows("SELECT * FROM event ORDER BY seq")
    return [
        (row["event"], row["resource_id"], json.decode(row["payload"]))
        for row in rows
        if "artifact" in row["event"]
    ]


def roles(world: World) -> list[dict[str, str]]:
    """Of each event the ids of related resources by role, without the actor's."""
    rows = world.rows("SELECT related FROM event WHERE event LIKE '%artifact%' ORDER BY seq")
    return [
        {
            one["prefect.resource.role"]: one["prefect.resource.id"]
            for one in json.decode(row["related"])
            if one["prefect.resource.role"] != "actor"
        }
        for row in rows
    ]


def test_an_artifact_comes_back_as_it_was_given(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    task = world.task_run(run, StateType.RUNNING)
    fields = {"type": "table", "description": "d", "metadata_": {"a": "x" * 501, "b": "y"}}
    id = create(
        world, "report", [{"a": 1}], flow_run_id=UUID(run), task_run_id=UUID(task), **fields
    )
    made = read(world, id)
    assert made.pop("created") == made.pop("updated")
    assert made == {
        "id": id,
        "key": "report",
        "data": [{"a": 1}],
        "type": "table",
        "description": "d",
        "metadata_": {"a": "x" * 500, "b": "y"},
        "flow_run_id": run,
        "task_run_id": task,
    }


def test_without_a_key_nothing_is_collected_or_told(world: World) -> None:
    create(world, data="x", type="markdown")
    assert latest(world) == []
    assert told(world) == []


def test_the_newest_of_a_key(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    first = create(world, "report", 1, type="progress")
    [before] = latest(world)
    world.clock.advance(5)
    second = create(world, "report", 2, description="more", flow_run_id=UUID(run))
    [after] = latest(world)
    assert (before["latest_id"], after["latest_id"]) == (first, second)
    assert (after["id"], after["created"]) == (before["id"], before["created"])
    assert after["updated"] > before["updated"]
    assert (after["data"], after["type"], after["description"]) == (2, None, "more")
    by_key = wire(world.read(artifacts.read_latest_artifact, "report"))
    assert (by_key["id"], by_key["data"], by_key["flow_run_id"]) == (after["id"], 2, run)
    resource = f"prefect.artifact-collection.{after['id']}"
    content = {"key": "report", "description": None}
    assert told(world) == [
        (
            "prefect.artifact-collection.created",
            resource,
            {**content, "type": "progress", "data": 1},
        ),
        (
            "prefect.artifact-collection.updated",
            resource,
            {**content, "type": None, "data": 2, "description": "more"},
        ),
    ]
    assert roles(world) == [
        {"latest": f"prefect.artifact.{first}"},
        {"latest": f"prefect.artifact.{second}", "flow-run": f"prefect.flow-run.{run}"},
    ]


def test_editing_the_newest_edits_its_key_too(world: World) -> None:
    older = create(world, "report", 1)
    newest = create(world, "report", 2, metadata_={"a": "b"})
    body = ArtifactUpdate(data=3, description="d")
    world.write(artifacts.update_artifact, newest, body=body)
    assert (read(world, newest)["data"], latest(world)[0]["data"]) == (3, 3)
    assert read(world, newest)["metadata_"] == latest(world)[0]["metadata_"] == {"a": "b"}
    world.write(artifacts.update_artifact, older, body=ArtifactUpdate(data=0))
    assert (read(world, older)["data"], latest(world)[0]["data"]) == (0, 3)
    events = [event for event, _, _ in told(world)]
    assert events[2:] == [
        "penstock.artifact.updated",
        "prefect.artifact-collection.updated",
        "penstock.artifact.updated",
    ]
    cause, effect = world.rows("SELECT * FROM audit ORDER BY seq")[2:4]
    assert effect["caused_by"] == cause["id"]
    assert {one["path"] for one in json.decode(cause["changes"])} == {"/data", "/description"}


def test_a_change_of_nothing_is_none(world: World) -> None:
    id = create(world, "report", {"a": 1}, description="d")
    made = read(world, id)
    world.clock.advance(10)
    for body in (ArtifactUpdate(), ArtifactUpdate(data={"a": 1}, description="d", metadata_=None)):
        world.write(artifacts.update_artifact, id, body=body)
    assert read(world, id) == made
    assert [event for event, _, _ in told(world)] == ["prefect.artifact-collection.created"]


def test_deleting_gives_the_key_to_the_one_before(world: World) -> None:
    oldest, middle, newest = (create(world, "report", number) for number in (1, 2, 3))
    world.write(artifacts.delete_artifact, middle)
    assert latest(world)[0]["latest_id"] == newest
    world.write(artifacts.delete_artifact, newest)
    assert (latest(world)[0]["latest_id"], latest(world)[0]["data"]) == (oldest, 1)
    world.write(artifacts.delete_artifact, oldest)
    assert latest(world) == []
    with pytest.raises(ObjectMissing, match="'report'"):
        world.read(artifacts.read_latest_artifact, "report")
    assert [event for event, _, _ in told(world)][3:] == [
        "penstock.artifact.deleted",
        "penstock.artifact.deleted",
        "prefect.artifact-collection.updated",
        "penstock.artifact.deleted",
        "prefect.artifact-collection.deleted",
    ]
    # The collection as it was before it was gone.
    assert told(world)[-1][2]["data"] == 1


def test_a_missing_artifact_is_named(world: World) -> None:
    id = str(uuid4())
    with pytest.raises(ObjectMissing, match=id):
        world.read(artifacts.read_artifact, id)
    with pytest.raises(ObjectMissing, match=id):
        world.write(artifacts.update_artifact, id, body=ArtifactUpdate(data=1))
    with pytest.raises(ObjectMissing, match=id):
        world.write(artifacts.delete_artifact, id)


def test_lists(world: World) -> None:
    run = world.flow_run(StateType.RUNNING, flow="etl")
    task = world.task_run(run, StateType.RUNNING, name="loading")
    a = create(world, "a-key", 1, type="table", flow_run_id=UUID(run), task_run_id=UUID(task))
    b = create(world, "b-key", 2, type="markdown", flow_run_id=UUID(run))
    c = create(world, None, 3, type="progress")
    assert listed(world) == [c, b, a]
    assert listed(world, sort=ArtifactSort.KEY_ASC) == [c, a, b]
    assert listed(world, sort=ArtifactSort.KEY_DESC) == [b, a, c]
    assert listed(world, flow_runs=FlowRunFilter(), flows=FlowFilter()) == [c, b, a]
    assert listed(world, flows=FlowFilter(name=NameFilter(any_=["etl"]))) == [b, a]
    assert listed(world, flows=FlowFilter(name=NameFilter(any_=["other"]))) == []
    assert listed(world, flow_runs=FlowRunFilter(id=IdFilter(any_=[UUID(run)]))) == [b, a]
    assert listed(world, task_runs=TaskRunFilter(name=NameFilter(any_=["loading"]))) == [a]

    def where(**conditions: Any) -> list[str]:
        return listed(world, artifacts=ArtifactFilter(**conditions))

    assert where(id=AnyIdFilter(any_=[UUID(c)])) == [c]
    assert where(key=ArtifactFilterKey(any_=["a-key"])) == [a]
    assert where(key=ArtifactFilterKey(like_="KEY")) == [b, a]
    assert where(key=ArtifactFilterKey(exists_=False)) == [c]
    assert where(key=ArtifactFilterKey(exists_=True)) == [b, a]
    assert where(type=TextFilter(not_any_=["table"])) == [c, b]
    assert where(type=TextFilter(any_=["table"])) == [a]
    assert where(task_run_id=AnyIdFilter(any_=[UUID(task)])) == [a]
    assert where(flow_run_id=AnyIdFilter(any_=[])) == []
    either = {"key": ArtifactFilterKey(any_=["a-key"]), "type": TextFilter(any_=["progress"])}
    assert where(operator=Operator.OR, **either) == [c, a]

    only = ArtifactCollectionFilter(latest_id=AnyIdFilter(any_=[UUID(b)]))
    assert [one["key"] for one in latest(world, artifacts=only)] == ["b-key"]
    of_task = TaskRunFilter(name=NameFilter(any_=["loading"]))
    assert [one["key"] for one in latest(world, task_runs=of_task)] == ["a-key"]


# --- results -------------------------------------------------------------------------------------


def finish(world: World, op: Any, id: str, data: Any) -> str:
    body = SetStateBody(state=StateCreate(type=StateType.COMPLETED, data=data))
    return wire(world.write(op, id, body=body).value)["state"]["id"]


@pytest.fixture
def run(world: World) -> str:
    return world.flow_run(StateType.RUNNING)


@pytest.mark.parametrize("data", [{"storage_key": "k"}, {"type": "reference"}, "text", [1], 0])
def test_the_result_of_a_run_is_an_artifact(world: World, run: str, data: Any) -> None:
    task = world.task_run(run, StateType.RUNNING)
    of_task = finish(world, task_runs.set_task_run_state, task, data)
    of_run = finish(world, flow_runs.set_flow_run_state, run, data)
    assert set(listed(world)) == {of_task, of_run}
    result = read(world, of_task)
    assert (result["type"], result["key"], result["data"]) == ("result", None, data)
    assert (result["flow_run_id"], result["task_run_id"]) == (run, task)
    assert read(world, of_run)["task_run_id"] is None
    of_this_run = ArtifactFilter(flow_run_id=AnyIdFilter(any_=[UUID(run)]))
    assert set(listed(world, artifacts=of_this_run)) == {of_task, of_run}


@pytest.mark.parametrize("data", [None, {"type": "unpersisted"}, {"type": "null"}])
def test_what_is_not_kept_is_no_artifact(world: World, run: str, data: Any) -> None:
    id = finish(world, flow_runs.set_flow_run_state, run, data)
    assert listed(world) == []
    with pytest.raises(ObjectMissing):
        world.read(artifacts.read_artifact, id)


def test_results_can_be_left_out_and_asked_for(world: World, run: str) -> None:
    made = create(world, None, 1, type="table")
    result = finish(world, flow_runs.set_flow_run_state, run, {"storage_key": "k"})

    def where(**conditions: Any) -> list[str]:
        return listed(world, artifacts=ArtifactFilter(**conditions))

    assert where(type=TextFilter(not_any_=["result"])) == [made]
    assert where(type=TextFilter(any_=["result"])) == [result]
    either = {"type": TextFilter(any_=["table"]), "id": AnyIdFilter(any_=[UUID(result)])}
    assert set(where(operator=Operator.OR, **either)) == {made, result}


def test_a_result_is_deleted_and_not_edited(world: World, run: str) -> None:
    id = finish(world, flow_runs.set_flow_run_state, run, {"storage_key": "k"})
    with pytest.raises(ObjectConflict, match=id):
        world.write(artifacts.update_artifact, id, body=ArtifactUpdate(data=1))
    world.write(artifacts.delete_artifact, id)
    assert listed(world) == []
    assert wire(world.read(flow_runs.read_flow_run, run))["state"]["data"] is None
    assert [event for event, _, _ in told(world)] == ["penstock.artifact.deleted"]


def test_setting_a_state_with_a_result_costs_as_much_as_one_without(world: World) -> None:
    costs = []
    for data in (None, {"storage_key": "k"}):
        run = world.flow_run(StateType.RUNNING)
        before = world.store.statistics.statements
        finish(world, flow_runs.set_flow_run_state, run, data)
        costs.append(world.store.statistics.statements - before)
    assert costs[0] == costs[1] <= 5


# --- graph ---------------------------------------------------------------------------------------


def test_the_graph_shows_artifacts_where_they_were_made(world: World, run: str) -> None:
    task = world.task_run(run, StateType.RUNNING)
    finish(world, task_runs.set_task_run_state, task, {"storage_key": "k"})
    older = create(world, "k", 1, type="table", flow_run_id=UUID(run), task_run_id=UUID(task))
    newer = create(world, "k", 2, type="table", flow_run_id=UUID(run), task_run_id=UUID(task))
    progress = create(world, None, 50.0, type="progress", flow_run_id=UUID(run))
    drawn = wire(world.read(graph.read_flow_run_graph_v2, run))
    [(_, node)] = drawn["nodes"]
    assert [(one["id"], one["is_latest"], one["data"]) for one in node["artifacts"]] == [
        (older, False, None),
        (newer, True, None),
    ]
    [own] = drawn["artifacts"]
    assert (own["id"], own["is_latest"], own["data"]) == (progress, True, 50.0)
    world.limited(graph_artifacts=1)
    drawn = wire(world.read(graph.read_flow_run_graph_v2, run))
    assert (len(drawn["nodes"][0][1]["artifacts"]), drawn["artifacts"]) == (1, [])
