"""Writing, reading, listing and deleting the inputs stored with a flow run."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from penstock.base import json
from penstock.base.dual import Steps, dual
from penstock.base.run_context import current_run
from penstock.schemas.errors import MissingContextError
from penstock.schemas.flow_runs import FlowRunInput, FlowRunInputCreate, FlowRunInputFilter
from penstock.steps import Request

if TYPE_CHECKING:
    from pydantic import BaseModel


def ensure_flow_run_id(flow_run_id: UUID | str | None = None) -> UUID:
    """The given id, else that of the current flow run; raises outside of one."""
    if flow_run_id is not None:
        return flow_run_id if isinstance(flow_run_id, UUID) else UUID(flow_run_id)
    run = current_run.get()
    if run is None or run.flow_run is None:
        raise MissingContextError("give a `flow_run_id`, or call this while a flow is running")
    return run.flow_run.id


def _create_flow_run_input(
    key: str, value: Any, flow_run_id: UUID | None = None, sender: str | None = None
) -> Steps[None]:
    """Stores `value` as JSON under `key`. Raises `ObjectAlreadyExists` for a key that is used."""
    body = FlowRunInputCreate(key=key, value=json.text(value), sender=sender)
    yield Request("create_flow_run_input", ensure_flow_run_id(flow_run_id), body=body)


def _create_flow_run_input_from_model(
    key: str,
    model_instance: "BaseModel",
    flow_run_id: UUID | None = None,
    sender: str | None = None,
) -> Steps[None]:
    """Stores a model's fields under `key`; the sender is by default the current flow run."""
    if sender is None:
        run = current_run.get()
        if run is not None and run.flow_run is not None:
            sender = f"prefect.flow-run.{run.flow_run.id}"
    value = model_instance.model_dump(mode="json")
    yield from _create_flow_run_input(key, value, flow_run_id, sender)


def _read_flow_run_input(key: str, flow_run_id: UUID | None = None) -> Steps[Any]:
    """The value under `key`. Raises `ObjectNotFound` when there is none."""
    value = yield Request("read_flow_run_input", ensure_flow_run_id(flow_run_id), key)
    return json.decode(value) if value else None


def _filter_flow_run_input(
    key_prefix: str,
    limit: int = 1,
    exclude_keys: set[str] | None = None,
    flow_run_id: UUID | None = None,
) -> Steps[list[FlowRunInput]]:
    """At most `limit` inputs whose key begins with `key_prefix`, without those excluded."""
    body = FlowRunInputFilter(
        prefix=key_prefix, limit=limit, exclude_keys=sorted(exclude_keys or ())
    )
    return (yield Request("filter_flow_run_input", ensure_flow_run_id(flow_run_id), body=body))


def _delete_flow_run_input(key: str, flow_run_id: UUID | None = None) -> Steps[None]:
    """Removes the value under `key`. Raises `ObjectNotFound` when there is none."""
    yield Request("delete_flow_run_input", ensure_flow_run_id(flow_run_id), key)


create_flow_run_input, acreate_flow_run_input = dual(_create_flow_run_input)
create_flow_run_input_from_model, acreate_flow_run_input_from_model = dual(
    _create_flow_run_input_from_model
)
read_flow_run_input, aread_flow_run_input = dual(_read_flow_run_input)
filter_flow_run_input, afilter_flow_run_input = dual(_filter_flow_run_input)
delete_flow_run_input, adelete_flow_run_input = dual(_delete_flow_run_input)
