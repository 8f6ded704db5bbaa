"""Runs of deployments: made on request, planned on request, polled for."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.databases import World, scheduled, wire
from tests.deployments import cron, deploy, plan, planned, put, read, times

from penstock.base import json
from penstock.schemas.deployments import (
    DeploymentFlowRunCreate,
    ScheduleDeploymentBody,
    ScheduledFlowRunsBody,
)
from penstock.schemas.errors import ObjectConflict, ObjectMissing, Refusal, RequestInvalid
from penstock.schemas.states import StateCreate, StateType
from penstock.server.ops import deployment_runs, deployments, flow_runs

SCHEMA = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "y": {"type": "string"}},
    "required": ["x"],
}


def run(world: World, id: str, **fields: Any) -> dict[str, Any]:
    body = DeploymentFlowRunCreate(**fields)
    return wire(world.write(deployment_runs.create_flow_run_from_deployment, id, body=body).value)


def poll(world: World, *ids: str, **fields: Any) -> list[str]:
    body = ScheduledFlowRunsBody(deployment_ids=[UUID(id) for id in ids], **fields)
    found = world.read(deployment_runs.get_scheduled_flow_runs_for_deployments, body=body)
    return [one["id"] for one in wire(found)]


def test_a_run_is_the_deployments_with_what_was_asked_for(world: World) -> None:
    made = put(
        world, parameters={"x": 1, "y": "a"}, tags=["b", "a"], labels={"team": "t"}, version="3"
    )
    found = run(world, made["id"], parameters={"x": 2}, tags=["c"], labels={"own": 1})
    assert found["parameters"] == {"x": 2, "y": "a"}
    assert found["tags"] == ["a", "b", "c"]
    assert found["labels"] == {
        "team": "t",
        "own": 1,
        "prefect.flow.id": made["flow_id"],
        "prefect.deployment.id": made["id"],
    }
    assert (found["deployment_id"], found["deployment_version"]) == (made["id"], "3")
    assert (found["state_type"], found["state_name"]) == ("SCHEDULED", "Scheduled")
    assert found["next_scheduled_start_time"] == wire(world.now)
    assert found["name"] and found["auto_scheduled"] is False
    [event] = world.rows("SELECT related FROM event WHERE event = 'prefect.flow-run.Scheduled'")
    related = {one["prefect.resource.role"]: one for one in json.decode(event["related"])}
    assert related["deployment"]["prefect.resource.name"] == "nightly"


def test_a_key_makes_one_run_whatever_else_is_said(world: World) -> None:
    id = deploy(world)
    first = run(world, id, idempotency_key="k", parameters={"x": 1})
    again = world.write(
        deployment_runs.create_flow_run_from_deployment,
        id,
        body=DeploymentFlowRunCreate(idempotency_key="k", parameters={"x": 2}),
    )
    assert (again.created, wire(again.value)) == (False, first)


def test_parameters_must_fit_where_that_is_enforced(world: World) -> None:
    id = deploy(world, parameter_openapi_schema=SCHEMA)
    with pytest.raises(ObjectConflict, match="'x' is a required property"):
        run(world, id)
    with pytest.raises(ObjectConflict, match=r"\$\.x: 'no' is not of type 'integer'"):
        run(world, id, parameters={"x": "no"})
    assert run(world, id, parameters={"x": 1, "y": None})["parameters"] == {"x": 1, "y": None}
    assert run(world, id, parameters={"x": "no"}, enforce_parameter_schema=False)
    lenient = deploy(
        world, "lenient", parameter_openapi_schema=SCHEMA, enforce_parameter_schema=False
    )
    assert run(world, lenient)
    with pytest.raises(ObjectConflict):
        run(world, lenient, enforce_parameter_schema=True)


def test_templates_in_parameters(world: World) -> None:
    def add_variable(tx: Any) -> None:
        tx.fetch(
            "INSERT INTO variable (id, name, value, tags, created, updated)"
            " VALUES ('v', 'limits', '{\"top\": 3}', '[]', 0, 0) RETURNING id",
            (),
        )

    world.store.write_sync(add_variable)
    id = deploy(world)
    parameters = {
        "a": {"__prefect_kind": "json", "value": '{"b": 1}'},
        "c": [{"__prefect_kind": "workspace_variable", "variable_name": "limits"}],
        "d": {"__prefect_kind": "jinja", "template": "{% for n in range(3) %}{{ n }}{% endfor %}"},
        "e": {
            "__prefect_kind": "json",
            "value": {"__prefect_kind": "jinja", "template": "[{{ 2 + 2 }}, {{ 5 | abs }}]"},
        },
    }
    rendered = {"a": {"b": 1}, "c": [{"top": 3}], "d": "012", "e": [4, 5]}
    assert run(world, id, parameters=parameters)["parameters"] == rendered
    inside = {"a": {"__prefect_kind": "jinja", "template": "{{ ''.__class__.__mro__ }}"}}
    assert run(world, id, parameters=inside)["parameters"] == {"a": ""}
    saved = deploy(world, "saved", parameters=parameters)
    assert run(world, saved)["parameters"] == rendered
    for wrong in (
        {"__prefect_kind": "jinja", "template": "{{ 1"},
        {"__prefect_kind": "jinja", "template": "{{ 'x' * 100000000 }}"},
        {"__prefect_kind": "jinja", "template": 3},
        {"__prefect_kind": "json", "value": "{"},
        {"__prefect_kind": "workspace_variable", "variable_name": "none"},
        {"__prefect_kind": "unheard-of"},
    ):
        with pytest.raises(Refusal) as refused:
            run(world, id, parameters={"a": wrong})
        assert refused.value.status == 400


def test_a_queue_needs_a_pool(world: World) -> None:
    id = deploy(world)
    with pytest.raises(Refusal, match="no work pool") as refused:
        run(world, id, work_queue_name="fast")
    assert refused.value.status == 400


def test_a_run_in_another_state(world: World) -> None:
    id = deploy(world)
    assert run(world, id, state=StateCreate(type=StateType.PENDING))["state_type"] == "PENDING"
    later = world.now + timedelta(hours=1)
    found = run(world, id, state=scheduled(later))
    assert found["next_scheduled_start_time"] == wire(later)


def test_many_runs_of_which_some_are_refused(world: World) -> None:
    id = deploy(world, parameter_openapi_schema=SCHEMA)
    body = [DeploymentFlowRunCreate(parameters={"x": value}) for value in (1, "no", 3)]
    answer = wire(world.write(deployment_runs.bulk_create_flow_runs_from_deployment, id, body=body))
    assert [one["status"] for one in answer["results"]] == ["CREATED", "FAILED", "CREATED"]
    assert "$.x" in answer["results"][1]["error"]
    for wrong in ([], [DeploymentFlowRunCreate()] * 101):
        with pytest.raises(RequestInvalid):
            world.write(deployment_runs.bulk_create_flow_runs_from_deployment, id, body=wrong)
    with pytest.raises(ObjectMissing):
        world.write(deployment_runs.bulk_create_flow_runs_from_deployment, str(uuid4()), body=body)


# --- planning on request -------------------------------------------------------------------------


def test_runs_are_planned_for_a_stretch_of_time(world: World) -> None:
    id = deploy(world, schedules=[cron("0 0 * * *")])
    start = datetime(2026, 6, 1, tzinfo=UTC)
    body = ScheduleDeploymentBody(start_time=start, end_time=start + timedelta(days=9), min_runs=20)
    for _ in range(2):
        world.write(deployment_runs.schedule_deployment, id, body=body)
    assert times(world) == [start + timedelta(days=day) for day in range(10)]


def test_what_was_planned_on_request_is_not_planned_again(world: World) -> None:
    id = deploy(world, schedules=[cron("* * * * *")])
    world.write(deployment_runs.schedule_deployment, id)
    assert len(times(world)) == 61
    plan(world)
    world.clock.advance(1800)
    plan(world)
    found = planned(world)
    assert len(found) == len(set(found))
    assert times(world) == [times(world)[0] + timedelta(minutes=i) for i in range(len(found))]


def test_a_paused_deployment_is_not_planned(world: World) -> None:
    id = deploy(world, paused=True, schedules=[cron()])
    world.write(deployment_runs.schedule_deployment, id)
    assert times(world) == []


# --- polling -------------------------------------------------------------------------------------


def test_a_poll_finds_what_is_due_in_order(world: World) -> None:
    one, two = deploy(world, "one"), deploy(world, "two")
    late = run(world, one, state=scheduled(world.now + timedelta(minutes=2)))["id"]
    early = run(world, two, state=scheduled(world.now + timedelta(minutes=1)))["id"]
    run(world, one, state=StateCreate(type=StateType.RUNNING))
    far = world.now + timedelta(minutes=5)
    assert poll(world, one, two, scheduled_before=far) == [early, late]
    assert poll(world, one, two, scheduled_before=world.now) == []
    assert poll(world, one, two, scheduled_before=far, limit=1) == [early]
    assert poll(world, one) == [late]
    assert poll(world) == []


def test_a_poll_makes_a_deployment_ready_once(world: World) -> None:
    id = deploy(world)
    ids = [UUID(id), uuid4()]
    assert world.store.read_sync(deployment_runs.unmarked_deployments, ids) == [id]
    assert world.write(deployment_runs.mark_deployments_polled, ids) == 1
    found = read(world, id)
    assert (found["status"], found["last_polled"]) == ("READY", wire(world.now))
    assert world.store.read_sync(deployment_runs.unmarked_deployments, ids) == []
    world.clock.advance(20)
    assert world.write(deployment_runs.mark_deployments_polled, ids) == 0
    assert read(world, id)["last_polled"] == wire(world.now)
    assert world.events("prefect.deployment.ready") == ["prefect.deployment.ready"]


def test_a_run_that_names_a_deployment_has_its_version(world: World) -> None:
    id = deploy(world, version="9")
    own = world.flow_run(StateType.PENDING)
    flow = wire(world.read(flow_runs.read_flow_run, own))["flow_id"]
    body = flow_runs.FlowRunCreate(flow_id=UUID(flow), deployment_id=UUID(id))
    made = wire(world.write(flow_runs.create_flow_run, body=body).value)
    assert made["deployment_version"] == "9"
    world.write(deployments.delete_deployment, id)
    assert wire(world.read(flow_runs.read_flow_run, made["id"]))["deployment_id"] == id
