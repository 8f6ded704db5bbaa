"""Runs of tasks that are left to a task worker: how they are handed over and taken up again.

The run is created on the server, scheduled. Its arguments do not go there: they are pickled into
storage that whoever defers and whoever works share, under the id that the state's details name.
"""

from importlib import import_module
from typing import Any, cast
from uuid import UUID, uuid4

from penstock.base.clock import utc_now
from penstock.base.ids import uuid7
from penstock.base.run_context import current_run, current_tags
from penstock.engine.context import FlowRunContext, TaskRunContext
from penstock.engine.inputs import TASK_RUN, Inputs, find_inputs
from penstock.engine.portable import portable
from penstock.futures import (
    PenstockDistributedFuture,
    PenstockFuture,
    PenstockFutureList,
    futures_in,
)
from penstock.results import ResultStore, get_or_create_default_task_scheduling_storage
from penstock.schemas.states import StateCreate, StateDetails, StateType
from penstock.schemas.task_runs import FlowRunResult, TaskRunResult

FOLDER = "parameters"


def defer(
    task: Any,
    parameters: dict[str, Any],
    wait_for: Any = None,
    dependencies: dict[str, Any] | None = None,
) -> PenstockDistributedFuture[Any]:
    """Create a scheduled run of `task` for a task worker and return its future.

    Waits for futures among the arguments that only this process knows. One request, and one
    write to the storage of arguments.
    """
    context = current_run.get()
    flow = context.flow_context if context is not None else None
    flow = flow if isinstance(flow, FlowRunContext) else None
    inputs = find_inputs(parameters, wait_for, flow.results if flow is not None else None)
    for name, origins in (dependencies or {}).items():
        for origin in origins:
            inputs.note(name, origin)
    if isinstance(context, TaskRunContext):
        inputs.note("__parents__", (TASK_RUN, context.record.id))
    parameters_id = uuid4()
    store_parameters(
        scheduling_store(),
        parameters_id,
        {
            "parameters": _settled(parameters),
            "wait_for": _settled(list(wait_for)) if _is_many(wait_for) else _settled(wait_for),
            "context": portable(context),
        },
    )
    key = str(uuid4())
    run = _client().create_task_run(
        task,
        flow.flow_run.id if flow is not None else None,
        key if flow is not None else f"{task.task_key}-{key}",
        id=uuid7(),
        name=f"{task.name}-{key[:3]}",
        extra_tags=current_tags.get(),
        state=StateCreate(
            type=StateType.SCHEDULED,
            state_details=StateDetails(
                deferred=True, task_parameters_id=parameters_id, scheduled_time=utc_now()
            ),
        ),
        task_inputs=_task_inputs(inputs),
    )
    return PenstockDistributedFuture(run.id)


def defer_each(
    task: Any, elements: list[dict[str, Any]], wait_for: Any = None
) -> PenstockFutureList[Any]:
    """One deferred run for each of the sets of arguments."""
    return PenstockFutureList(defer(task, element, wait_for) for element in elements)


# --- arguments -----------------------------------------------------------------------------------


def scheduling_store() -> ResultStore:
    """Where arguments of deferred runs lie: the block of the setting, or local files."""
    return ResultStore(
        # Blocks in coroutines too, as `delay` is no coroutine.
        result_storage=cast(Any, get_or_create_default_task_scheduling_storage)(_sync=True),
        serializer="pickle",
        cache_result_in_memory=False,
    )


def store_parameters(store: ResultStore, identifier: UUID, parameters: dict[str, Any]) -> None:
    """Keep the arguments of one run."""
    store.write(parameters, key=f"{FOLDER}/{identifier}")


def read_parameters(store: ResultStore, identifier: UUID) -> dict[str, Any]:
    """What `store_parameters` kept. Raises `MissingResult` when it is not there."""
    return store.read(f"{FOLDER}/{identifier}").result


def _settled(value: Any) -> Any:
    """`value`, in which no future belongs to this process any more."""
    local = [one for one in futures_in(value) if not isinstance(one, PenstockDistributedFuture)]
    if not local:
        return value
    results = {id(future): future for future in local}
    return _with_states(value, results)


def _with_states(value: Any, local: dict[int, PenstockFuture[Any]]) -> Any:
    if id(value) in local:
        value.wait()
        return value.state
    kind = type(value)
    if isinstance(value, dict):
        return {key: _with_states(item, local) for key, item in value.items()}
    if kind in (list, tuple, set, frozenset):
        return kind(_with_states(item, local) for item in value)
    return value


def _is_many(value: Any) -> bool:
    return (
        value is not None and not isinstance(value, PenstockFuture) and hasattr(value, "__iter__")
    )


def _task_inputs(inputs: Inputs) -> dict[str, list[Any]]:
    return {
        name: [
            TaskRunResult(id=id) if kind == TASK_RUN else FlowRunResult(id=id)
            for kind, id in origins
        ]
        for name, origins in inputs.origins.items()
    }


def _client() -> Any:
    return import_module("penstock.client").get_client(sync_client=True)
