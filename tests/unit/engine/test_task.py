"""The core of a task run, fed by hand; then the same scripts through both drivers."""

import asyncio
import inspect
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from penstock.annotations import allow_failure
from penstock.engine.context import TaskRunContext
from penstock.engine.drivers import aio, sync
from penstock.engine.drivers.services import Services
from penstock.engine.effects import Call, Emit, Now, Read, RunTimeoutError, Sleep, Wait, Write
from penstock.engine.inputs import find_inputs
from penstock.engine.record import TaskRecord
from penstock.engine.task import task_run
from penstock.engine.task_execution import TaskExecution
from penstock.futures import PenstockConcurrentFuture
from penstock.result_records import ResultRecord
from penstock.schemas.errors import Pause, UpstreamTaskError
from penstock.schemas.states import State, StateType
from penstock.states import Completed, Failed
from penstock.tasks import Task
from penstock.transactions import Transaction

START = datetime(2026, 1, 1, tzinfo=UTC)


def execution(fn, parameters=None, *, wait_for=None, chance=0.0, **options):
    task = Task(fn, **options)
    bound = task.signature.bind((), parameters or {})
    record = TaskRecord(
        task.shape(frozenset()),
        id=uuid4(),
        name=task.name,
        dynamic_key="0",
        inputs=find_inputs(bound, wait_for),
    )
    context = TaskRunContext(
        task=task, record=record, parameters=bound, tags=frozenset(), start_time=START
    )
    emitted: list[bytes] = []
    x = TaskExecution(
        task, record, context, emit=emitted.append, wait_for=wait_for, chance=lambda: chance
    )
    emitted.append(x.enter(State(type=StateType.PENDING), START))
    return x


class Script:
    """Feeds effect results to a core and remembers what it asked for."""

    def __init__(self, x, *, outcomes=()):
        self.x = x
        self.now = START
        self.asked: list[object] = []
        self.slept: list[float] = []
        self.states: list[str] = []
        self.outcomes = list(outcomes)

    def run(self):
        core = task_run(self.x)
        send: Any = core.send
        answer: Any = None
        try:
            while True:
                effect = send(answer)
                self.asked.append(effect)
                try:
                    send, answer = core.send, self.answer(effect)
                except BaseException as error:
                    send, answer = core.throw, error
        except StopIteration as stop:
            return stop.value

    def answer(self, effect: Any) -> Any:
        match effect:
            case Now():
                self.now += timedelta(seconds=1)
                return self.now
            case Emit():
                self.states.append(msgspec.json.decode(effect.event)["event"].split(".")[-1])
                return None
            case Call() if effect.fn is self.x.task.fn:
                outcome = self.outcomes.pop(0)
                if isinstance(outcome, BaseException):
                    raise outcome
                return outcome
            case Call():
                value = effect.fn(*effect.args, **effect.kwargs)
                return asyncio.run(value) if effect.awaits else value
            case Read():
                transaction = Transaction(**effect.options)
                transaction.__enter__()
                return transaction, None
            case Write():
                if effect.transaction is None:
                    assert effect.action is not None
                    return effect.action()
                error = effect.error
                return effect.transaction.__exit__(type(error) if error else None, error, None)
            case Sleep():
                return self.slept.append(effect.seconds)
            case Wait():
                return None
        raise AssertionError(effect)


def play(fn=lambda: None, parameters=None, *, outcomes, **options):
    script = Script(execution(fn, parameters, **options), outcomes=outcomes)
    return script, script.run()


def test_a_task_that_returns_goes_from_pending_through_running_to_completed():
    script, state = play(outcomes=[42])
    assert script.states == ["Running", "Completed"]
    assert state.is_completed()
    assert script.x.outcome() == 42
    assert script.x.record.run_count == 1


def test_delays_of_a_list_are_slept_before_each_retry():
    error = ValueError("boom")
    script, state = play(
        outcomes=[error, error, error, 1], retries=3, retry_delay_seconds=[1, 5], chance=0.0
    )
    assert script.slept == [1, 5, 5]
    assert script.states == [
        "Running",
        *["AwaitingRetry", "Retrying"] * 3,
        "Completed",
    ]
    assert script.x.record.run_count == 4
    assert state.is_completed()


