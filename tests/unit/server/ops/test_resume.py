"""Resuming paused runs, with and without the input they wait for."""

import json
import socket
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.databases import World, wire

from penstock.schemas.errors import ObjectMissing
from penstock.schemas.flow_runs import FlowRunInputCreate, FlowRunResumeBody
from penstock.schemas.states import SetStateBody, StateCreate, StateDetails, StateType
from penstock.server.ops import flow_run_inputs, flow_runs, resume

KEYSET = {"schema": "pause-1-schema", "response": "pause-1-response"}
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name"],
}


def paused(world: World, *, deployed: bool = False, **details: Any) -> str:
    run = world.flow_run(StateType.RUNNING, deployment_id=uuid4() if deployed else None)
    world.clock.advance(1)
    details.setdefault("pause_timeout", world.now + timedelta(hours=1))
    state = StateCreate(type=StateType.PAUSED, state_details=StateDetails(**details))
    answer = world.write(flow_runs.set_flow_run_state, run, body=SetStateBody(state=state)).value
    assert answer.status == "ACCEPT", answer
    world.clock.advance(1)
    return run


def waiting(world: World, schema: str = json.dumps(SCHEMA)) -> str:
    run = paused(world, run_input_keyset=KEYSET)
    body = FlowRunInputCreate(key=KEYSET["schema"], value=schema)
    world.write(flow_run_inputs.create_flow_run_input, run, body=body)
    return run


def resumed(world: World, run: str, run_input: dict[str, Any] | None = None) -> dict[str, Any]:
    body = FlowRunResumeBody(run_input=run_input)
    return wire(world.write(resume.resume_flow_run, run, body=body).value)


def state_of(world: World, run: str) -> dict[str, Any]:
    return wire(world.read(flow_runs.read_flow_run, run))["state"]


def test_a_paused_run_goes_on_running(world: World) -> None:
    run = paused(world)
    made = world.write(resume.resume_flow_run, run)
    assert made.created
    assert wire(made.value)["status"] == "ACCEPT"
    assert state_of(world, run)["type"] == "RUNNING"


def test_a_suspended_run_is_scheduled_again(world: World) -> None:
    run = paused(world, deployed=True, pause_reschedule=True)
    assert resumed(world, run)["status"] == "ACCEPT"
    state = state_of(world, run)
    assert (state["type"], state["name"]) == ("SCHEDULED", "Resuming")


def test_only_paused_runs_are_resumed(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    answer = resumed(world, run)
    assert (answer["status"], answer["state"]) == ("ABORT", None)
    assert "not paused" in answer["details"]["reason"]
    with pytest.raises(ObjectMissing):
        resumed(world, str(UUID(int=1)))


def test_a_pause_that_timed_out_fails(world: World) -> None:
    run = paused(world)
    world.clock.advance(7200)
    assert resumed(world, run)["status"] == "REJECT"
    assert state_of(world, run)["type"] == "FAILED"


def test_fitting_input_is_stored_for_the_run(world: World) -> None:
    run = waiting(world)
    value = {"name": "x", "age": {"__prefect_kind": "json", "value": "3"}}
    assert resumed(world, run, value)["status"] == "ACCEPT"
    stored = world.read(flow_run_inputs.read_flow_run_input, run, KEYSET["response"])
    assert json.loads(stored) == {"name": "x", "age": 3}


@pytest.mark.parametrize(
    ("run_input", "words"),
    [
        ({"name": 3}, "$.name"),
        ({}, "'name'"),
        (None, "'name'"),
        ({"name": {"__prefect_kind": "json", "value": "{"}}, "$.name"),
    ],
)
def test_input_that_does_not_fit_is_rejected(
    world: World, run_input: dict[str, Any] | None, words: str
) -> None:
    run = waiting(world)
    answer = resumed(world, run, run_input)
    assert answer["status"] == "REJECT"
    assert answer["details"]["type"] == "abort_details"
    assert words in answer["details"]["reason"]
    assert answer["state"]["type"] == state_of(world, run)["type"] == "PAUSED"
    with pytest.raises(ObjectMissing):
        world.read(flow_run_inputs.read_flow_run_input, run, KEYSET["response"])


@pytest.mark.parametrize("schema", ["{", '{"type": "nonsense"}'])
def test_a_broken_schema_is_told(world: World, schema: str) -> None:
    run = waiting(world, schema)
    assert "not a JSON schema" in resumed(world, run, {"name": "x"})["details"]["reason"]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#/$defs/none"}, "refers to nothing"),
        ({"$ref": "#"}, "without end"),
    ],
)
def test_references_that_lead_nowhere_are_told(
    world: World, schema: dict[str, Any], words: str
) -> None:
    run = waiting(world, json.dumps(schema))
    assert words in resumed(world, run, {"name": "x"})["details"]["reason"]
    assert state_of(world, run)["type"] == "PAUSED"


def test_references_inside_the_schema_are_followed(world: World) -> None:
    schema = {"properties": {"n": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}}
    run = waiting(world, json.dumps(schema))
    assert resumed(world, run, {"n": "x"})["status"] == "REJECT"
    assert resumed(world, run, {"n": 1})["status"] == "ACCEPT"


def test_a_schema_makes_the_server_ask_nobody(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/schema.json"
        run = waiting(world, json.dumps({"$ref": address}))
        assert "refers to nothing" in resumed(world, run, {"name": "x"})["details"]["reason"]
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_input_nobody_waits_for_is_rejected(world: World) -> None:
    run = paused(world)
    assert "waits for no input" in resumed(world, run, {"a": 1})["details"]["reason"]
    assert resumed(world, run, {})["status"] == "ACCEPT"
    run = paused(world, run_input_keyset=KEYSET)
    assert "is gone" in resumed(world, run, {"name": "x"})["details"]["reason"]
