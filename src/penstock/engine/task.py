"""One run of a task, as a generator of effects.

The order: wait for what the run depends on, name it, take the slots of the limits on its tags,
then enter Running and call the function, again after each failure that may be retried; every
state entered is emitted as an event. The state is decided here, by the same rules as on the
server, and only reported.
"""

from collections.abc import Generator
from datetime import timedelta
from functools import partial
from typing import Any

from penstock.engine.effects import (
    NOW,
    Call,
    Check,
    Effect,
    Emit,
    Read,
    Request,
    Sleep,
    Wait,
    Write,
)
from penstock.engine.hooks import run_hooks
from penstock.engine.inputs import Blocked, check_upstream
from penstock.engine.params import name_arguments
from penstock.engine.retry import delay_before, is_coroutine_callable
from penstock.engine.tag_slots import TagSlots, is_full, wait_of
from penstock.engine.task_execution import TaskExecution
from penstock.schemas.errors import (
    Abort,
    Pause,
    PenstockException,
    PenstockHTTPStatusError,
    UpstreamTaskError,
)
from penstock.schemas.states import State, StateDetails, StateType

Steps = Generator[Effect, Any, Any]

RUNNING = "Running"
RETRYING = "Retrying"


def task_run(x: TaskExecution) -> Generator[Effect, Any, State]:
    """Run `x` to its last state, which is the answer.

    `x.value` and `x.error` hold what the function returned or what went wrong. Signals and
    everything else that is not an `Exception` crash the run and go on to the caller.
    """
    try:
        yield from _steps(x)
    except (Abort, Pause, GeneratorExit):
        raise
    except BaseException as error:
        yield from _crash(x, error)
        raise
    x.log_finish()
    return x.state


def _steps(x: TaskExecution) -> Steps:
    if x.flow_context is not None and (yield Check(x.flow_context)) == "suspend":
        raise Pause("the flow run is suspended")
    slots = None
    try:
        yield from _prepare(x)
        if x.context.tags:
            slots = yield from _take_slots(x)
    except Blocked as blocked:
        yield from _not_ready(x, blocked)
        return
    except Exception as error:  # a run name template, a result that cannot be read, no slots
        yield from _enter(x, x.failed(error))
        yield from _final_hooks(x)
        return
    if slots is None:
        yield from _run(x)
        return
    try:
        yield from _run(x)
    except GeneratorExit:  # nothing can be asked of the driver any more; the lease ends by itself
        slots.stop()
        raise
    except BaseException:
        yield from _give_back(x, slots)
        raise
    yield from _give_back(x, slots)


def _run(x: TaskExecution) -> Steps:
    name = RUNNING
    while True:
        yield from _enter(x, State(type=StateType.RUNNING, name=name))
        if x.task.on_running_hooks:
            yield from _hooks(x, x.task.on_running_hooks)
        state = yield from _attempt(x)
        if state.type is StateType.FAILED and (yield from _retries(x, state)):
            name = RETRYING
            continue
        yield from _enter(x, state)
        yield from _final_hooks(x)
        return


def _prepare(x: TaskExecution) -> Steps:
    inputs = x.inputs
    if inputs.futures:
        yield Wait(inputs.futures)
    if x.wait_for is not None:
        check_upstream(x.wait_for)
    if inputs.nested:
        x.resolve_parameters()
    naming = x.task.task_run_name
    if naming is not None and not x.named:
        if callable(naming):
            name = yield Call(naming, (), name_arguments(naming, x.parameters), context=x.context)
            x.rename(name)
        else:
            x.rename_by(naming)


def _take_slots(x: TaskExecution) -> Generator[Effect, Any, TagSlots | None]:
    """The slots of all limits on the run's tags, however long they take; None without limits."""
    slots = TagSlots(x)
    if slots.needless:
        return None
    while True:
        try:
            answer = yield Request("bulk_increment_active_slots_with_lease", body=slots.asked())
            break
        except PenstockHTTPStatusError as error:
            if not is_full(error):
                raise
            delay = wait_of(error)
        yield Sleep(delay)
    now = yield NOW
    for event in slots.take(answer, now):
        yield Emit(event)
    return slots if slots.held else None


