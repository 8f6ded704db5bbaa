"""Variables: what they hold, how they are found, and what is told of each change."""

from typing import Any
from uuid import uuid4

import pytest
from tests.databases import World, wire

from penstock.base import json
from penstock.schemas.errors import ObjectConflict, ObjectMissing, RequestInvalid
from penstock.schemas.filters import AnyIdFilter, NameFilter, TagsFilter
from penstock.schemas.shapes import Operator
from penstock.schemas.variables import (
    VariableCreate,
    VariableFilter,
    VariablesFilterBody,
    VariablesFilterPage,
    VariableSort,
    VariableUpdate,
)
from penstock.server.ops import variables


def create(world: World, name: str = "limit", value: Any = 1, *tags: str) -> dict[str, Any]:
    body = VariableCreate(name=name, value=value, tags=list(tags))
    return wire(world.write(variables.create_variable, body=body))


def by_name(world: World, name: str = "limit") -> dict[str, Any]:
    return wire(world.read(variables.read_variable_by_name, name))


def told(world: World) -> list[dict[str, Any]]:
    rows = world.rows("SELECT * FROM event ORDER BY seq")
    return [
        {**row, "payload": json.decode(row["payload"]), "members": json.decode(row["members"])}
        for row in rows
    ]


def listed(world: World, sort: VariableSort = VariableSort.NAME_ASC, **conditions: Any) -> list:
    body = VariablesFilterPage(variables=VariableFilter(**conditions), sort=sort)
    found = wire(world.read(variables.read_variables, body=body))
    counted = world.read(
        variables.count_variables, body=VariablesFilterBody(variables=body.variables)
    )
    assert counted == len(found)
    return [one["name"] for one in found]


@pytest.mark.parametrize("value", ["text", 1, 1.5, True, None, [1, "a"], {"a": {"b": None}}])
def test_a_value_comes_back_as_it_was_given(world: World, value: Any) -> None:
    made = create(world, value=value)
    assert made["value"] == value
    assert type(made["value"]) is type(value)
    assert by_name(world) == made == wire(world.read(variables.read_variable, made["id"]))


def test_a_taken_name_is_refused_and_told_of_nobody(world: World) -> None:
    create(world)
    with pytest.raises(ObjectConflict, match="'limit'"):
        create(world, value=2)
    assert by_name(world)["value"] == 1
    assert world.events() == ["prefect.variable.created"]


def test_a_large_value_is_refused_when_made_and_when_changed(world: World) -> None:
    with pytest.raises(RequestInvalid, match="5001 bytes"):
        create(world, value="x" * 4999)
    made = create(world, value="x" * 4998)
    with pytest.raises(RequestInvalid, match="5001 bytes"):
        world.write(variables.update_variable, made["id"], body=VariableUpdate(value="y" * 4999))
    assert by_name(world)["value"] == "x" * 4998


def test_each_change_is_told_with_the_variable_as_it_is_then(world: World) -> None:
    made = create(world, "limit", 1, "a")
    world.write(variables.update_variable_by_name, "limit", body=VariableUpdate(value={"n": 2}))
    world.write(variables.update_variable, made["id"], body=VariableUpdate(name="bound", tags=[]))
    world.write(variables.delete_variable_by_name, "bound")
    created, changed, renamed, deleted = told(world)
    assert [row["event"] for row in told(world)] == [
        "prefect.variable.created",
        "prefect.variable.updated",
        "prefect.variable.updated",
        "prefect.variable.deleted",
    ]
    assert {row["resource_id"] for row in told(world)} == {f"prefect.variable.{made['id']}"}
    assert json.decode(renamed["resource"])["prefect.resource.name"] == "bound"
    assert created["payload"] == {"name": "limit", "value": 1, "tags": ["a"]}
    assert changed["payload"] == {"name": "limit", "value": {"n": 2}, "tags": ["a"]}
    assert (
        renamed["payload"]
        == deleted["payload"]
        == {
            "name": "bound",
            "value": {"n": 2},
            "tags": [],
        }
    )
    assert {change["path"] for change in renamed["members"]["changes"]} >= {"/name"}
    audit = world.rows("SELECT * FROM audit ORDER BY seq")
    assert [row["id"] for row in audit] == [row["id"] for row in told(world)]
    assert json.decode(audit[1]["before"])["value"] == 1
    assert json.decode(audit[1]["after"])["value"] == {"n": 2}
    assert audit[3]["after"] is None


