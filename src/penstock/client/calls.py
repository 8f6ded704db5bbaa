"""Calls of operations as values, and what they become on a server without our extensions.

A method of the client is a `Call`, or a generator of calls when it needs several; the sync and
the async client each have one driver for both.
"""

from collections.abc import Generator, Mapping
from typing import Any, Generic, TypeVar
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from penstock.client.exchange import operation
from penstock.schemas.deployments import DeploymentFlowRunCreate
from penstock.schemas.flow_runs import FlowRunBegin, FlowRunCreate
from penstock.schemas.states import SetStateBody, StateCreate
from penstock.schemas.task_runs import TaskRunCreate

T = TypeVar("T")


class Call(Struct, Generic[T], frozen=True):
    """One call of one operation; `T` is what it comes back with."""

    operation: str
    params: tuple[Any, ...] = ()
    body: Any = None
    query: Mapping[str, Any] = {}


class AskExtensions(Struct, frozen=True):
    """Answer with the set of extensions the server announces."""


Steps = Generator[Call[Any] | AskExtensions, Any, T]
_ADAPTED = frozenset(
    {
        "create_flow_run",
        "create_flow_run_from_deployment",
        "create_task_run",
        "set_flow_run_state",
        "set_task_run_state",
        "bulk_set_flow_run_state",
    }
)


def needs_plan(name: str) -> bool:
    """Whether a call of the operation may have to be said differently to some servers."""
    return name in _ADAPTED or operation(name).extension


def plan(call: Call[T]) -> Steps[T]:
    """The calls that do what `call` asks, given what the server announces.

    Raises `LookupError` for an extension operation the server lacks and that has no equivalent.
    """
    extensions: frozenset[str] = yield AskExtensions()
    if call.operation == "begin_flow_run":
        return (yield from _begin(call, extensions))
    op = operation(call.operation)
    if op.extension and extensions.isdisjoint((op.name, op.resource, op.announced_as)):
        raise LookupError(
            f"the server does not offer the operation {call.operation!r}; upgrade the server"
        )
    return (yield replace(call, body=_adapted(call.body, extensions)))


def _begin(call: Call[Any], extensions: frozenset[str]) -> Steps[Any]:
    begin = call.body
    assert isinstance(begin, FlowRunBegin)
    if "begin" in extensions:
        return (yield call)
    flow = yield Call("create_flow", body=begin.flow)
    run = _adapted(replace(begin.run, flow_id=flow.id), extensions)
    return (yield Call("create_flow_run", body=run))


def _adapted(body: Any, extensions: frozenset[str]) -> Any:
    """The body without the members that only an announced extension allows."""
    if isinstance(body, SetStateBody):
        return replace(body, state=_state(body.state, extensions))
    if isinstance(body, (FlowRunCreate, TaskRunCreate, DeploymentFlowRunCreate)):
        if body.state is not None:
            body = replace(body, state=_state(body.state, extensions))
        if isinstance(body, FlowRunCreate) and "run-id" not in extensions:
            body = replace(body, id=UNSET)
    return body


def _state(state: StateCreate, extensions: frozenset[str]) -> StateCreate:
    if "state-id" in extensions or (state.id is UNSET and state.timestamp is UNSET):
        return state
    return replace(state, id=UNSET, timestamp=UNSET)


def unset_if_none(value: T | None) -> T | UnsetType:
    """For optional arguments of updates: None means "leave it"."""
    return UNSET if value is None else value


def as_uuid(value: UUID | str) -> UUID:
    """An id given as text or UUID. Raises `ValueError` for text that is no UUID."""
    return value if isinstance(value, UUID) else UUID(value)
