"""Starting runs: from a call of the user to a core and its driver."""

import random
from collections.abc import AsyncGenerator, Callable, Generator
from importlib import import_module
from typing import Any
from uuid import UUID, uuid4

from penstock.base.clock import utc_now
from penstock.base.ids import uuid7
from penstock.base.run_context import RunContext, current_run, current_tags
from penstock.engine import signals
from penstock.engine.context import FlowRunContext, TaskRunContext
from penstock.engine.drivers import sync
from penstock.engine.drivers.services import Services
from penstock.engine.flow import flow_run as flow_core
from penstock.engine.flow_execution import FlowExecution, FlowLike
from penstock.engine.inputs import TASK_RUN, Inputs, find_inputs
from penstock.engine.record import TaskRecord, TaskShape
from penstock.engine.task import task_run as task_core
from penstock.engine.task_execution import TaskExecution
from penstock.engine.telemetry import flush, reach, sender
from penstock.engine.timeouts import can_interrupt_blocking_calls
from penstock.results import get_default_persist_setting
from penstock.schemas.flow_runs import FlowRun
from penstock.schemas.states import State, StateType
from penstock.schemas.task_runs import TaskRun
from penstock.settings import get_current_settings

NAME_SUFFIX = 3
"""Characters of the dynamic key that a task run's name ends with."""


def _aio() -> Any:
    # Loaded when a coroutine is first run: asyncio costs half of the import budget.
    return import_module("penstock.engine.drivers.aio")


def _loops() -> Any:
    return import_module("penstock.engine.drivers.loops")


# --- tasks ---------------------------------------------------------------------------------------


def begin_task(
    task: Any,
    parameters: dict[str, Any],
    *,
    wait_for: Any = None,
    dependencies: dict[str, Any] | None = None,
    run_id: UUID | None = None,
) -> TaskExecution:
    """Make a task run in the current context and report it as pending. No request is sent."""
    outer = current_run.get()
    flow: FlowRunContext | None = outer.flow_context if outer is not None else None  # type: ignore[assignment]
    tags = current_tags.get()
    shape: TaskShape = task.shape(tags)
    inputs = find_inputs(parameters, wait_for, flow.results if flow is not None else None)
    if dependencies:
        _add(inputs, dependencies)
    id = run_id if run_id is not None else uuid7()
    if flow is not None:
        flow.reported = True
        related = flow.related
        if isinstance(outer, TaskRunContext):
            inputs.note("__parents__", (TASK_RUN, outer.record.id))
            related = f"{flow.related_run},{outer.record.as_related},{flow.related_rest}"
        key = str(uuid4())
        record = TaskRecord(
            shape,
            id=id,
            name=f"{task.name}-{key[:NAME_SUFFIX]}",
            dynamic_key=key,
            inputs=inputs,
            flow_run_id=flow.flow_run.id,
            flow_run_run_count=flow.flow_run.run_count,
            related=related,
        )
    else:
        related = ""
        if isinstance(outer, TaskRunContext):
            inputs.note("__parents__", (TASK_RUN, outer.record.id))
            related = outer.record.as_related
        record = TaskRecord(
            shape,
            id=id,
            name=task.name,
            dynamic_key=f"{task.task_key}-{uuid4().hex}",
            inputs=inputs,
            related=related,
        )
    now = utc_now()
    context = TaskRunContext(
        task=task,
        record=record,
        parameters=parameters,
        tags=frozenset(shape.tags),
        start_time=now,
        flow_context=flow,
        parent=outer,
        log_prints=_prints(task, outer),
        persist_result=_persists(task, flow),
    )
    send = sender()
    x = TaskExecution(task, record, context, emit=send, wait_for=wait_for, chance=random.random)
    send(x.enter(State(type=StateType.PENDING, timestamp=now), now))
    return x


