"""Pausing, suspending, resuming and waiting, step by step."""

import logging
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from tests.unit.steps_script import Script

from penstock import flow_runs
from penstock.base.run_context import RunContext, running
from penstock.flow_runs import (
    _pause_flow_run,
    _resume_flow_run,
    _suspend_flow_run,
    _wait_for_flow_run,
    apause_flow_run,
    aresume_flow_run,
    asuspend_flow_run,
    pause_flow_run,
    resume_flow_run,
    suspend_flow_run,
)
from penstock.input import RunInput
from penstock.schemas.errors import (
    APIUnreachable,
    FlowPauseTimeout,
    FlowRunWaitTimeout,
    MissingContextError,
    NotPausedError,
    ObjectAlreadyExists,
    Pause,
)
from penstock.schemas.states import (
    OrchestrationResult,
    SetStateStatus,
    StateAbortDetails,
    StateAcceptDetails,
    StateRejectDetails,
    StateWaitDetails,
)
from penstock.states import Completed, Failed, Paused, Pending, Running, Scheduled, Suspended

RUN = UUID(int=1)


def answer(state, status=SetStateStatus.ACCEPT, reason=None):
    details = {
        SetStateStatus.ACCEPT: StateAcceptDetails(),
        SetStateStatus.REJECT: StateRejectDetails(reason=reason),
        SetStateStatus.ABORT: StateAbortDetails(reason=reason),
    }[status]
    return OrchestrationResult(state=state, status=status, details=details)


def accepted(step):
    """The server takes whatever state is proposed."""
    proposed = step.body.state
    return answer(Paused(name=proposed.name, state_details=proposed.state_details, id=proposed.id))


def run_in(state):
    return SimpleNamespace(id=RUN, state=state, state_name=state.name)


@pytest.fixture(autouse=True)
def own_logger(monkeypatch):
    """The package's loggers send to the API and do not propagate once they are set up."""
    monkeypatch.setattr(flow_runs, "_log", lambda: logging.getLogger("tests.flow_runs"))


@pytest.fixture
def in_flow():
    context = RunContext(flow=SimpleNamespace(isasync=False), flow_run=SimpleNamespace(id=RUN))
    with running(context):
        yield context


class Approval(RunInput):
    ok: bool
    note: str = "none"


# --- pause ---------------------------------------------------------------------------------------


def test_a_pause_asks_until_the_run_runs_again(in_flow):
    script = Script(
        set_flow_run_state=accepted,
        read_flow_run=[run_in(Paused()), run_in(Paused()), run_in(Running())],
    )
    assert script.run(_pause_flow_run(timeout=100, poll_interval=10)) is None
    proposed = script.requests("set_flow_run_state")[0]
    assert proposed.path == (RUN,)
    assert proposed.body.state.name == "Paused"
    assert proposed.body.state.state_details.pause_key == "1"
    assert proposed.body.state.state_details.pause_reschedule is False
    assert script.sleeps == [10, 10, 10]


def test_the_first_look_comes_early_when_time_is_short(in_flow):
    script = Script(set_flow_run_state=accepted, read_flow_run=run_in(Paused()))
    with pytest.raises(FlowPauseTimeout, match="6 seconds"):
        script.run(_pause_flow_run(timeout=6, poll_interval=10))
    assert script.sleeps == [3, 3]
    assert len(script.requests("read_flow_run")) == 2


def test_pauses_are_numbered_within_a_run(in_flow):
    script = Script(set_flow_run_state=accepted, read_flow_run=run_in(Running()))
    for _ in range(2):
        script.run(_pause_flow_run())
    script.run(_pause_flow_run(key="mine"))
    keys = [r.body.state.state_details.pause_key for r in script.requests("set_flow_run_state")]
    assert keys == ["1", "2", "mine"]


def test_a_pause_that_was_passed_before_is_passed_at_once(in_flow):
    script = Script(set_flow_run_state=answer(Running(), SetStateStatus.REJECT))
    assert script.run(_pause_flow_run()) is None
    assert script.sleeps == []


def test_the_input_of_a_pause_that_was_passed_before_is_read_again(in_flow):
    """Regression: the peer's asynchronous pause gives None here."""
    script = Script(
        create_flow_run_input=ObjectAlreadyExists("there already"),
        set_flow_run_state=answer(Running(), SetStateStatus.REJECT),
        read_flow_run_input='{"ok": true}',
    )
    assert script.run(_pause_flow_run(wait_for_input=Approval)).ok is True
    assert script.requests("read_flow_run_input")[0].path == (RUN, "paused-1-response")


