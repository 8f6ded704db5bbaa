"""What a flow run can wait for, and messages between runs."""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pydantic
import pytest
from tests.unit.steps_script import Script

import penstock.input
from penstock.base.run_context import RunContext, running
from penstock.input import RunInput, actions, keysets, receiving, run_input
from penstock.input.run_input import AutomaticRunInput, run_input_subclass_from_type
from penstock.schemas.errors import MissingContextError
from penstock.schemas.flow_runs import FlowRunInput
from penstock.states import Paused, Running, Suspended

RUN, OTHER = UUID(int=1), UUID(int=2)


class Greeting(RunInput):
    name: str
    times: int = 1


class Model(pydantic.BaseModel):
    x: int


@pytest.fixture
def in_flow():
    context = RunContext(flow=SimpleNamespace(isasync=False), flow_run=SimpleNamespace(id=RUN))
    with running(context):
        yield context


def stored(key, value, sender=None, flow_run_id=RUN):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return FlowRunInput(
        id=UUID(int=7),
        created=now,
        updated=now,
        flow_run_id=flow_run_id,
        key=key,
        value=json.dumps(value),
        sender=sender,
    )


# --- keys ----------------------------------------------------------------------------------------


def test_the_keys_of_a_pause_are_made_of_its_name_and_key():
    assert keysets.keyset_from_base_key("base") == {
        "schema": "base-schema",
        "description": "base-description",
        "response": "base-response",
    }
    keys = keysets.keyset_from_paused_state(Paused(pause_key="1"))
    assert keys["schema"] == "paused-1-schema"
    assert keysets.keyset_from_paused_state(Suspended(pause_key="k"))["schema"] == (
        "suspended-k-schema"
    )
    with pytest.raises(RuntimeError, match="Running"):
        keysets.keyset_from_paused_state(Running())


# --- stored values -------------------------------------------------------------------------------


def test_values_are_stored_as_json_with_the_run():
    script = Script(
        create_flow_run_input=None,
        read_flow_run_input='{"a": [1]}',
        filter_flow_run_input=[[stored("k", 1)]],
        delete_flow_run_input=None,
    )
    script.run(actions._create_flow_run_input("k", {"a": [1]}, OTHER, "me"))
    created = script.requests("create_flow_run_input")[0]
    assert created.path == (OTHER,)
    assert (created.body.key, created.body.value, created.body.sender) == ("k", '{"a":[1]}', "me")
    assert script.run(actions._read_flow_run_input("k", OTHER)) == {"a": [1]}
    assert script.run(actions._filter_flow_run_input("k", 3, {"b", "a"}, OTHER))[0].key == "k"
    assert script.requests("filter_flow_run_input")[0].body.exclude_keys == ["a", "b"]
    script.run(actions._delete_flow_run_input("k", OTHER))
    assert script.requests("delete_flow_run_input")[0].path == (OTHER, "k")


def test_the_run_is_the_current_one_by_default(in_flow):
    assert actions.ensure_flow_run_id() == RUN
    assert actions.ensure_flow_run_id(OTHER) == OTHER
    assert actions.ensure_flow_run_id(str(OTHER)) == OTHER


def test_without_a_run_an_id_is_needed():
    with pytest.raises(MissingContextError, match="flow_run_id"):
        actions.ensure_flow_run_id()


# --- models --------------------------------------------------------------------------------------


def test_defaults_and_a_description_make_a_new_model():
    plain: Any = Greeting
    model: Any = Greeting.with_initial_data(description="Who?", name="Ada")
    assert model.__name__ == "Greeting"
    assert model().name == "Ada"
    assert model(name="Bob").times == 1
    assert model._description == "Who?"
    assert Greeting._description is None
    with pytest.raises(pydantic.ValidationError):
        plain()
    with pytest.raises(pydantic.ValidationError):
        model(name=3)


