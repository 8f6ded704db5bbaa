"""Automations: stored and found, checked, and every change told exactly once."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from tests.databases import World, wire
from tests.deployments import deploy

from penstock.base import json
from penstock.schemas.automations import (
    AutomationCreate,
    AutomationFilter,
    AutomationPartialUpdate,
    AutomationsFilterPage,
    AutomationUpdate,
)
from penstock.schemas.errors import ObjectMissing, RequestInvalid
from penstock.schemas.work import WorkPoolCreate, WorkPoolUpdate
from penstock.server.ops import automations, deployments, work_pools

TRIGGER = {"type": "event", "posture": "Reactive", "expect": ["a.b"]}
LISTS = ("actions", "actions_on_trigger", "actions_on_resolve")


def body(kind: Any = AutomationCreate, **fields: Any) -> Any:
    given = {"name": "watch", "trigger": TRIGGER, "actions": [], **fields}
    return msgspec.convert(given, kind, strict=False)


def make(world: World, **fields: Any) -> dict[str, Any]:
    return wire(world.write(automations.create_automation, body=body(**fields)))


def read(world: World, id: str) -> dict[str, Any]:
    return wire(world.read(automations.read_automation, id))


def put(world: World, id: str, **fields: Any) -> None:
    world.write(automations.update_automation, id, body=body(AutomationUpdate, **fields))


def enable(world: World, id: str, enabled: bool) -> None:
    patch = AutomationPartialUpdate(enabled=enabled)
    world.write(automations.patch_automation, id, body=patch)


def listed(world: World, filter: dict[str, Any] | None = None, **page: Any) -> list[str]:
    chosen = None if filter is None else msgspec.convert(filter, AutomationFilter, strict=False)
    request = AutomationsFilterPage(automations=chosen, **page)
    return [one["name"] for one in wire(world.read(automations.read_automations, body=request))]


def related(world: World, resource: str) -> list[str]:
    found = world.read(automations.read_automations_related_to_resource, resource)
    return [one["name"] for one in wire(found)]


def told(world: World) -> list[tuple[str, str, Any]]:
    """Event, object and changes of everything that was recorded about automations."""
    rows = world.rows(
        "SELECT e.event, e.resource, a.object_name, a.changes, a.action FROM event AS e"
        " JOIN audit AS a ON a.id = e.id WHERE a.kind = 'automation' ORDER BY e.seq"
    )
    for row in rows:
        assert row["event"] == f"prefect.automation.{row['action']}"
        assert json.decode(row["resource"])["prefect.resource.name"] == row["object_name"]
    return [
        (row["action"], row["object_name"], [one["path"] for one in json.decode(row["changes"])])
        for row in rows
    ]


def test_an_automation_as_it_was_made(world: World):
    made = make(
        world,
        description="d",
        tags=["x"],
        trigger={**TRIGGER, "id": str(uuid4()), "within": "PT5S", "expect": ["a", "a"]},
        actions=[{"type": "run-deployment", "source": "inferred", "schedule_after": 3}],
        owner_resource="prefect.deployment.1",
    )
    assert read(world, made["id"]) == made
    assert set(made) == {"id", "created", "updated", "name", "description", "enabled", "tags"} | {
        "trigger",
        *LISTS,
    }
    assert made["trigger"]["within"] == 5.0
    assert made["trigger"]["expect"] == ["a"]
    assert made["trigger"]["type"] == "event"
    assert made["actions"] == [
        {
            "type": "run-deployment",
            "source": "inferred",
            "schedule_after": 3.0,
            "deployment_id": None,
            "job_variables": None,
            "parameters": None,
        }
    ]
    assert (made["enabled"], made["tags"]) == (True, ["x"])


def test_every_change_is_told_once_and_nothing_is_told_of_no_change(world: World):
    made = make(world)
    id = made["id"]
    enable(world, id, True)
    enable(world, id, False)
    enable(world, id, False)
    world.write(automations.patch_automation, id, body=AutomationPartialUpdate())
    put(world, id, enabled=False)
    put(world, id, enabled=False, name="renamed", tags=["t"])
    world.write(automations.delete_automation, id)
    assert told(world) == [
        ("created", "watch", []),
        ("updated", "watch", ["/enabled"]),
        ("updated", "renamed", ["/name", "/tags"]),
        ("deleted", "renamed", []),
    ]
    events = world.rows("SELECT payload, resource_id FROM event ORDER BY seq")
    assert json.decode(events[0]["payload"]) == made
    assert json.decode(events[1]["payload"])["enabled"] is False
    assert {one["resource_id"] for one in events} == {f"prefect.automation.{id}"}


def test_a_put_replaces_everything_and_keeps_the_ids_of_what_is_the_same(world: World):
    made = make(world, description="d", tags=["x"], actions=[{"type": "do-nothing"}])
    put(world, made["id"], name="other")
    after = read(world, made["id"])
    assert (after["name"], after["description"], after["tags"], after["actions"]) == (
        "other",
        "",
        [],
        [],
    )
    assert after["trigger"] == made["trigger"]
    put(world, made["id"], name="other", trigger={**TRIGGER, "threshold": 2})
    assert read(world, made["id"])["trigger"]["id"] != made["trigger"]["id"]


def test_secrets_in_parameters_are_in_no_event_and_no_audit_row(world: World):
    run = {
        "type": "run-deployment",
        "source": "inferred",
        "parameters": {"db": {"password": "canary"}, "n": 1},
    }
    made = make(world, actions=[run])
    put(world, made["id"], actions=[{**run, "parameters": {"db": {"password": "canary-2"}}}])
    assert read(world, made["id"])["actions"][0]["parameters"] == {"db": {"password": "canary-2"}}
    kept = world.rows("SELECT payload, members FROM event") + world.rows(
        "SELECT before, after, changes FROM audit"
    )
    assert "canary" not in json.encode(kept).decode()
    assert len(told(world)) == 2


LOOP = {
    "trigger": {**TRIGGER, "expect": ["prefect.flow-run.Running"]},
    "actions": [{"type": "run-deployment", "source": "inferred"}],
}


def test_a_loop_is_refused_unless_disabled_and_cannot_be_enabled(world: World):
    with pytest.raises(RequestInvalid, match=r"Error creating automation: .* without end"):
        make(world, **LOOP)
    made = make(world, enabled=False, **LOOP)
    with pytest.raises(RequestInvalid, match=r"Error enabling automation: .* without end"):
        enable(world, made["id"], True)
    with pytest.raises(RequestInvalid, match=r"Error updating automation: .* without end"):
        put(world, made["id"], **LOOP)
    assert read(world, made["id"])["enabled"] is False
    assert len(told(world)) == 1


def test_one_that_is_not_there(world: World):
    id = str(uuid4())
    for call in (
        lambda: read(world, id),
        lambda: put(world, id),
        lambda: enable(world, id, True),
        lambda: world.write(automations.delete_automation, id),
    ):
        with pytest.raises(ObjectMissing, match=id):
            call()


def test_lists(world: World):
    for name, tags in (("b", ["x"]), ("a", ["x", "y"]), ("c", []), ("a", [])):
        world.clock.advance(1)
        make(world, name=name, tags=tags)
    assert listed(world) == ["a", "a", "b", "c"]
    assert listed(world, sort="NAME_DESC") == ["c", "b", "a", "a"]
    assert listed(world, sort="CREATED_DESC") == ["a", "c", "a", "b"]
    assert listed(world, limit=2, offset=1) == ["a", "b"]
    assert listed(world, limit=0) == []
    assert listed(world, {"name": {"any_": ["a", "c"]}}) == ["a", "a", "c"]
    assert listed(world, {"name": {"any_": []}}) == []
    assert listed(world, {"tags": {"all_": ["x", "y"]}}) == ["a"]
    assert listed(world, {"tags": {"any_": ["y", "z"]}}) == ["a"]
    assert listed(world, {"tags": {"is_null_": True}}) == ["a", "c"]
    assert listed(world, {"operator": "or_", "name": {"any_": ["c"]}, "tags": {"all_": ["y"]}}) == [
        "a",
        "c",
    ]
    second = (world.now - timedelta(seconds=2)).isoformat()
    assert listed(world, {"created": {"before_": second}}) == ["a", "b"]
    assert world.read(automations.count_automations) == 4
    with pytest.raises(RequestInvalid, match="limit is 201"):
        listed(world, limit=201)


def test_lists_begin_with_the_one_changed_last(world: World):
    first, second = make(world, name="first"), make(world, name="second")
    world.clock.advance(1)
    put(world, first["id"], name="first", description="new")
    assert listed(world, sort="UPDATED_DESC") == ["first", "second"]
    assert datetime.fromisoformat(read(world, second["id"])["updated"]).tzinfo == UTC


def test_what_an_automation_is_related_to(world: World):
    one, two = str(uuid4()), str(uuid4())
    owner, other = f"prefect.deployment.{one}", f"prefect.deployment.{two}"

    def run(id: str) -> dict[str, Any]:
        return {"type": "run-deployment", "deployment_id": id}

    owned = make(world, name="owned", actions=[run(one), run(two)], owner_resource=owner)
    make(world, name="runs", actions=[run(one)], actions_on_trigger=[run(two)])
    assert related(world, owner) == ["owned", "runs"]
    assert related(world, other) == ["owned"]
    put(world, owned["id"], name="owned")
    assert related(world, owner) == ["owned", "runs"]
    assert related(world, other) == []
    world.write(automations.delete_automations_owned_by_resource, owner)
    assert related(world, owner) == ["runs"]
    world.write(automations.delete_automations_owned_by_resource, owner)
    assert [one[:2] for one in told(world)][-1] == ("deleted", "owned")
    assert len(told(world)) == 4


def test_a_deployment_takes_its_automations_with_it(world: World):
    id = deploy(world)
    run = {"type": "run-deployment", "deployment_id": id}
    make(world, name="owned", actions=[run], owner_resource=f"prefect.deployment.{id}")
    make(world, name="runs", actions=[run])
    world.write(deployments.delete_deployment, id)
    assert listed(world) == ["runs"]
    deleted = world.rows(
        "SELECT id, event FROM event WHERE event LIKE '%.deleted' ORDER BY event DESC"
    )
    assert [row["event"] for row in deleted] == [
        "prefect.deployment.deleted",
        "prefect.automation.deleted",
    ]
    audit = world.rows("SELECT caused_by FROM audit WHERE id = ?", deleted[1]["id"])
    assert audit == [{"caused_by": deleted[0]["id"]}]


def test_job_variables_of_an_unknown_deployment(world: World):
    run = {"type": "run-deployment", "deployment_id": str(uuid4())}
    make(world, actions=[run])
    with pytest.raises(RequestInvalid, match=r"Error creating automation: deployment .* not exist"):
        make(world, actions=[{**run, "job_variables": {"cpu": 1}}])


def test_job_variables_must_fit_the_pool_of_the_deployment(world: World):
    schema = {"type": "object", "properties": {"cpu": {"type": "integer"}}}
    template = {"job_configuration": {"cpu": "{{ cpu }}"}, "variables": schema}
    pool = WorkPoolCreate(name="docker", type="docker", base_job_template=template)
    world.write(work_pools.create_work_pool, body=pool)
    run = {"type": "run-deployment", "deployment_id": deploy(world, work_pool_name="docker")}
    good, bad = {**run, "job_variables": {"cpu": 2}}, {**run, "job_variables": {"cpu": "many"}}
    made = make(world, actions=[good])
    for call in (
        lambda: make(world, actions=[bad]),
        lambda: make(world, actions_on_trigger=[bad]),
        lambda: put(world, made["id"], actions=[bad]),
    ):
        with pytest.raises(
            RequestInvalid, match=r"^Error \w+ating automation: .*'docker'.*\$\.cpu"
        ):
            call()
    assert read(world, made["id"]) == made


def test_one_whose_pool_changed_meanwhile_cannot_be_enabled(world: World):
    pool = WorkPoolCreate(name="docker", type="docker")
    world.write(work_pools.create_work_pool, body=pool)
    id = deploy(world, work_pool_name="docker")
    run = {"type": "run-deployment", "deployment_id": id, "job_variables": {"cpu": "many"}}
    made = make(world, enabled=False, actions=[run])
    schema = {"type": "object", "properties": {"cpu": {"type": "integer"}}}
    template = {"job_configuration": {"cpu": "{{ cpu }}"}, "variables": schema}
    change = WorkPoolUpdate(base_job_template=template)
    world.write(work_pools.update_work_pool, "docker", body=change)
    with pytest.raises(RequestInvalid, match="Error enabling automation"):
        enable(world, made["id"], True)
    assert read(world, made["id"])["enabled"] is False


def test_templates_are_checked_without_a_statement(world: World):
    before = world.store.statistics.statements
    assert world.read(automations.validate_template, body="{{ a }}") is None
    problem = world.read(automations.validate_automation_template, body="{{ a")
    assert problem.line == 1
    assert world.store.statistics.statements == before


def cost(world: World, op: Any, *args: Any, **kwargs: Any) -> int:
    before = world.store.statistics.statements
    world.write(op, *args, **kwargs)
    return world.store.statistics.statements - before


def test_what_changes_cost(world: World):
    id = make(world)["id"]
    assert cost(world, automations.create_automation, body=body()) <= 5
    assert cost(world, automations.patch_automation, id, body=AutomationPartialUpdate()) <= 1
    off = AutomationPartialUpdate(enabled=False)
    assert cost(world, automations.patch_automation, id, body=off) <= 6
    other = body(AutomationUpdate, name="other")
    assert cost(world, automations.update_automation, id, body=other) <= 8
    assert cost(world, automations.delete_automation, id) <= 7