def test_what_is_expected_is_stored_before_the_run_can_be_resumed(in_flow):
    script = Script(
        create_flow_run_input=None,
        set_flow_run_state=accepted,
        read_flow_run=run_in(Running()),
        read_flow_run_input='{"ok": false, "note": "n"}',
    )
    model = Approval.with_initial_data(description="Is it *right*?", note="so")
    given = script.run(_pause_flow_run(wait_for_input=model, key="k"))
    assert (given.ok, given.note) == (False, "n")
    assert given.metadata.key == "paused-k-response"
    assert [step.operation for step in script.done if hasattr(step, "operation")] == [
        "create_flow_run_input",
        "create_flow_run_input",
        "set_flow_run_state",
        "read_flow_run",
        "read_flow_run_input",
    ]
    schema, description = script.requests("create_flow_run_input")
    assert (schema.body.key, description.body.key) == ("paused-k-schema", "paused-k-description")
    assert '"default":"so"' in schema.body.value
    assert description.body.value == '"Is it *right*?"'
    keyset = script.requests("set_flow_run_state")[0].body.state.state_details.run_input_keyset
    assert keyset == {
        "schema": "paused-k-schema",
        "description": "paused-k-description",
        "response": "paused-k-response",
    }


def test_a_plain_type_gives_the_bare_value(in_flow):
    script = Script(
        create_flow_run_input=None,
        set_flow_run_state=accepted,
        read_flow_run=run_in(Running()),
        read_flow_run_input='{"value": 7}',
    )
    assert script.run(_pause_flow_run(wait_for_input=int)) == 7


def test_a_wait_answer_is_waited_for(in_flow):
    wait = OrchestrationResult(
        state=Running(), status=SetStateStatus.WAIT, details=StateWaitDetails(delay_seconds=4)
    )
    script = Script(
        set_flow_run_state=[wait, answer(Running(), SetStateStatus.REJECT)],
    )
    script.run(_pause_flow_run())
    assert script.sleeps == [4]
    first, second = script.requests("set_flow_run_state")
    assert first.body.state.id == second.body.state.id


@pytest.mark.parametrize("body", [_pause_flow_run, _suspend_flow_run])
def test_a_refusal_names_the_reason(in_flow, body):
    script = Script(
        set_flow_run_state=answer(None, SetStateStatus.ABORT, "it has no deployment"),
    )
    with pytest.raises(RuntimeError, match="it has no deployment"):
        script.run(body())
    script = Script(set_flow_run_state=answer(Pending(), SetStateStatus.REJECT))
    with pytest.raises(RuntimeError, match="'Pending'"):
        script.run(body())


@pytest.mark.parametrize("function", [pause_flow_run, suspend_flow_run])
def test_outside_of_a_flow_there_is_nothing_to_pause(function):
    with pytest.raises(MissingContextError, match="no flow is running"):
        function()


@pytest.mark.parametrize("body", [_pause_flow_run, _suspend_flow_run])
def test_a_task_cannot_pause_its_flow(in_flow, body):
    task = RunContext(
        task=SimpleNamespace(isasync=False),
        task_run=SimpleNamespace(id=UUID(int=2)),
        flow_run=SimpleNamespace(id=RUN),
        flow_context=in_flow,
    )
    with running(task), pytest.raises(RuntimeError, match="inside a task"):
        Script().run(body())


def test_a_server_that_is_away_for_a_while_does_not_end_a_pause(in_flow):
    """Regression: the peer's paused flow crashes when the server is restarted."""
    away = APIUnreachable("no connection")
    script = Script(
        set_flow_run_state=accepted, read_flow_run=[away, away, run_in(Paused()), run_in(Running())]
    )
    assert script.run(_pause_flow_run(timeout=100)) is None
    assert len(script.sleeps) == 4
    script = Script(set_flow_run_state=accepted, read_flow_run=away)
    with pytest.raises(FlowPauseTimeout):
        script.run(_pause_flow_run(timeout=100))


# --- suspend -------------------------------------------------------------------------------------


def test_suspending_the_current_run_stops_it_here(in_flow):
    script = Script(set_flow_run_state=accepted)
    with pytest.raises(Pause) as caught:
        script.run(_suspend_flow_run(timeout=60))
    assert caught.value.state.name == "Suspended"
    details = script.requests("set_flow_run_state")[0].body.state.state_details
    assert details.pause_reschedule is True
    assert details.pause_timeout is not None
    assert script.sleeps == []


def test_a_suspension_that_was_passed_before_gives_its_input(in_flow):
    script = Script(
        create_flow_run_input=ObjectAlreadyExists("there already"),
        set_flow_run_state=answer(Running(), SetStateStatus.REJECT),
        read_flow_run_input='{"value": "given"}',
    )
    assert script.run(_suspend_flow_run(wait_for_input=str)) == "given"
    assert script.requests("read_flow_run_input")[0].path == (RUN, "suspended-1-response")