def adopt_task(
    task: Any, run: TaskRun, parameters: dict[str, Any], *, wait_for: Any = None
) -> TaskExecution:
    """Go on with a run that the server has, in the current context. Nothing is sent yet."""
    outer = current_run.get()
    flow: FlowRunContext | None = outer.flow_context if outer is not None else None  # type: ignore[assignment]
    inputs = find_inputs(parameters, wait_for, None)
    related = f"{flow.related_run},{flow.related_rest}" if flow is not None else ""
    shape: TaskShape = task.shape(frozenset(run.tags))
    record = TaskRecord.adopted(shape, run, inputs, related)
    context = TaskRunContext(
        task=task,
        record=record,
        parameters=parameters,
        tags=frozenset(shape.tags),
        start_time=utc_now(),
        flow_context=flow,
        parent=outer,
        log_prints=_prints(task, outer),
        persist_result=_persists(task, flow),
    )
    return TaskExecution(
        task, record, context, emit=sender(), wait_for=wait_for, chance=random.random
    )


def _add(inputs: Inputs, dependencies: dict[str, Any]) -> None:
    for name, origins in dependencies.items():
        for kind, id in origins:
            inputs.note(name, (kind, id))


def _prints(task: Any, outer: RunContext | None) -> bool:
    if task.log_prints is not None:
        return task.log_prints
    if outer is not None:
        return outer.log_prints
    return bool(get_current_settings().logging.log_prints)


def _persists(task: Any, flow: FlowRunContext | None) -> bool:
    if task.persist_result is not None:
        return task.persist_result
    if flow is not None:
        return flow.tasks_persist
    chosen = get_current_settings().tasks.default_persist_result
    return get_default_persist_setting() if chosen is None else chosen


def task_services(x: TaskExecution) -> Services:
    """What a task run needs from the outside. Only a run with tags sends requests."""
    return Services(emit=x.emit, make_client=_async_client if x.task.isasync else _sync_client)


def run_task(x: TaskExecution) -> State:
    """Run a task of a plain function to its last state."""
    if x.task.timeout_seconds is not None and not can_interrupt_blocking_calls():
        x.logger.warning(
            "The timeout of %g seconds cannot interrupt a blocking call in a worker thread; such "
            "a call is finished first",
            x.task.timeout_seconds,
        )
    return sync.run(task_core(x), task_services(x))


async def run_task_async(x: TaskExecution) -> State:
    """Run a task of a coroutine function, or of an async generator, to its last state."""
    return await _aio().run(task_core(x), task_services(x))


def call_task(
    task: Any, parameters: dict[str, Any], *, wait_for: Any = None, return_state: bool = False
) -> Any:
    """Run `task` here. What comes back has the colour of its function."""
    if task.isgenerator:
        generate = _generate_task_async if task.isasync else _generate_task
        return generate(task, parameters, wait_for)
    if task.isasync:
        return _call_task_async(task, parameters, wait_for, return_state)
    x = begin_task(task, parameters, wait_for=wait_for)
    if x.flow_context is None:
        reach()
    state = run_task(x)
    return state if return_state else x.outcome()


async def _call_task_async(
    task: Any, parameters: dict[str, Any], wait_for: Any, return_state: bool
) -> Any:
    x = begin_task(task, parameters, wait_for=wait_for)
    if x.flow_context is None:
        await _loops().off_loop(reach)
    state = await run_task_async(x)
    if return_state:
        return state
    return x.outcome()


def _generate_task(
    task: Any, parameters: dict[str, Any], wait_for: Any
) -> Generator[Any, Any, Any]:
    x = begin_task(task, parameters, wait_for=wait_for)
    if x.flow_context is None:
        reach()
    yield from sync.generate(task_core(x), task_services(x))
    return x.outcome()


