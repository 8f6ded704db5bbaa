"""One run of a flow, as a generator of effects.

The order: make the run (or take the given one), enter Running, call the function, propose where it
led; the server may answer that the run is to be tried again. Three requests in the plain case.
"""

from collections.abc import Generator
from functools import partial
from typing import Any

from penstock.engine.effects import NOW, Call, Effect, Request, Sleep, Submit, Wait, Write
from penstock.engine.flow_execution import FlowExecution
from penstock.engine.hooks import run_hooks
from penstock.engine.inputs import Blocked, check_upstream
from penstock.schemas.errors import Abort, Pause, TerminationSignal, UpstreamTaskError
from penstock.schemas.states import (
    OrchestrationResult,
    SetStateBody,
    SetStateStatus,
    State,
    StateType,
    StateWaitDetails,
)
from penstock.schemas.task_runs import TaskRun

Steps = Generator[Effect, Any, Any]

PENDING_POLL_SECONDS = 0.2


def flow_run(x: FlowExecution) -> Generator[Effect, Any, State]:
    """Run `x` to its last state, which is the answer.

    `x.value` and `x.error` hold what the function returned or what went wrong. `Abort` and
    `Pause` mean that the server wants no further state from here. Everything else that is no
    `Exception` crashes the run and goes on to the caller.
    """
    try:
        yield from _make(x)
        if not x.finished_before:
            yield from _steps(x)
    except (Abort, Pause) as signal:
        yield from _leave(x, cancelled=True)
        state = getattr(signal, "state", None)
        if state is not None and x.flow_run is not None:
            x.adopt(state)
        raise
    except GeneratorExit:
        raise
    except BaseException as error:
        yield from _leave(x, cancelled=True)
        if x.flow_run is None:
            raise
        if x.state.is_final():
            x.logger.debug("%s ended already; ignored: %r", x.label, error)
            return x.state
        yield from _end_by_force(x, error)
        raise
    return x.state


def _make(x: FlowExecution) -> Steps:
    """Make the flow run, or bring the given one up to date."""
    x.look_at_arguments()
    if not x.inputs.futures and not x.inputs.states:
        # Nothing to wait for: the run can be made with its name and checked parameters at once.
        _check(x)
        if x.invalid is None:
            x.name_by_template()
    if x.flow_run is not None:
        update = x.missing_policy()
        if update is not None:
            yield Request("update_flow_run", x.flow_run.id, body=update)
            x.take_policy(update)
        x.begin()
        return
    if x.parent is not None:
        yield from _make_child(x)
        if x.finished_before or x.flow_run is not None:
            return
    now = yield NOW
    x.begin((yield Request("begin_flow_run", body=x.creation(now))))


def _make_child(x: FlowExecution) -> Steps:
    """The task run that stands for this run in its parent, and an earlier run of it if any."""
    assert x.parent is not None
    task_run: TaskRun = yield Request("create_task_run", body=x.parent_task())
    x.parent_task_run = task_run
    if x.parent.flow_run.run_count <= 1:
        return
    found = yield Request("read_flow_runs", body=x.earlier_runs())
    state = task_run.state
    if not found or (state is not None and state.is_final() and not state.is_completed()):
        return
    x.begin(found[0])
    if state is not None and state.is_completed():
        x.finished_before = True
        x.value = yield Write(x.earlier_result)


def _check(x: FlowExecution) -> None:
    try:
        x.check_parameters()
    except Exception as error:  # the models of the user may raise anything
        x.invalid = error


def _steps(x: FlowExecution) -> Steps:
    if not (yield from _ready(x)):
        return
    yield from _propose(x, State(type=StateType.RUNNING))
    while x.state.is_pending() and x.state.name != "NotReady":
        yield Sleep(PENDING_POLL_SECONDS)
        yield from _propose(x, State(type=StateType.RUNNING))
    while x.state.is_running():
        state = yield from _attempt(x)
        if state is None:
            break
        yield from _propose(x, state)
        if x.state.is_scheduled():
            x.log_retry()
            yield from _propose(x, State(type=StateType.RUNNING))
    x.log_finish()