def test_without_delay_a_retry_starts_at_once():
    script, _ = play(outcomes=[ValueError("boom"), 1], retries=1)
    assert script.slept == []
    assert script.states == ["Running", "Retrying", "Completed"]


def test_jitter_is_applied():
    script, _ = play(
        outcomes=[ValueError("boom"), 1],
        retries=1,
        retry_delay_seconds=10,
        retry_jitter_factor=0.5,
        chance=0.5,
    )
    assert script.slept == [12.5]


def test_used_up_retries_leave_the_exception():
    error = ValueError("boom")
    script, state = play(outcomes=[error, error], retries=1)
    assert script.states == ["Running", "Retrying", "Failed"]
    assert state.message == "Task run encountered an exception: ValueError: boom"
    with pytest.raises(ValueError, match="boom"):
        script.x.outcome()


def test_a_returned_failed_state_is_retried_too():
    script, state = play(outcomes=[Failed(message="no"), 3], retries=1)
    assert script.states == ["Running", "Retrying", "Completed"]
    assert state.is_completed()


class Judge:
    def __init__(self, verdict):
        self.verdict = verdict

    def judge(self, task, task_run, state):
        return self.verdict

    def __call__(self, task, task_run, state):
        return self.verdict

    async def wait(self, task, task_run, state):
        return self.verdict


def verdict(answer, task, task_run, state):
    return answer


@pytest.mark.parametrize(
    "condition",
    [
        lambda: Judge(True).judge,
        lambda: Judge(True),
        lambda: Judge(True).wait,
        lambda: partial(verdict, True),
        lambda: lambda task, task_run, state: state.is_failed(),
    ],
)
def test_any_callable_may_say_whether_to_retry(condition):
    script, _ = play(outcomes=[ValueError("x"), 1], retries=1, retry_condition_fn=condition())
    assert script.states[-1] == "Completed"


@pytest.mark.parametrize(
    "condition", [Judge(False), partial(verdict, False), lambda *a: 1 / 0, Judge(None).wait]
)
def test_a_condition_that_says_no_or_fails_ends_the_run(condition):
    script, _ = play(outcomes=[ValueError("x"), 1], retries=1, retry_condition_fn=condition)
    assert script.states == ["Running", "Failed"]


def test_own_timeouts_and_those_of_the_user_are_told_apart():
    _, own = play(outcomes=[RunTimeoutError("The run took longer than its timeout of 3 seconds")])
    _, users = play(outcomes=[TimeoutError("socket")])
    assert own.name == users.name == "TimedOut"
    assert own.message == "Task run took longer than its timeout of 3 seconds"
    assert "socket" in users.message


def upstream(state):
    future = PenstockConcurrentFuture(uuid4())
    future.complete(state)
    return future


def test_a_failed_upstream_keeps_the_task_from_running():
    bad = upstream(Failed(data=ResultRecord(ValueError("x"))))
    script, state = play(lambda a: None, {"a": bad}, outcomes=[], retries=3)
    assert (state.type, state.name) == (StateType.PENDING, "NotReady")
    assert str(bad.task_run_id) in state.message
    assert script.states == ["NotReady"]
    with pytest.raises(UpstreamTaskError):
        script.x.outcome()


def test_wait_for_counts_like_an_argument():
    bad = upstream(Failed(data=ResultRecord(ValueError("x"))))
    _, state = play(outcomes=[], wait_for=[bad])
    assert state.name == "NotReady"
    _, state = play(outcomes=[1], wait_for=[allow_failure(bad)])
    assert state.is_completed()


def test_results_of_upstreams_are_passed():
    good = upstream(Completed(data=ResultRecord(5)))
    script, _ = play(lambda a: None, {"a": [good]}, outcomes=[1])
    call = next(e for e in script.asked if isinstance(e, Call))
    assert call.kwargs == {"a": [5]}