async def _generate_task_async(
    task: Any, parameters: dict[str, Any], wait_for: Any
) -> AsyncGenerator[Any, Any]:
    x = begin_task(task, parameters, wait_for=wait_for)
    if x.flow_context is None:
        await _loops().off_loop(reach)
    items = _aio().generate(task_core(x), task_services(x))
    async for item in _through(items):
        yield item
    x.outcome()


# --- flows ---------------------------------------------------------------------------------------


def begin_flow(
    flow: FlowLike,
    parameters: dict[str, Any],
    *,
    wait_for: Any = None,
    flow_run: FlowRun | None = None,
) -> FlowExecution:
    """Make ready to run `flow` in the current context. Nothing is sent yet."""
    outer = current_run.get()
    parent = outer.flow_context if outer is not None else None
    return FlowExecution(
        flow,
        parameters,
        emit=sender(),
        parent=parent if isinstance(parent, FlowRunContext) else None,
        within=outer if isinstance(outer, TaskRunContext) else None,
        wait_for=wait_for,
        tags=current_tags.get(),
        flow_run=flow_run,
    )


def _sync_client() -> Any:
    return import_module("penstock.client.orchestration").SyncPenstockClient()


def _async_client() -> Any:
    return import_module("penstock.client.orchestration").PenstockClient()


def flow_services(x: FlowExecution, make_client: Callable[[], Any]) -> Services:
    x.client = make_client()
    return Services(client=x.client, emit=x.emit)


def call_flow(
    flow: Any,
    parameters: dict[str, Any],
    *,
    wait_for: Any = None,
    return_state: bool = False,
    flow_run: FlowRun | None = None,
) -> Any:
    """Run `flow` here. What comes back has the colour of its function."""
    if flow.isgenerator:
        if return_state:
            raise ValueError(
                f"{flow.name!r} is a generator and gives items, so it cannot return its state; "
                "call it without return_state"
            )
        generate = _generate_flow_async if flow.isasync else _generate_flow
        return generate(flow, parameters, wait_for, flow_run)
    if flow.isasync:
        return _call_flow_async(flow, parameters, wait_for, return_state, flow_run)
    x = begin_flow(flow, parameters, wait_for=wait_for, flow_run=flow_run)
    with signals.termination_raised():
        try:
            state = sync.run(flow_core(x), flow_services(x, _sync_client))
        finally:
            x.close()
            if x.must_flush:
                flush()
    return state if return_state else x.outcome()


async def _call_flow_async(
    flow: Any, parameters: dict[str, Any], wait_for: Any, return_state: bool, flow_run: Any
) -> Any:
    x = begin_flow(flow, parameters, wait_for=wait_for, flow_run=flow_run)
    with signals.termination_raised():
        try:
            state = await _aio().run(flow_core(x), flow_services(x, _async_client))
        finally:
            x.close()
            if x.must_flush:
                await _loops().off_loop(flush)
    return state if return_state else x.outcome()


def _generate_flow(
    flow: Any, parameters: dict[str, Any], wait_for: Any, flow_run: Any
) -> Generator[Any, Any, Any]:
    x = begin_flow(flow, parameters, wait_for=wait_for, flow_run=flow_run)
    with signals.termination_raised():
        try:
            yield from sync.generate(flow_core(x), flow_services(x, _sync_client))
        finally:
            x.close()
            if x.must_flush:
                flush()
    return x.outcome()


async def _generate_flow_async(
    flow: Any, parameters: dict[str, Any], wait_for: Any, flow_run: Any
) -> AsyncGenerator[Any, Any]:
    x = begin_flow(flow, parameters, wait_for=wait_for, flow_run=flow_run)
    with signals.termination_raised():
        try:
            items = _aio().generate(flow_core(x), flow_services(x, _async_client))
            async for item in _through(items):
                yield item
        finally:
            x.close()
            if x.must_flush:
                await _loops().off_loop(flush)
    x.outcome()


async def _through(items: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    """`items`, closed when the consumer stops early."""
    try:
        async for item in items:
            yield item
    finally:
        await items.aclose()
