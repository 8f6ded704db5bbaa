"""Deployments: making, changing, listing, pausing and deleting them."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.databases import World, wire
from tests.deployments import cron, deploy, put, read

from penstock.base import json
from penstock.schemas.deployments import (
    ConcurrencyLimitStrategy,
    ConcurrencyOptions,
    DeploymentCreate,
    DeploymentsBulkDeleteBody,
    DeploymentsFilterBody,
    DeploymentsFilterPage,
    DeploymentsPaginateBody,
    DeploymentUpdate,
)
from penstock.schemas.errors import ObjectConflict, ObjectMissing, Refusal, RequestInvalid
from penstock.schemas.filters import (
    AnyTagsFilter,
    DeploymentFilter,
    DeploymentFilterPaused,
    FlowFilter,
    LikeFilter,
    NameFilter,
)
from penstock.schemas.limits import ConcurrencyLimitV2Create
from penstock.schemas.states import StateType
from penstock.server.ops import deployments, limits

SCHEMA = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "y": {"type": "string"}},
    "required": ["x"],
}


def update(world: World, id: str, **fields: Any) -> None:
    world.write(deployments.update_deployment, id, body=DeploymentUpdate(**fields))


def last_event(world: World, name: str) -> dict[str, Any]:
    row = world.rows("SELECT * FROM event WHERE event = ? ORDER BY seq DESC LIMIT 1", name)[0]
    return {column: json.decode(row[column]) for column in ("resource", "related", "payload")} | {
        "id": row["id"]
    }


def limit_names(world: World) -> set[str]:
    return {row["name"] for row in world.rows("SELECT name FROM concurrency_limit")}


def shared_limit(world: World, slots: int = 5) -> UUID:
    body = ConcurrencyLimitV2Create(name="shared", limit=slots)
    return UUID(str(world.write(limits.create_concurrency_limit_v2, body=body).id))


# --- making --------------------------------------------------------------------------------------


def test_a_new_deployment_has_what_it_was_given_and_defaults(world: World) -> None:
    made = put(world, description="words", tags=["a"], entrypoint="etl.py:etl", version="1")
    assert made == read(world, made["id"])
    assert (made["description"], made["tags"], made["version"]) == ("words", ["a"], "1")
    assert made["parameters"] == made["job_variables"] == made["labels"] == {}
    assert made["parameter_openapi_schema"] == {}
    assert made["enforce_parameter_schema"] is True
    assert (made["paused"], made["status"], made["last_polled"]) == (False, "NOT_READY", None)
    assert made["schedules"] == []
    assert made["concurrency_limit"] is made["global_concurrency_limit"] is None


def test_making_it_again_finds_it(world: World) -> None:
    body = DeploymentCreate(flow_id=UUID(world.flow()), name="d", tags=["a"])
    first = world.write(deployments.create_deployment, body=body)
    before = world.events()
    second = world.write(deployments.create_deployment, body=body)
    assert (first.created, second.created) == (True, False)
    assert wire(first.value) == wire(second.value)
    assert world.events() == before, "a change of nothing emits nothing"


def test_absent_members_of_a_repetition_stay(world: World) -> None:
    put(world, description="words", parameters={"x": 1})
    again = put(world, tags=["b"])
    assert (again["description"], again["parameters"], again["tags"]) == ("words", {"x": 1}, ["b"])


def test_a_deployment_needs_its_flow_and_pool(world: World) -> None:
    with pytest.raises(ObjectConflict, match="does not exist"):
        world.write(deployments.create_deployment, body=DeploymentCreate(flow_id=uuid4(), name="d"))
    with pytest.raises(ObjectMissing, match="work pool 'none'"):
        put(world, work_pool_name="none")
    for name in ("storage_document_id", "infrastructure_document_id"):
        with pytest.raises(ObjectConflict, match=f"{name}: block document .* does not exist"):
            put(world, **dict[str, Any]({name: uuid4()}))
    assert world.rows("SELECT id FROM deployment") == []
    id = deploy(world)
    with pytest.raises(ObjectConflict, match="block document"):
        update(world, id, infrastructure_document_id=uuid4())


def test_statements_of_an_upsert(world: World) -> None:
    world.flow()
    body = DeploymentCreate(flow_id=UUID(world.flow()), name="d", schedules=[cron()])
    counts = []
    for _ in range(2):
        before = world.store.statistics.statements
        world.write(deployments.create_deployment, body=body)
        counts.append(world.store.statistics.statements - before)
    assert max(counts) <= 8


def test_defaults_must_fit_the_schema_where_they_are_given(world: World) -> None:
    made = put(world, parameter_openapi_schema=SCHEMA, parameters={"y": "a"})
    assert made["parameters"] == {"y": "a"}, "what is missing may come with the run"
    with pytest.raises(RequestInvalid, match=r"\$\.x"):
        put(world, "other", parameter_openapi_schema=SCHEMA, parameters={"x": "no"})
    with pytest.raises(RequestInvalid, match="not a JSON schema"):
        put(world, "other", parameter_openapi_schema={"type": 3}, parameters={"x": 1})
    put(
        world,
        "lenient",
        parameter_openapi_schema=SCHEMA,
        parameters={"x": "no"},
        enforce_parameter_schema=False,
    )
    with pytest.raises(ObjectConflict):
        update(world, made["id"], parameters={"x": "no"})


def test_templates_in_parameters_are_worked_out(world: World) -> None:
    made = put(world, parameters={"x": {"__prefect_kind": "json", "value": "[1, 2]"}})
    assert made["parameters"] == {"x": [1, 2]}
    with pytest.raises(Refusal, match="no variable 'missing'"):
        kind = {"__prefect_kind": "workspace_variable", "variable_name": "missing"}
        put(world, parameters={"x": kind})


# --- events --------------------------------------------------------------------------------------


def test_events_of_a_deployment(world: World) -> None:
    id = deploy(world, tags=["a"], parameters={"x": 1, "password": "hunter2"})
    created = last_event(world, "prefect.deployment.created")
    assert created["payload"] == {}
    assert created["resource"] == {
        "prefect.resource.id": f"prefect.deployment.{id}",
        "prefect.resource.name": "nightly",
    }
    flow = created["related"][0]
    assert (flow["prefect.resource.role"], flow["prefect.resource.name"]) == ("flow", "etl")
    update(world, id, parameters={"x": 2, "password": "hunter3"}, description="d", paused=True)
    payload = last_event(world, "prefect.deployment.updated")["payload"]
    assert payload["updated_fields"] == ["description", "parameters", "paused"]
    assert payload["updates"]["description"] == {"from": None, "to": "d"}
    assert payload["updates"]["paused"] == {"from": False, "to": True}
    change = payload["updates"]["parameters"]
    assert (change["from"]["x"], change["to"]["x"]) == (1, 2)
    assert change["from"]["password"] != change["to"]["password"], "that it changed is seen"
    everything = json.text(
        [[str(row) for row in world.rows(f"SELECT * FROM {table}")] for table in ("event", "audit")]
    )
    assert "hunter" not in everything
    world.write(deployments.delete_deployment, id)
    assert last_event(world, "prefect.deployment.deleted")["payload"] == {}


def test_job_variables_are_told_under_their_old_name(world: World) -> None:
    id = deploy(world)
    update(world, id, job_variables={"image": "a"})
    payload = last_event(world, "prefect.deployment.updated")["payload"]
    assert payload["updated_fields"] == ["infra_overrides"]
    assert payload["updates"] == {"infra_overrides": {"from": {}, "to": {"image": "a"}}}


def test_events_of_schedules_are_our_own(world: World) -> None:
    put(world, schedules=[cron("0 1 * * *", slug="s")])
    put(world, schedules=[cron("0 2 * * *", slug="s")])
    put(world, schedules=[])
    assert world.events("penstock.deployment-schedule.") == [
        "penstock.deployment-schedule.created",
        "penstock.deployment-schedule.updated",
        "penstock.deployment-schedule.deleted",
    ]
    assert world.events("prefect.deployment.") == ["prefect.deployment.created"]


def test_pausing_twice_emits_once(world: World) -> None:
    id = deploy(world)
    for op in (deployments.pause_deployment,) * 2 + (deployments.resume_deployment,) * 2:
        world.write(op, id)
    assert len(world.events("prefect.deployment.updated")) == 2
    assert read(world, id)["paused"] is False


# --- limits --------------------------------------------------------------------------------------


def test_a_deployment_owns_the_limit_it_names(world: World) -> None:
    made = put(world, concurrency_limit=3)
    own = f"deployment:{made['id']}"
    limit = made["global_concurrency_limit"]
    assert (limit["name"], limit["limit"], made["concurrency_limit"]) == (own, 3, None)
    update(world, made["id"], concurrency_limit=4)
    changed = read(world, made["id"])["global_concurrency_limit"]
    assert (changed["id"], changed["limit"]) == (limit["id"], 4)
    update(world, made["id"], concurrency_limit=None)
    assert read(world, made["id"])["global_concurrency_limit"] is None
    assert limit_names(world) == set()


def test_a_shared_limit_outlives_its_deployments(world: World) -> None:
    shared = shared_limit(world)
    id = deploy(world, global_concurrency_limit_id=shared)
    deploy(world, "other", concurrency_limit=1)
    assert read(world, id)["global_concurrency_limit"]["name"] == "shared"
    world.write(deployments.delete_deployment, id)
    assert "shared" in limit_names(world)


def test_a_shared_limit_takes_the_place_of_the_own_one(world: World) -> None:
    id = deploy(world, concurrency_limit=1)
    update(world, id, global_concurrency_limit_id=shared_limit(world))
    assert limit_names(world) == {"shared"}
    update(world, id, concurrency_limit=2)
    assert limit_names(world) == {"shared", f"deployment:{id}"}
    world.write(deployments.delete_deployment, id)
    assert limit_names(world) == {"shared"}


def test_limits_that_cannot_be(world: World) -> None:
    with pytest.raises(RequestInvalid, match="exclude each other"):
        put(world, concurrency_limit=1, global_concurrency_limit_id=uuid4())
    with pytest.raises(ObjectMissing, match="concurrency limit"):
        put(world, global_concurrency_limit_id=uuid4())


def test_options_of_the_limit(world: World) -> None:
    options = ConcurrencyOptions(
        collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW, grace_period_seconds=60
    )
    made = put(world, concurrency_limit=1, concurrency_options=options)
    assert made["concurrency_options"] == {
        "collision_strategy": "CANCEL_NEW",
        "grace_period_seconds": 60,
    }


# --- reading -------------------------------------------------------------------------------------


def test_by_name_and_missing_ones(world: World) -> None:
    id = deploy(world)
    found = wire(world.read(deployments.read_deployment_by_name, "etl", "nightly"))
    assert found["id"] == id
    with pytest.raises(ObjectMissing):
        world.read(deployments.read_deployment_by_name, "etl", "other")
    for op, fields in (
        (deployments.read_deployment, {}),
        (deployments.delete_deployment, {}),
        (deployments.pause_deployment, {}),
        (deployments.update_deployment, {"body": DeploymentUpdate()}),
    ):
        with pytest.raises(ObjectMissing):
            world.write(op, str(uuid4()), **fields)


def test_lists_counts_and_pages(world: World) -> None:
    for name, flow, tags in (("a", "etl", ["x"]), ("b", "etl", []), ("c", "other", ["x", "y"])):
        deploy(world, name, flow, tags=tags, schedules=[cron()], concurrency_limit=2)

    def names(**filters: Any) -> list[str]:
        page = world.read(deployments.read_deployments, body=DeploymentsFilterPage(**filters))
        return [one["name"] for one in wire(page)]

    assert names() == ["a", "b", "c"]
    tagged = DeploymentFilter(tags=AnyTagsFilter(all_=["x"]))
    assert names(deployments=tagged) == ["a", "c"]
    assert names(flows=FlowFilter(name=NameFilter(any_=["other"]))) == ["c"]
    by_either = DeploymentFilter(flow_or_deployment_name=LikeFilter(like_="oth"))
    assert names(deployments=by_either) == ["c"]
    paused = DeploymentFilter(paused=DeploymentFilterPaused(eq_=True))
    assert names(deployments=paused) == []
    assert names(limit=1, offset=1) == ["b"]
    body = DeploymentsFilterBody(deployments=tagged)
    assert world.read(deployments.count_deployments, body=body) == 2
    page = wire(
        world.read(deployments.paginate_deployments, body=DeploymentsPaginateBody(limit=2, page=2))
    )
    assert [one["name"] for one in page["results"]] == ["c"]
    assert (page["count"], page["pages"], page["page"], page["limit"]) == (3, 2, 2, 2)
    [whole] = page["results"]
    assert whole == read(world, whole["id"]), "a list tells what a single answer tells"


def test_a_list_costs_as_much_for_many_as_for_few(world: World) -> None:
    costs = []
    for number in range(1, 9):
        deploy(world, f"d{number}", schedules=[cron()], concurrency_limit=1)
        before = world.store.statistics.statements
        world.read(deployments.read_deployments)
        costs.append(world.store.statistics.statements - before)
    assert set(costs) == {3}


# --- deleting ------------------------------------------------------------------------------------


def test_bulk_delete_names_its_victims(world: World) -> None:
    kept = deploy(world, "a")
    gone = deploy(world, "b", tags=["old"])
    with pytest.raises(RequestInvalid, match="no condition"):
        world.write(deployments.bulk_delete_deployments)
    body = DeploymentsBulkDeleteBody(deployments=DeploymentFilter(tags=AnyTagsFilter(all_=["old"])))
    answer = wire(world.write(deployments.bulk_delete_deployments, body=body))
    assert answer == {"deleted": [gone]}
    assert read(world, kept)["name"] == "a"
    assert len(world.events("prefect.deployment.deleted")) == 1


def test_runs_that_were_asked_for_go_with_an_event_and_begun_ones_stay(world: World) -> None:
    id = deploy(world, schedules=[cron()])
    waiting = world.flow_run(StateType.SCHEDULED, deployment_id=UUID(id))
    running = world.flow_run(StateType.RUNNING, deployment_id=UUID(id))
    world.write(deployments.delete_deployment, id)
    assert [row["id"] for row in world.rows("SELECT id FROM flow_run")] == [running]
    [event] = world.rows("SELECT resource_id FROM event WHERE event = 'penstock.flow-run.deleted'")
    assert event["resource_id"] == f"prefect.flow-run.{waiting}"