def test_another_run_is_suspended_without_stopping_this_one():
    script = Script(set_flow_run_state=accepted)
    assert script.run(_suspend_flow_run(flow_run_id=UUID(int=9))) is None
    proposed = script.requests("set_flow_run_state")[0]
    assert proposed.path == (UUID(int=9),)
    UUID(proposed.body.state.state_details.pause_key)
    with pytest.raises(RuntimeError, match="suspends itself"):
        script.run(_suspend_flow_run(wait_for_input=int, flow_run_id=UUID(int=9)))


def test_the_current_run_may_be_named_by_its_id(in_flow):
    script = Script(set_flow_run_state=accepted)
    with pytest.raises(Pause):
        script.run(_suspend_flow_run(flow_run_id=RUN))


# --- resume --------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [Paused(), Suspended()])
def test_a_paused_run_is_resumed_with_its_input(state):
    script = Script(read_flow_run=run_in(state), resume_flow_run=answer(Scheduled()))
    script.run(_resume_flow_run(RUN, {"ok": True}))
    request = script.requests("resume_flow_run")[0]
    assert request.path == (RUN,)
    assert request.body.run_input == {"ok": True}


def test_the_input_may_be_a_model():
    script = Script(read_flow_run=run_in(Paused()), resume_flow_run=answer(Running()))
    script.run(_resume_flow_run(RUN, Approval(ok=True)))
    assert script.requests("resume_flow_run")[0].body.run_input == {"ok": True, "note": "none"}


@pytest.mark.parametrize("state", [Running(), Completed(), Pending()])
def test_a_run_that_is_not_paused_is_not_resumed(state):
    script = Script(read_flow_run=run_in(state))
    with pytest.raises(NotPausedError, match=state.name):
        script.run(_resume_flow_run(RUN))


def test_a_refused_resume_says_why():
    script = Script(
        read_flow_run=run_in(Paused()),
        resume_flow_run=answer(Failed(), SetStateStatus.REJECT, "too late"),
    )
    with pytest.raises(FlowPauseTimeout):
        script.run(_resume_flow_run(RUN))
    script = Script(
        read_flow_run=run_in(Paused()),
        resume_flow_run=answer(Paused(), SetStateStatus.REJECT, "the input does not fit"),
    )
    with pytest.raises(RuntimeError, match="the input does not fit"):
        script.run(_resume_flow_run(RUN))


# --- wait ----------------------------------------------------------------------------------------


def test_waiting_ends_with_the_run(caplog):
    running_state = Running()
    script = Script(
        read_flow_run=[
            run_in(Pending()),
            run_in(running_state),
            run_in(running_state),
            run_in(Completed()),
        ]
    )
    with caplog.at_level(logging.INFO):
        run = script.run(_wait_for_flow_run(RUN, log_states=True))
    assert run.state.is_completed()
    assert [message.split("'")[1] for message in caplog.messages] == [
        "Pending",
        "Running",
        "Completed",
    ]
    assert script.sleeps == pytest.approx([0.05, 0.075, 0.1125])


def test_a_server_that_is_away_for_a_while_does_not_end_the_waiting():
    away = APIUnreachable("no connection")
    script = Script(read_flow_run=[away, run_in(Completed())])
    assert script.run(_wait_for_flow_run(RUN)).state.is_completed()
    script = Script(read_flow_run=away)
    with pytest.raises(FlowRunWaitTimeout, match="not known"):
        script.run(_wait_for_flow_run(RUN, timeout=10))


def test_a_run_that_is_final_is_not_waited_for():
    script = Script(read_flow_run=run_in(Failed()))
    assert script.run(_wait_for_flow_run(RUN)).state.is_failed()
    assert script.sleeps == []


def test_waiting_gives_up_after_its_timeout():
    script = Script(read_flow_run=run_in(Running()))
    with pytest.raises(FlowRunWaitTimeout, match="'Running'"):
        script.run(_wait_for_flow_run(RUN, timeout=10, poll_interval=4))
    assert script.sleeps == [4, 4, 2]


def test_the_pauses_between_looks_have_an_upper_limit():
    script = Script(read_flow_run=[run_in(Running())] * 40 + [run_in(Completed())])
    script.run(_wait_for_flow_run(RUN, timeout=None))
    assert max(script.sleeps) == 5.0


def test_a_given_client_is_used():
    client = object()
    script = Script(read_flow_run=run_in(Completed()))
    script.run(_wait_for_flow_run(RUN, client=client))
    assert script.requests("read_flow_run")[0].client is client


def test_every_function_has_a_coroutine():
    pairs: list[tuple[Any, Any]] = [
        (pause_flow_run, apause_flow_run),
        (suspend_flow_run, asuspend_flow_run),
        (resume_flow_run, aresume_flow_run),
    ]
    for plain, awaited in pairs:
        assert plain.aio is awaited
        assert awaited.__name__ == f"a{plain.__name__}"