def _give_back(x: TaskExecution, slots: TagSlots) -> Steps:
    slots.stop()
    try:
        yield Request("bulk_decrement_active_slots_with_lease", body=slots.released())
    except PenstockException as error:
        x.logger.warning(
            "%s could not give back its slots of the limits on its tags; they are free when their "
            "lease ends: %s",
            x.label,
            error,
        )
        return
    now = yield NOW
    for event in slots.told_released(now):
        yield Emit(event)


def _not_ready(x: TaskExecution, blocked: Blocked) -> Steps:
    message = (
        f"Upstream {blocked.origin} did not reach a completed state: it is {blocked.state.name}"
    )
    x.error = UpstreamTaskError(f"{x.label} was not started. {message}.")
    x.error.__cause__ = None
    yield from _enter(x, State(type=StateType.PENDING, name="NotReady", message=message))


def _attempt(x: TaskExecution) -> Generator[Effect, Any, State]:
    """One call of the function. Answer: the state it leads to, not entered yet."""
    transaction = None
    x.error = None
    try:
        if x.transactional:
            transaction, found = yield Read(x.transaction_options())
            if found is not None:
                cached = x.cached(found)
                leaving, transaction = transaction, None
                yield Write(transaction=leaving)
                return cached
        args, kwargs = x.arguments()
        value = yield Call(
            x.target,
            args,
            kwargs,
            context=x.context,
            timeout=x.task.timeout_seconds,
            awaits=x.task.isasync and not x.task.isgenerator,
            yields=x.task.isgenerator,
            on_item=x.link if x.task.isgenerator else None,
        )
        state = x.plain_completion(value)
        if state is None:
            state = yield Write(partial(x.completion, value, transaction))
        if transaction is not None:
            x.stage(transaction, state)
            leaving, transaction = transaction, None
            yield Write(transaction=leaving)
        return state
    except Exception as error:
        if transaction is not None:
            yield Write(transaction=transaction, error=error)
        x.error = error
        return (yield Write(partial(x.failed, error)))
    except BaseException as error:
        if transaction is not None:
            yield Write(transaction=transaction, error=error)
        raise


def _retries(x: TaskExecution, state: State) -> Generator[Effect, Any, bool]:
    """Whether the failed run is tried again; returns after the wait that comes before."""
    record = x.record
    if record.run_count > x.task.retries or not (yield from _may_retry(x, state)):
        x.log_failure()
        return False
    delay = delay_before(record.run_count, x.delays, x.task.retry_jitter_factor, x.chance())
    x.log_retry(delay)
    if delay > 0:
        now = yield NOW
        due = now + timedelta(seconds=delay)
        waiting = State(
            type=StateType.SCHEDULED,
            name="AwaitingRetry",
            message=state.message,
            state_details=StateDetails(scheduled_time=due),
        )
        yield from _enter(x, waiting)
        yield Sleep(delay)
    return True


def _may_retry(x: TaskExecution, state: State) -> Generator[Effect, Any, bool]:
    condition = x.task.retry_condition_fn
    if condition is None:
        return True
    try:
        answer = yield Call(
            condition,
            (x.task, x.record.snapshot, state),
            context=x.context,
            awaits=is_coroutine_callable(condition),
        )
    except Exception:  # the user's condition; a run it cannot judge is not repeated
        x.logger.error(
            "The retry condition of %s failed; the run is not retried", x.label, exc_info=True
        )
        return False
    return bool(answer)


def _crash(x: TaskExecution, error: BaseException) -> Steps:
    if x.state.is_final():
        return
    x.error = error
    state = yield Write(partial(x.crashed, error))
    yield from _enter(x, state)
    x.logger.error("%s crashed: %s", x.label, state.message)


def _enter(x: TaskExecution, state: State) -> Steps:
    now = yield NOW
    event = x.enter(state, now)
    if event is not None:
        yield Emit(event)


def _final_hooks(x: TaskExecution) -> Steps:
    task = x.task
    if x.state.type is StateType.COMPLETED:
        hooks = task.on_completion_hooks
    elif x.state.type is StateType.FAILED:
        hooks = task.on_failure_hooks
    else:
        return
    if hooks:
        yield from _hooks(x, hooks)


def _hooks(x: TaskExecution, hooks: list[Any]) -> Steps:
    yield from run_hooks(hooks, (x.task, x.record.snapshot, x.state), x.context, x.logger)
