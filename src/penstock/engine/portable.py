"""A run context in a form that can be pickled, and back: for other threads and processes.

What stays behind: the task runner, the client, the open transaction. The copy knows the same runs,
so logs, events and dependencies of what is started under it name them.
"""

from typing import Any

from penstock.base.run_context import RunContext
from penstock.engine.context import FlowRunContext, TaskRunContext
from penstock.engine.outcomes import store_for_flow
from penstock.logging import flow_run_logger
from penstock.result_records import ResultRecord
from penstock.results import get_result_store
from penstock.schemas.states import State

_FLOW_FIELDS = (
    "flow",
    "flow_run",
    "parameters",
    "tags",
    "persist_result",
    "log_prints",
    "start_time",
    "tasks_persist",
)


def portable(context: RunContext | None) -> dict[str, Any] | None:
    """`context` as plain values; None outside of runs."""
    if context is None:
        return None
    flow = context.flow_context
    form: dict[str, Any] = {"flow": None, "task": None}
    if isinstance(flow, FlowRunContext):
        form["flow"] = {name: getattr(flow, name) for name in _FLOW_FIELDS}
    if isinstance(context, TaskRunContext):
        form["task"] = {
            "task": context.task,
            "record": context.record,
            "parameters": context.parameters,
            "tags": context.tags,
            "start_time": context.start_time,
            "log_prints": context.log_prints,
            "persist_result": context.persist_result,
        }
    return form


def restored(form: dict[str, Any] | None, client: Any = None) -> RunContext | None:
    """The context that `portable` described. `client` is the one to use here, if any."""
    if form is None:
        return None
    flow = None
    if form["flow"] is not None:
        fields = form["flow"]
        flow = FlowRunContext(
            **fields,
            client=client,
            logger=flow_run_logger(fields["flow_run"], fields["flow"]),
            result_store=store_for_flow(get_result_store(), fields["flow"]),
        )
    if form["task"] is None:
        return flow
    return TaskRunContext(**form["task"], flow_context=flow, parent=flow)


def portable_state(state: State) -> State:
    """`state` with a result that can be pickled: without the store it was made for."""
    record = state.data
    if not isinstance(record, ResultRecord):
        return state
    metadata = record.metadata if record.persisted else None
    plain = ResultRecord(record.result, metadata, persisted=record.persisted)
    return state.model_copy(update={"data": plain})
