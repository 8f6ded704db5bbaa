"""The core of a flow run, fed by hand, and both drivers over a scripted API."""

import asyncio
import inspect
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from penstock.engine import signals
from penstock.engine.drivers import aio, sync
from penstock.engine.drivers.services import Services
from penstock.engine.effects import Call, Emit, Now, Request, Sleep, Submit, Wait, Write
from penstock.engine.flow import flow_run
from penstock.engine.flow_execution import FlowExecution
from penstock.flows import Flow
from penstock.schemas.errors import Abort, Pause, TerminationSignal
from penstock.schemas.flow_runs import FlowRun, FlowRunBegin, FlowRunPolicy
from penstock.schemas.states import (
    OrchestrationResult,
    SetStateStatus,
    State,
    StateAbortDetails,
    StateAcceptDetails,
    StateDetails,
    StateRejectDetails,
    StateType,
    StateWaitDetails,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


def accept(body):
    proposed = body.state
    state = State(type=proposed.type, id=proposed.id, name=proposed.name, message=proposed.message)
    return OrchestrationResult(
        status=SetStateStatus.ACCEPT, state=state, details=StateAcceptDetails()
    )


def reject(state, reason="because"):
    return lambda body: OrchestrationResult(
        status=SetStateStatus.REJECT, state=state, details=StateRejectDetails(reason=reason)
    )


def abort(state=None, reason="because"):
    return lambda body: OrchestrationResult(
        status=SetStateStatus.ABORT, state=state, details=StateAbortDetails(reason=reason)
    )


def wait(seconds):
    return lambda body: OrchestrationResult(
        status=SetStateStatus.WAIT, state=None, details=StateWaitDetails(delay_seconds=seconds)
    )


class Api:
    """Answers the operations of a flow run; `answers` are used for proposals, in order."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests: list[tuple[str, object]] = []
        self.proposed: list[tuple[str, bool]] = []
        self.ids: list[UUID] = []

    def call(self, operation, *path, body: Any = None, **query):
        self.requests.append((operation, body))
        if operation == "begin_flow_run":
            assert isinstance(body, FlowRunBegin)
            run = body.run
            return FlowRun(
                id=run.id if isinstance(run.id, UUID) else uuid4(),
                flow_id=uuid4(),
                created=START,
                updated=START,
                name=run.name or "generated",
                parameters=run.parameters,
                empirical_policy=run.empirical_policy,
                tags=run.tags,
                state=State(type=StateType.PENDING),
            )
        if operation == "set_flow_run_state":
            self.proposed.append((body.state.name, body.force))
            self.ids.append(body.state.id)
            answer = self.answers.pop(0) if self.answers else accept
            return answer(body)
        if operation == "update_flow_run":
            return None
        raise AssertionError(operation)

    @property
    def operations(self):
        return [operation for operation, _ in self.requests]


class AsyncApi(Api):
    async def call(self, operation, *path, body: Any = None, **query):
        return super().call(operation, *path, body=body, **query)


class Script:
    """Feeds effect results to a core."""

    def __init__(self, x, api):
        self.x, self.api = x, api
        self.slept: list[float] = []
        self.now = START

    def run(self):
        core = flow_run(self.x)
        send: Any = core.send
        answer: Any = None
        try:
            while True:
                effect = send(answer)
                try:
                    send, answer = core.send, self.answer(effect)
                except BaseException as error:
                    send, answer = core.throw, error
        except StopIteration as stop:
            return stop.value
        finally:
            self.x.close()

    def answer(self, effect: Any) -> Any:
        match effect:
            case Now():
                self.now += timedelta(seconds=1)
                return self.now
            case Request():
                return self.api.call(
                    effect.operation, *effect.path, body=effect.body, **effect.query
                )
            case Call():
                return effect.fn(*effect.args, **effect.kwargs)
            case Sleep():
                return self.slept.append(effect.seconds)
            case Submit() | Write():
                assert effect.action is not None
                return effect.action()
            case Emit() | Wait():
                return None
        raise AssertionError(effect)


def execution(fn, parameters: Any = None, *, given: Any = None, **options):
    flow = Flow(fn, **options)
    return FlowExecution(
        flow,
        flow.signature.bind((), parameters or {}),
        emit=lambda event: None,
        flow_run=given,
    )


def play(fn=lambda: 1, parameters=None, *, api=None, **options):
    api = api or Api()
    script = Script(execution(fn, parameters, **options), api)
    return script, script.run()


def made(script) -> FlowRun:
    run = script.x.flow_run
    assert run is not None
    return run


def test_a_plain_run_takes_three_requests():
    script, state = play(lambda: 42)
    assert script.api.operations == ["begin_flow_run", *["set_flow_run_state"] * 2]
    assert script.api.proposed == [("Running", False), ("Completed", False)]
    assert state.is_completed()
    assert script.x.outcome() == 42


def test_a_template_name_costs_no_request_and_a_function_one():
    script, _ = play(lambda n: n, {"n": 3}, flow_run_name="run-{n}")
    assert script.api.operations.count("update_flow_run") == 0
    assert made(script).name == "run-3"
    script, _ = play(flow_run_name=lambda: "own")
    assert script.api.operations.count("update_flow_run") == 1
    assert made(script).name == "own"


@pytest.mark.parametrize("naming", ["{missing}", lambda: 3])
def test_a_name_that_cannot_be_made_fails_the_run(naming):
    script, state = play(flow_run_name=naming)
    assert state.is_failed()
    assert [name for name, _ in script.api.proposed] == ["Failed"]


def test_waiting_repeats_the_same_proposal():
    script, _ = play(api=Api(wait(3), wait(2)))
    assert script.slept == [3, 2]
    assert len(set(script.api.ids[:3])) == 1


def test_pending_answers_are_asked_again():
    pending = State(type=StateType.PENDING)
    script, state = play(api=Api(reject(pending), reject(pending)))
    assert script.slept == [0.2, 0.2]
    assert state.is_completed()


def test_a_rejected_proposal_puts_the_run_where_the_server_says():
    called: list[int] = []
    cancelled = State(type=StateType.CANCELLED, message="lost its slot")
    script, state = play(lambda: called.append(1), api=Api(reject(cancelled)))
    assert state.is_cancelled()
    assert called == []
    assert script.api.proposed == [("Running", False)]


def test_retries_follow_the_answers_of_the_server():
    tries: list[int] = []

    def fn():
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("first")
        return "second"

    due = StateDetails(scheduled_time=START)
    retry = State(type=StateType.SCHEDULED, name="AwaitingRetry", state_details=due)
    script, _ = play(fn, api=Api(accept, reject(retry), wait(5)))
    assert script.slept == [5]
    assert script.x.outcome() == "second"
    assert made(script).run_count == 2


def test_abort_and_pause_stop_without_another_proposal():
    for answer, signal in (
        (abort(), Abort),
        (abort(State(type=StateType.PAUSED)), Pause),
        (reject(State(type=StateType.PAUSED)), Pause),
    ):
        api = Api(answer)
        with pytest.raises(signal):
            play(api=api)
        assert len(api.proposed) == 1


def test_a_pause_raised_inside_proposes_nothing_more():
    def fn():
        raise Pause(state=State(type=StateType.PAUSED, name="Suspended"))

    api = Api()
    script = Script(execution(fn), api)
    with pytest.raises(Pause):
        script.run()
    assert api.proposed == [("Running", False)]
    assert script.x.state.name == "Suspended"


def test_an_end_from_outside_is_forced():
    def fn():
        raise KeyboardInterrupt

    api = Api()
    with pytest.raises(KeyboardInterrupt):
        play(fn, api=api)
    assert api.proposed == [("Running", False), ("Crashed", True)]


def test_what_comes_after_the_last_state_does_not_change_it():
    def hook(flow, run, state):
        raise KeyboardInterrupt

    script, state = play(lambda: 1, on_completion=[hook])
    assert state.is_completed()
    assert script.api.proposed[-1] == ("Completed", False)


def test_a_cancelling_signal_cancels_and_runs_the_hooks(monkeypatch):
    seen: list[str] = []

    def fn():
        raise TerminationSignal(signal=15)

    monkeypatch.setattr(signals, "_intent", "cancel")
    api = Api()
    with pytest.raises(TerminationSignal):
        play(fn, api=api, on_cancellation=[lambda flow, run, state: seen.append(state.name)])
    assert api.proposed == [("Running", False), ("Cancelling", True), ("Cancelled", True)]
    assert seen == ["Cancelling"]


def test_a_runner_that_owns_the_hooks_finishes_the_cancellation_itself(monkeypatch):
    def fn():
        raise TerminationSignal(signal=15)

    monkeypatch.setattr(signals, "_intent", "cancel")
    monkeypatch.setenv("PENSTOCK__ENABLE_CANCELLATION_AND_CRASHED_HOOKS", "false")
    api = Api()
    with pytest.raises(TerminationSignal):
        play(fn, api=api)
    assert api.proposed == [("Running", False)]


def test_a_signal_without_intent_crashes_unless_the_run_is_rescheduled(monkeypatch):
    def fn():
        raise TerminationSignal(signal=15)

    api = Api()
    with pytest.raises(TerminationSignal):
        play(fn, api=api)
    assert api.proposed[-1] == ("Crashed", True)
    monkeypatch.setenv("PENSTOCK_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR", "reschedule")
    api = Api()
    with pytest.raises(TerminationSignal):
        play(fn, api=api)
    assert api.proposed == [("Running", False)]


def given_run(**fields):
    return FlowRun(
        id=uuid4(), flow_id=uuid4(), created=START, updated=START, name="given", **fields
    )


def test_a_given_run_gets_what_it_lacks_and_is_not_made_again():
    script, _ = play(given=given_run(state=State(type=StateType.PENDING)), retries=3)
    assert script.api.operations == ["update_flow_run", *["set_flow_run_state"] * 2]
    assert made(script).empirical_policy.retries == 3


def test_a_given_policy_wins_and_resuming_counts_no_run():
    policy = FlowRunPolicy(retries=1, retry_delay=4, resuming=True)
    script, _ = play(given=given_run(empirical_policy=policy, run_count=2), retries=3)
    kept = made(script).empirical_policy
    assert (kept.retries, kept.retry_delay) == (1, 4)
    assert made(script).run_count == 2


def test_the_core_needs_no_event_loop():
    assert inspect.isgeneratorfunction(flow_run)


def failing():
    raise ValueError("boom")


RETRY = State(
    type=StateType.SCHEDULED,
    name="AwaitingRetry",
    state_details=StateDetails(scheduled_time=START),
)
SCRIPTS: dict[str, Any] = {
    "plain": (lambda: 1, ()),
    "failing": (failing, ()),
    "retried": (failing, (accept, reject(RETRY), accept, accept)),
    "waiting": (lambda: 1, (wait(0), accept, accept)),
    "cancelled": (lambda: 1, (reject(State(type=StateType.CANCELLED)),)),
    "list": (lambda: [1], ()),
    "own state": (lambda: State(type=StateType.FAILED, message="own"), ()),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_both_drivers_propose_the_same(name):
    fn, answers = SCRIPTS[name]
    by_sync, by_aio = Api(*answers), AsyncApi(*answers)
    x = execution(fn)
    state = sync.run(flow_run(x), Services(client=by_sync, emit=x.emit))
    x.close()
    y = execution(fn)
    other = asyncio.run(aio.run(flow_run(y), Services(client=by_aio, emit=y.emit)))
    y.close()
    assert by_sync.operations == by_aio.operations
    assert by_sync.proposed == by_aio.proposed
    assert (state.type, state.name, state.message) == (other.type, other.name, other.message)


def test_the_slot_of_the_deployment_is_kept_while_the_run_goes_on(monkeypatch):
    lease = uuid4()
    kept, stopped, killed = [], [], []

    def keep(lease_id, seconds, lost):
        kept.append((lease_id, lost))
        return "hold"

    monkeypatch.setattr("penstock.client.leases.keep_lease", keep)
    monkeypatch.setattr("penstock.client.leases.KEEPER.stop", stopped.append)
    monkeypatch.setattr(
        "penstock.engine.flow_execution.os.kill", lambda *given: killed.append(given)
    )

    def running(body):
        answer = accept(body)
        details = StateDetails(deployment_concurrency_lease_id=lease)
        assert answer.state is not None
        state = answer.state.model_copy(update={"state_details": details})
        return OrchestrationResult(
            status=SetStateStatus.ACCEPT, state=state, details=StateAcceptDetails()
        )

    x = execution(lambda: 1)
    api = Api(running)
    script = Script(x, api)
    assert script.run().is_completed()
    ((kept_id, lost),) = kept
    assert (kept_id, stopped) == (lease, ["hold"])
    lost(RuntimeError("the lease has ended"))
    assert signals.intent() == "cancel"
    signals.set_intent(None)
    assert len(killed) == 1