@pytest.mark.parametrize(
    "body",
    [
        VariableUpdate(),
        VariableUpdate(value={"a": 1}, name="limit", tags=["t"]),
        VariableUpdate(name=None, tags=None),
    ],
)
def test_a_change_of_nothing_is_none(world: World, body: VariableUpdate) -> None:
    made = create(world, "limit", {"a": 1}, "t")
    world.clock.advance(10)
    world.write(variables.update_variable, made["id"], body=body)
    assert by_name(world) == made
    assert world.events() == ["prefect.variable.created"]


def test_null_is_a_value(world: World) -> None:
    create(world)
    world.write(variables.update_variable_by_name, "limit", body=VariableUpdate(value=None))
    assert by_name(world)["value"] is None


def test_renaming_to_a_taken_name_is_refused(world: World) -> None:
    create(world, "a", 1)
    create(world, "b", 2)
    with pytest.raises(ObjectConflict, match="'b'"):
        world.write(variables.update_variable_by_name, "a", body=VariableUpdate(name="b"))
    assert (by_name(world, "a")["value"], by_name(world, "b")["value"]) == (1, 2)


@pytest.mark.parametrize(("name", "tags"), [("db-password", ()), ("plain", ("api-token",))])
def test_the_value_of_a_secret_is_told_nowhere(
    world: World, name: str, tags: tuple[str, ...]
) -> None:
    create(world, name, "canary-1", *tags)
    world.write(variables.update_variable_by_name, name, body=VariableUpdate(value="canary-2"))
    world.write(variables.delete_variable_by_name, name)
    kept = world.rows("SELECT * FROM event") + world.rows("SELECT * FROM audit")
    assert len(kept) == 6
    assert "canary" not in repr(kept)


def test_a_missing_variable_is_named(world: World) -> None:
    id = str(uuid4())
    with pytest.raises(ObjectMissing, match=id):
        world.read(variables.read_variable, id)
    for op in (variables.read_variable_by_name, variables.delete_variable_by_name):
        with pytest.raises(ObjectMissing, match="'none'"):
            world.write(op, "none")
    with pytest.raises(ObjectMissing, match=id):
        world.write(variables.update_variable, id, body=VariableUpdate(value=1))
    with pytest.raises(ObjectMissing, match=id):
        world.write(variables.delete_variable, id)


def test_lists(world: World) -> None:
    ids = {}
    for name, tags in (("b_1", ["x"]), ("a-1", ["x", "y"]), ("c", [])):
        ids[name] = create(world, name, name, *tags)["id"]
        world.clock.advance(1)
    assert listed(world) == ["a-1", "b_1", "c"]
    assert listed(world, VariableSort.NAME_DESC) == ["c", "b_1", "a-1"]
    assert listed(world, VariableSort.CREATED_DESC) == ["c", "a-1", "b_1"]
    assert listed(world, name=NameFilter(like_="_")) == ["b_1"]
    assert listed(world, name=NameFilter(any_=["c", "none"])) == ["c"]
    assert listed(world, id=AnyIdFilter(any_=[ids["b_1"]])) == ["b_1"]
    assert listed(world, tags=TagsFilter(all_=["x"])) == ["a-1", "b_1"]
    assert listed(world, tags=TagsFilter(is_null_=True)) == ["c"]
    either = {"name": NameFilter(any_=["c"]), "tags": TagsFilter(all_=["y"])}
    assert listed(world, operator=Operator.OR, **either) == ["a-1", "c"]
    page = VariablesFilterPage(limit=1, offset=1)
    assert [one["name"] for one in wire(world.read(variables.read_variables, body=page))] == ["b_1"]


def test_costs(world: World) -> None:
    create(world, "warm", 1)
    before = world.store.statistics.statements
    create(world)
    assert world.store.statistics.statements - before <= 4
    before = world.store.statistics.statements
    world.write(variables.update_variable_by_name, "limit", body=VariableUpdate(value=2))
    assert world.store.statistics.statements - before <= 4