def _ready(x: FlowExecution) -> Generator[Effect, Any, bool]:
    """Whether the function may be called: upstream completed, parameters fit, run named."""
    try:
        if x.inputs.futures:
            yield Wait(x.inputs.futures)
        if x.wait_for is not None:
            check_upstream(x.wait_for)
        if x.inputs.nested:
            x.resolve_parameters()
    except Blocked as blocked:
        message = (
            f"Upstream {blocked.origin} did not reach a completed state: it is {blocked.state.name}"
        )
        x.error = UpstreamTaskError(f"{x.label} was not started. {message}.")
        not_ready = State(type=StateType.PENDING, name="NotReady", message=message)
        yield from _propose(x, not_ready, force=x.state.is_pending())
        x.log_finish()
        return False
    if not x.checked and x.invalid is None:
        _check(x)
    if x.invalid is None:
        yield from _name(x)
    if x.invalid is not None:
        x.error = x.invalid
        yield from _propose(x, x.invalid_state(x.invalid))
        x.log_finish()
        return False
    return True


def _name(x: FlowExecution) -> Steps:
    naming = x.flow.flow_run_name
    if naming is None or x.named:
        return
    try:
        if callable(naming):
            name = yield Call(naming, context=x.context)
            x.take_name(name)
        else:
            x.name_by_template()
            if x.invalid is not None:
                return
    except Exception as error:  # a function of the user
        x.invalid = error
        return
    yield Request("update_flow_run", x.flow_run_id, body=x.naming())


def _attempt(x: FlowExecution) -> Generator[Effect, Any, State | None]:
    """One call of the function. Answer: the state to propose."""
    x.error = None
    try:
        yield Submit(x.enter_task_runner)
        args, kwargs = x.arguments()
        value = yield Call(
            x.target,
            args,
            kwargs,
            context=x.context,
            timeout=x.flow.timeout_seconds,
            awaits=x.flow.isasync and not x.flow.isgenerator,
            yields=x.flow.isgenerator,
            on_item=x.link if x.flow.isgenerator else None,
        )
        pending = x.futures_in(value)
        if pending:
            yield Wait(pending)
        state = x.plain_completion(value)
        if state is None:
            state = yield Write(partial(x.completion, value))
    except Exception as error:
        x.error = error
        state = yield Write(partial(x.failed, error))
        yield from _leave(x, cancelled=True)
        return state
    yield from _leave(x, cancelled=False)
    return state


def _leave(x: FlowExecution, *, cancelled: bool) -> Steps:
    if x.in_task_runner:
        yield Submit(lambda: x.leave_task_runner(cancelled))


def _end_by_force(x: FlowExecution, error: BaseException) -> Steps:
    """Put the run in the state that an end from outside leads to, whatever the server thinks."""
    x.error = error
    # An event loop that SIGTERM interrupts cancels its tasks, so the signal arrives as that.
    terminated = isinstance(error, TerminationSignal) or x.is_terminated
    if terminated and x.intent() == "cancel":
        if x.owns_final_hooks:
            yield from _propose(x, State(type=StateType.CANCELLING), force=True)
            cancelled = State(type=StateType.CANCELLED, message="The run was cancelled")
            yield from _propose(x, cancelled, force=True)
        else:
            x.logger.info("%s is being cancelled by its runner", x.label)
        return
    if terminated and x.reschedules:
        return
    state = yield Write(partial(x.crashed, error))
    yield from _propose(x, state, force=True)
    x.logger.error("%s crashed: %s", x.label, state.message)


def _propose(x: FlowExecution, state: State, *, force: bool = False) -> Steps:
    """Propose `state`, take over what the server answers, run the hooks of where that led.

    Raises `Abort` or `Pause` when the server wants no more states from this process.
    """
    body = SetStateBody(state=x.proposal(state), force=force)
    while True:
        result: OrchestrationResult = yield Request("set_flow_run_state", x.flow_run_id, body=body)
        if result.status is not SetStateStatus.WAIT:
            break
        assert isinstance(result.details, StateWaitDetails)
        x.logger.info("Waiting %s seconds to enter %r", result.details.delay_seconds, state.name)
        yield Sleep(result.details.delay_seconds)
    answer = result.state
    if result.status is SetStateStatus.ACCEPT:
        x.entered(state, answer)
    else:
        reason = getattr(result.details, "reason", None) or "no reason given"
        if answer is not None and answer.is_paused():
            raise Pause(reason, state=answer)
        if result.status is SetStateStatus.ABORT or answer is None:
            raise Abort(f"the server ended {x.label}: {reason}")
        x.rejected(answer, reason)
    hooks = x.hooks_of(x.state)
    if hooks:
        yield from run_hooks(hooks, (x.flow, x.flow_run, x.state), x.context, x.logger)
