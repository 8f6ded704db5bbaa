"""What a user interface asks for; saved searches."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.databases import World, scheduled, wire

from penstock.schemas.errors import ObjectMissing, RequestInvalid
from penstock.schemas.filters import (
    FlowRunFilter,
    IdFilter,
    NameFilter,
    OptionalTimeBounds,
    TaskRunFilter,
)
from penstock.schemas.saved_searches import SavedSearchCreate, SavedSearchesPage, SavedSearchFilter
from penstock.schemas.states import StateType
from penstock.schemas.ui import (
    DashboardCountsBody,
    FlowIdsBody,
    FlowRunIdsBody,
    SchemaValidationBody,
    SimpleFlowRunsPage,
    TaskRunCountsBody,
)
from penstock.schemas.variables import VariableCreate
from penstock.server.ops import saved_searches, ui, variables


def test_task_runs_are_counted_for_each_id(world: World) -> None:
    run, empty, unknown = world.flow_run(), world.flow_run(), str(uuid4())
    for _ in range(3):
        world.task_run(run)
    body = FlowRunIdsBody(flow_run_ids=[UUID(id) for id in (run, empty, unknown)])
    assert world.read(ui.count_task_runs_by_flow_run, body=body) == {run: 3, empty: 0, unknown: 0}
    none = FlowRunIdsBody(flow_run_ids=[])
    assert world.read(ui.count_task_runs_by_flow_run, body=none) == {}


def test_deployments_are_counted_for_each_id(world: World) -> None:
    flow = world.flow()
    body = FlowIdsBody(flow_ids=[UUID(flow)])
    assert world.read(ui.count_deployments_by_flow, body=body) == {flow: 0}


def test_the_next_run_of_each_flow(world: World) -> None:
    world.flow_run(scheduled(world.now + timedelta(hours=2)), flow="a", name="later")
    first = world.flow_run(scheduled(world.now + timedelta(hours=1)), flow="a", name="first")
    world.flow_run(StateType.RUNNING, flow="b")
    a, b = world.flow("a"), world.flow("b")
    found = wire(world.read(ui.next_runs_by_flow, body=FlowIdsBody(flow_ids=[UUID(a), UUID(b)])))
    assert found[b] is None
    assert (found[a]["id"], found[a]["name"], found[a]["flow_id"]) == (first, "first", a)
    assert (found[a]["state_type"], found[a]["state_name"]) == ("SCHEDULED", "Scheduled")


def test_a_chart_of_flow_runs(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    waiting = world.flow_run(scheduled(world.now - timedelta(seconds=5)))
    world.clock.advance(10)
    rows = {row["id"]: row for row in wire(world.read(ui.read_flow_run_history))}
    assert rows[run]["duration"] == 10.0
    assert rows[run]["state_type"] == "RUNNING"
    assert rows[waiting]["lateness"] == 15.0
    body = SimpleFlowRunsPage(flow_runs=FlowRunFilter(id=IdFilter(any_=[UUID(run)])))
    assert [row["id"] for row in wire(world.read(ui.read_flow_run_history, body=body))] == [run]
    assert world.read(ui.read_flow_run_history, body=SimpleFlowRunsPage(limit=0)) == []


def test_task_runs_by_state(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    world.task_run(run, StateType.RUNNING)
    world.task_run(run, StateType.RUNNING, name="other")
    world.task_run(run, StateType.COMPLETED)
    counts = wire(world.read(ui.read_task_run_counts_by_state))
    assert (counts["RUNNING"], counts["COMPLETED"], counts["FAILED"]) == (2, 1, 0)
    assert len(counts) == 9
    body = TaskRunCountsBody(task_runs=TaskRunFilter(name=NameFilter(any_=["other"])))
    assert sum(wire(world.read(ui.read_task_run_counts_by_state, body=body)).values()) == 1


def test_outcomes_by_the_time_of_the_start(world: World) -> None:
    start = world.now
    run = world.flow_run(StateType.RUNNING)
    world.task_run(run, StateType.PENDING)
    for state in (StateType.COMPLETED, StateType.FAILED, StateType.CRASHED):
        world.task_run(run, state)
        world.clock.advance(100)

    def counts(**bounds: Any) -> list[dict[str, int]]:
        filter = TaskRunFilter(start_time=OptionalTimeBounds(**bounds))
        body = DashboardCountsBody(task_runs=filter)
        return world.read(ui.read_dashboard_task_run_counts, body=body)

    found = counts(after_=start, before_=start + timedelta(seconds=2000))
    assert len(found) == 20
    assert found[0] == {"completed": 1, "failed": 0}
    assert found[1] == found[2] == {"completed": 0, "failed": 1}
    assert sum(one["completed"] + one["failed"] for one in found) == 3
    assert sum(one["failed"] for one in counts(after_=start)) == 2
    assert counts(after_=start, before_=start) == [{"completed": 0, "failed": 0}] * 20
    with pytest.raises(RequestInvalid, match="after_ is required"):
        counts(before_=start)


def test_a_task_run_with_the_name_of_its_flow_run(world: World) -> None:
    run = world.flow_run(StateType.RUNNING, name="nightly")
    task, alone = world.task_run(run, StateType.RUNNING), world.task_run()
    found = wire(world.read(ui.read_task_run_with_flow_run_name, task))
    assert (found["id"], found["flow_run_name"], found["flow_run_id"]) == (task, "nightly", run)
    assert found["state"]["type"] == "RUNNING"
    found = wire(world.read(ui.read_task_run_with_flow_run_name, alone))
    assert (found["flow_run_id"], found["flow_run_name"]) == (None, None)
    with pytest.raises(ObjectMissing):
        world.read(ui.read_task_run_with_flow_run_name, str(uuid4()))


# --- schemas -------------------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "properties": {
        "a": {"type": "integer"},
        "l": {"type": "array", "items": {"type": "string"}},
        "o": {
            "type": "object",
            "properties": {"x": {"type": "number", "minimum": 3}},
            "required": ["y"],
        },
    },
    "required": ["a"],
}


def problems(world: World, values: dict[str, Any], schema: Any = SCHEMA) -> list[Any]:
    body = SchemaValidationBody(schema=schema, values=values)
    found = wire(world.read(ui.validate_obj, body=body))
    assert found["valid"] == (not found["errors"])
    return found["errors"]


def test_each_misfit_is_told_at_its_place(world: World) -> None:
    assert problems(world, {"a": "x", "l": ["a", 1, {}], "o": {"x": 1}}) == [
        {"property": "a", "errors": ["'x' is not of type 'integer'"]},
        {
            "property": "l",
            "errors": [
                {"index": 1, "errors": ["1 is not of type 'string'"]},
                {"index": 2, "errors": ["{} is not of type 'string'"]},
            ],
        },
        {
            "property": "o",
            "errors": [
                {"property": "x", "errors": ["1 is less than the minimum of 3"]},
                {"property": "y", "errors": ["'y' is a required property"]},
            ],
        },
    ]


def test_values_that_fit(world: World) -> None:
    assert problems(world, {"a": 1}) == []
    assert problems(world, {"a": 1, "l": None}) == []
    assert problems(world, {}) == [{"property": "a", "errors": ["'a' is a required property"]}]


def test_each_missing_member_is_told_once(world: World) -> None:
    schema = {"type": "object", "properties": {}, "required": ["b", "a"]}
    assert [one["property"] for one in problems(world, {}, schema)] == ["a", "b"]
    assert [one["property"] for one in problems(world, {"a": None}, schema)] == ["b"]


def test_what_is_wrong_with_the_whole(world: World) -> None:
    [text] = problems(world, {"k": 1}, {"type": "object", "additionalProperties": False})
    assert "'k' was unexpected" in text


def test_templates_are_replaced_first(world: World) -> None:
    world.write(variables.create_variable, body=VariableCreate(name="seven", value=7))
    seven = {"__prefect_kind": "workspace_variable", "variable_name": "seven"}
    assert problems(world, {"a": seven}) == []
    [none] = problems(world, {"a": {**seven, "variable_name": "none"}})
    assert none["property"] == "a"
    assert "'none'" in none["errors"][0]
    text = {"__prefect_kind": "json", "value": '"s"'}
    assert problems(world, {"a": text})[0]["errors"] == ["'s' is not of type 'integer'"]
    assert problems(world, {"a": {"__prefect_kind": "jinja", "template": "{{ x }}"}}) == []
    [broken] = problems(world, {"a": {"__prefect_kind": "jinja", "template": "{{ x"}})
    assert "line 1" in broken["errors"][0]


@pytest.mark.parametrize(
    "schema", [{"type": "nope"}, {"properties": {"a": {"$ref": "http://127.0.0.1:1/none"}}}]
)
def test_a_schema_that_is_none_is_refused(world: World, schema: Any) -> None:
    with pytest.raises(RequestInvalid, match="Invalid schema"):
        problems(world, {"a": 1}, schema)


# --- saved searches ------------------------------------------------------------------------------


def test_saved_searches(world: World) -> None:
    filter = SavedSearchFilter(
        object="flow", property="name", type="string", operation="equals", value=[1]
    )
    body = SavedSearchCreate(name="mine", filters=[filter])
    made = world.write(saved_searches.create_saved_search, body=body)
    again = world.write(saved_searches.create_saved_search, body=SavedSearchCreate(name="mine"))
    assert (made.created, again.created) == (True, False)
    id = made.value.id
    assert wire(made.value)["filters"][0]["value"] == [1]
    assert wire(again.value)["filters"] == []
    assert again.value.id == id
    world.write(saved_searches.create_saved_search, body=SavedSearchCreate(name="a"))
    listed = wire(world.read(saved_searches.read_saved_searches))
    assert [one["name"] for one in listed] == ["a", "mine"]
    page = SavedSearchesPage(limit=1, offset=1)
    assert len(wire(world.read(saved_searches.read_saved_searches, body=page))) == 1
    world.write(saved_searches.delete_saved_search, id)
    for op in (saved_searches.delete_saved_search, saved_searches.read_saved_search):
        with pytest.raises(ObjectMissing, match=id):
            world.write(op, id)