def test_a_crash_is_recorded_and_goes_on():
    x = execution(lambda: None)
    script = Script(x, outcomes=[KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        script.run()
    assert script.states == ["Running", "Crashed"]
    assert x.state.is_crashed()


def test_a_pause_leaves_the_run_as_it_is():
    x = execution(lambda: None)
    script = Script(x, outcomes=[Pause()])
    with pytest.raises(Pause):
        script.run()
    assert script.states == ["Running"]


def test_hooks_run_for_the_state_they_are_for_and_their_errors_stay_inside():
    seen: list[str] = []

    def remember(label):
        def hook(task, task_run, state):
            seen.append(f"{label}:{state.name}:{task_run.run_count}")

        return hook

    async def slow(task, task_run, state):
        seen.append("async")

    def broken(task, task_run, state):
        raise RuntimeError("hook")

    _script, state = play(
        outcomes=[ValueError("x"), ValueError("x")],
        retries=1,
        on_running=[remember("running")],
        on_failure=[broken, remember("failure"), slow],
        on_completion=[remember("completion")],
    )
    assert state.is_failed()
    assert seen == ["running:Running:1", "running:Retrying:2", "failure:Failed:2", "async"]


def test_names_come_from_templates_and_functions():
    script, _ = play(lambda a: 0, {"a": 3}, outcomes=[1], task_run_name="t-{a}")
    assert script.x.record.name == "t-3"
    script, _ = play(lambda a: 0, {"a": 3}, outcomes=[1], task_run_name=lambda: "own")
    assert script.x.record.name == "own"
    script, _ = play(
        lambda a: 0, {"a": 3}, outcomes=[1], task_run_name=lambda parameters: f"p{parameters['a']}"
    )
    assert script.x.record.name == "p3"


@pytest.mark.parametrize("naming", ["{missing}", lambda: 3])
def test_a_name_that_cannot_be_made_fails_the_run(naming):
    script, state = play(outcomes=[1], task_run_name=naming, retries=2)
    assert state.is_failed()
    assert script.states == ["Failed"]


def test_the_core_needs_no_event_loop_and_no_clock():
    assert inspect.isgeneratorfunction(task_run)


# --- parity --------------------------------------------------------------------------------------


def by_sync(x):
    sync.run(task_run(x), Services(emit=x.emit))


def by_aio(x):
    asyncio.run(aio.run(task_run(x), Services(emit=x.emit)))


def flaky():
    """A function that fails twice."""
    left = [2]

    def fn(a=1):
        if left[0]:
            left[0] -= 1
            raise ValueError("boom")
        return a

    return fn


def without_ids(message):
    return re.sub(r"[0-9a-f-]{36}", "<id>", message or "")


SCRIPTS: dict[str, Any] = {
    "plain": lambda: execution(lambda: [1, 2]),
    "failing": lambda: execution(lambda: 1 / 0),
    "retried": lambda: execution(flaky(), retries=2, retry_delay_seconds=0.001),
    "not ready": lambda: execution(lambda a: a, {"a": upstream(Failed())}),
    "returned state": lambda: execution(lambda: Completed(message="own", name="Own")),
    "timeout of the user": lambda: execution(lambda: (_ for _ in ()).throw(TimeoutError("x"))),
    "generator result": lambda: execution(lambda: (n for n in range(3))),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_both_drivers_take_a_core_through_the_same_states(name):
    seen = []
    for drive in (by_sync, by_aio):
        x = SCRIPTS[name]()
        events: list[dict] = []
        x.emit = lambda event, events=events: events.append(msgspec.json.decode(event))
        drive(x)
        seen.append(
            [
                (
                    event["event"],
                    event["payload"]["intended"],
                    without_ids(event["payload"]["validated_state"].get("message")),
                    event["payload"]["task_run"]["run_count"],
                )
                for event in events
            ]
        )
    assert seen[0] == seen[1]
    assert seen[0]