def test_unknown_fields_are_refused():
    with pytest.raises(pydantic.ValidationError):
        Greeting.model_validate({"name": "x", "colour": "red"})


def test_input_models_are_made_of_any_type():
    assert run_input_subclass_from_type(Greeting) is Greeting
    made = run_input_subclass_from_type(Model)
    assert issubclass(made, RunInput)
    assert issubclass(made, Model)
    assert made.__name__ == "ModelRunInput"
    for kind, value in ((int, 3), (list[int], [1]), (str | None, None), (dict, {"a": 1})):
        automatic = run_input_subclass_from_type(kind)
        assert issubclass(automatic, AutomaticRunInput)
        assert automatic(value=value).value == value
    with pytest.raises(pydantic.ValidationError):
        run_input_subclass_from_type(int)(value="no number")


def test_a_pause_stores_the_schema_of_its_input():
    script = Script(create_flow_run_input=None)
    script.run(run_input._save_input(Greeting, Greeting.keyset_from_type(), RUN))
    request = script.requests("create_flow_run_input")[0]
    assert request.body.key == "greeting-schema"
    assert json.loads(request.body.value)["required"] == ["name"]
    assert len(script.done) == 1


def test_the_response_is_checked_against_the_model():
    keys = Greeting.keyset_from_type()
    script = Script(read_flow_run_input=['{"name": "Ada"}', '{"times": 2}', "null"])
    given = script.run(run_input._load_input(Greeting, keys, RUN))
    assert given.model_dump() == {"name": "Ada", "times": 1}
    assert (given.metadata.key, given.metadata.receiver) == ("greeting-response", RUN)
    for _ in range(2):
        with pytest.raises(pydantic.ValidationError):
            script.run(run_input._load_input(Greeting, keys, RUN))


def test_a_model_can_be_saved_and_loaded_in_both_colours(monkeypatch):
    kept = {}

    def sync(request):
        if request.operation == "create_flow_run_input":
            kept[request.body.key] = request.body.value
            return None
        return kept[request.path[1]]

    async def aio(request):
        return sync(request)

    monkeypatch.setattr(actions.Request, "sync", sync)
    monkeypatch.setattr(actions.Request, "aio", aio)
    keys = Greeting.keyset_from_type()
    Greeting.save(keys, RUN)
    assert json.loads(kept["greeting-schema"])["title"] == "Greeting"
    kept["greeting-response"] = '{"name": "Ada"}'
    assert Greeting.load(keys, RUN).name == "Ada"

    async def main():
        await Greeting.asave(keys, RUN)
        return (await Greeting.aload(keys, RUN)).name

    assert asyncio.run(main()) == "Ada"


def test_a_model_of_ones_own_has_no_metadata():
    with pytest.raises(RuntimeError, match="not received"):
        _ = Greeting(name="x").metadata


# --- messages ------------------------------------------------------------------------------------


def test_a_message_is_sent_under_the_name_of_its_type_and_names_its_sender(in_flow):
    script = Script(create_flow_run_input=None)
    for message, prefix, value in (
        (Greeting(name="x"), "greeting-auto-", {"name": "x", "times": 1}),
        (Model(x=2), "modelruninput-auto-", {"x": 2}),
        (5, "intautomaticruninput-auto-", {"value": 5}),
        ([1], "listautomaticruninput-auto-", {"value": [1]}),
    ):
        script.run(run_input._send_input(message, OTHER))
        request = script.requests("create_flow_run_input")[-1]
        assert request.path == (OTHER,)
        assert request.body.key.startswith(prefix)
        UUID(request.body.key.removeprefix(prefix))
        assert json.loads(request.body.value) == value
        assert request.body.sender == f"prefect.flow-run.{RUN}"
    script.run(run_input._send_input(5, OTHER, sender="me", key_prefix="p"))
    request = script.requests("create_flow_run_input")[-1]
    assert request.body.key.startswith("p-")
    assert request.body.sender == "me"


