"""Inputs of flow runs."""

from uuid import UUID

import pytest
from tests.databases import World

from penstock.schemas.errors import ObjectConflict, ObjectMissing, RequestInvalid
from penstock.schemas.flow_runs import FlowRunInputCreate, FlowRunInputFilter
from penstock.server.ops import flow_run_inputs as inputs


def put(world: World, run: str, key: str, value: str = "v", sender: str | None = None) -> None:
    body = FlowRunInputCreate(key=key, value=value, sender=sender)
    world.write(inputs.create_flow_run_input, run, body=body)
    world.clock.advance(1)


def keys(world: World, run: str, prefix: str, **fields: object) -> list[str]:
    body = FlowRunInputFilter(prefix=prefix, **fields)  # type: ignore[arg-type]
    return [found.key for found in world.read(inputs.filter_flow_run_input, run, body=body)]


def test_a_value_comes_back_as_it_was_sent(world: World) -> None:
    run = world.flow_run()
    put(world, run, "schema-1", '{"a": "é"}')
    assert world.read(inputs.read_flow_run_input, run, "schema-1") == '{"a": "é"}'


def test_inputs_are_found_by_prefix_oldest_first(world: World) -> None:
    run, other = world.flow_run(), world.flow_run()
    put(world, other, "a-9")
    for key in ("b-1", "a-2", "a-1"):
        put(world, run, key, sender="flow")
    assert keys(world, run, "a-", limit=10) == ["a-2", "a-1"]
    assert keys(world, run, "a-") == ["a-2"]
    assert keys(world, run, "a-", limit=10, exclude_keys=["a-2"]) == ["a-1"]
    assert keys(world, run, "", limit=10) == ["b-1", "a-2", "a-1"]
    assert keys(world, run, "a_", limit=10) == []
    assert keys(world, str(UUID(int=1)), "a") == []
    with pytest.raises(RequestInvalid):
        keys(world, run, "a", limit=1000)


def test_keys_are_taken_once_per_run(world: World) -> None:
    run = world.flow_run()
    put(world, run, "k")
    with pytest.raises(ObjectConflict, match="'k'"):
        put(world, run, "k")
    put(world, world.flow_run(), "k")
    with pytest.raises(ObjectMissing):
        put(world, str(UUID(int=1)), "k")


@pytest.mark.parametrize("key", ["", "A", "a_b", "a b", "é", "a\n"])
def test_keys_of_other_characters_are_refused(world: World, key: str) -> None:
    run = world.flow_run()
    with pytest.raises(RequestInvalid, match="lower-case"):
        put(world, run, key)
    with pytest.raises(RequestInvalid):
        world.read(inputs.read_flow_run_input, run, key)


def test_deleting(world: World) -> None:
    run = world.flow_run()
    put(world, run, "k")
    world.write(inputs.delete_flow_run_input, run, "k")
    with pytest.raises(ObjectMissing):
        world.read(inputs.read_flow_run_input, run, "k")
    with pytest.raises(ObjectMissing):
        world.write(inputs.delete_flow_run_input, run, "k")