def test_outside_of_a_run_a_message_has_no_sender():
    script = Script(create_flow_run_input=None)
    script.run(Greeting(name="x")._send_to(OTHER))
    assert script.requests("create_flow_run_input")[0].body.sender is None


def test_messages_come_one_per_look_and_only_once(in_flow):
    script = Script(
        filter_flow_run_input=[
            [stored("greeting-auto-1", {"name": "a"}, f"prefect.flow-run.{OTHER}")],
            [],
            [stored("greeting-auto-2", {"name": "b"})],
        ]
    )
    handler = Greeting.receive(timeout=60, poll_interval=5)
    first = script.run(handler._next())
    second = script.run(handler._next())
    assert (first.name, second.name) == ("a", "b")
    assert first.metadata.sender == f"prefect.flow-run.{OTHER}"
    assert script.sleeps == [5]
    bodies = [request.body for request in script.requests("filter_flow_run_input")]
    assert [body.exclude_keys for body in bodies] == [
        [],
        ["greeting-auto-1"],
        ["greeting-auto-1"],
    ]
    assert {(body.prefix, body.limit) for body in bodies} == {("greeting-auto", 1)}
    assert handler.exclude_keys == {"greeting-auto-1", "greeting-auto-2"}


def test_receiving_gives_up_after_its_timeout(in_flow):
    script = Script(filter_flow_run_input=[[]])
    handler = Greeting.receive(timeout=7, poll_interval=5)
    with pytest.raises(TimeoutError, match="7 seconds"):
        script.run(handler._next())
    assert script.sleeps == [5, 2]


def test_an_iteration_ends_at_the_timeout_or_raises_it(in_flow, monkeypatch):
    def give_up(self, **kwargs):
        raise TimeoutError

    monkeypatch.setattr(receiving.GetInputHandler, "next", give_up)
    assert list(Greeting.receive(timeout=0)) == []
    with pytest.raises(TimeoutError):
        list(Greeting.receive(timeout=0, raise_timeout_error=True))


def test_plain_types_come_bare_or_with_their_metadata(in_flow):
    message = [[stored("x", {"value": 3}, f"prefect.flow-run.{OTHER}")]]
    bare = penstock.input.receive_input(int)
    assert Script(filter_flow_run_input=message).run(bare._next()) == 3
    whole = penstock.input.receive_input(int, with_metadata=True, key_prefix="mine")
    script = Script(filter_flow_run_input=message)
    received = script.run(whole._next())
    assert received.value == 3
    assert received.metadata.receiver == RUN
    assert script.requests("filter_flow_run_input")[0].body.prefix == "mine"
    assert isinstance(penstock.input.receive_input(Greeting), penstock.input.GetInputHandler)


def test_a_message_can_be_answered(in_flow):
    received = Greeting.load_from_flow_run_input(
        stored("k", {"name": "a"}, f"prefect.flow-run.{OTHER}")
    )
    script = Script(create_flow_run_input=None)
    script.run(received._respond("thanks"))
    request = script.requests("create_flow_run_input")[0]
    assert request.path == (OTHER,)
    assert json.loads(request.body.value) == {"value": "thanks"}
    for sender in (None, "somebody"):
        anonymous = Greeting.load_from_flow_run_input(stored("k", {"name": "a"}, sender))
        with pytest.raises(RuntimeError, match="not by a flow run"):
            script.run(anonymous._respond("thanks"))


def test_every_public_name_is_there():
    for name in penstock.input.__all__:
        assert getattr(penstock.input, name) is not None
    with pytest.raises(AttributeError):
        _ = penstock.input.nothing


def test_pydantic_is_loaded_only_when_a_model_is_used():
    code = (
        "import sys, penstock.input, penstock.flow_runs\n"
        "print('pydantic' in sys.modules)\n"
        "penstock.input.RunInput\n"
        "print('pydantic' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
