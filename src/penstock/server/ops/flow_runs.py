"""Operations on single flow runs: create, begin, read, change, delete, resume."""

from typing import Any
from uuid import UUID

from msgspec import UNSET

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.errors import ObjectConflict, ObjectMissing, Refusal, RequestInvalid
from penstock.schemas.flow_runs import (
    CreatedBy,
    FlowRun,
    FlowRunBegin,
    FlowRunCreate,
    FlowRunUpdate,
)
from penstock.schemas.states import State, StateCreate, StateType
from penstock.server.domain.naming import name_for
from penstock.server.ops import views
from penstock.server.ops.changes import Change, record
from penstock.server.ops.context import Context, Made
from penstock.server.ops.deletion import as_related, delete_flow_run_row
from penstock.server.ops.flows import put_flow
from penstock.server.ops.run_facts import new_flow_run
from penstock.server.ops.transition import FirstState, set_flow_run_state
from penstock.server.ops.work_queues import queue_of_pool
from penstock.server.store.transaction import Row, Tx

__all__ = [
    "begin_flow_run",
    "create_flow_run",
    "delete_flow_run",
    "read_flow_run",
    "read_flow_run_state",
    "read_flow_run_states",
    "set_flow_run_state",
    "update_flow_run",
    "update_flow_run_labels",
]


def create_flow_run(tx: Tx, context: Context, *, body: FlowRunCreate) -> Made[FlowRun]:
    """The flow run, made with its first state (Pending unless given) when it is not there.

    Repeatable by `id` (an extension) and by the flow's `idempotency_key`: the run that was made
    before is returned as it is. Refuses an unknown flow (409), a work pool that does not exist
    (404) and parameters above the server's limit (422).
    """
    flow = tx.one("flow.get", id=body.flow_id)
    if flow is None:
        raise ObjectConflict(
            f"flow {body.flow_id} does not exist, so it cannot be run; create the flow first"
        )
    deployment = None
    if body.deployment_id is not None:
        deployment = tx.one("deployment.get", id=body.deployment_id)
    return put_flow_run(tx, context, flow, body, deployment=deployment)


def begin_flow_run(tx: Tx, context: Context, *, body: FlowRunBegin) -> FlowRun:
    """Flow, flow run and first state in one transaction; repeatable as `create_flow_run` is.

    Costs four statements when the flow is there already.
    """
    flow = put_flow(tx, context, body.flow).value
    return put_flow_run(tx, context, flow, body.run).value


def read_flow_run(tx: Tx, context: Context, id: str) -> FlowRun:
    return views.flow_run(existing_flow_run(tx, id), tx.now)


def update_flow_run(tx: Tx, context: Context, id: str, *, body: FlowRunUpdate) -> None:
    """Set the members that `body` has. A change of nothing writes and emits nothing.

    `job_variables` may change only before a deployed run was submitted (400 otherwise).
    """
    row = _locked(tx, id)
    if body.infrastructure_pid is not UNSET:
        note_launcher(tx, context, id)
    if body.parameters is not UNSET:
        check_parameters(context, body.parameters)
    if body.job_variables is not UNSET:
        _check_job_variables_may_change(row)
    _write_changes(
        tx,
        context,
        row,
        {
            name: getattr(body, name)
            for name in body.__struct_fields__
            # A run always has a name, so null cannot clear it.
            if getattr(body, name) is not UNSET and (name, getattr(body, name)) != ("name", None)
        },
    )


def note_launcher(tx: Tx, context: Context, id: str) -> None:
    """Note the worker that reports a run's infrastructure: only it may be able to end it."""
    worker = dict(context.claims).get("worker-name")
    if worker is not None:
        tx.run("cleanup.note_worker", id=id, worker_name=worker)


def update_flow_run_labels(tx: Tx, context: Context, id: str, *, body: dict[str, Any]) -> None:
    """Merge `body`, a flat map, over the labels of the run."""
    for key, value in body.items():
        if not isinstance(value, bool | int | float | str):
            raise RequestInvalid(
                f"label {key!r} is not a text, number or boolean; send a flat map of labels"
            )
    row = _locked(tx, id)
    _write_changes(tx, context, row, {"labels": {**(json.decode(row["labels"]) or {}), **body}})


def delete_flow_run(tx: Tx, context: Context, id: str) -> None:
    """Delete the run with its states, task runs, inputs, timers and log records."""
    delete_flow_run_row(tx, context, existing_flow_run(tx, id))


def read_flow_run_states(tx: Tx, context: Context, *, flow_run_id: Any) -> list[State]:
    """The history of a run, oldest first; empty for an unknown run."""
    return [views.state(row) for row in tx.all("flow_run.states", id=str(flow_run_id))]


def read_flow_run_state(tx: Tx, context: Context, id: str) -> State:
    row = tx.one("flow_run.state", id=id)
    if row is None:
        raise ObjectMissing(f"flow run state {id} does not exist; list the states of its run")
    return views.state(row)


def existing_flow_run(tx: Tx, id: str) -> Row:
    row = tx.one("flow_run.get", id=id)
    if row is None:
        raise _missing(id)
    return row


def require_flow_run(tx: Tx, id: str) -> None:
    """Refuse (404) when there is no such run; cheaper than reading the run."""
    if tx.one("flow_run.exists", id=id) is None:
        raise _missing(id)


def check_parameters(context: Context, parameters: dict[str, Any]) -> json.Raw:
    """`parameters` as JSON, refused when it is larger than the server takes."""
    encoded = json.encode(parameters)
    if len(encoded) > context.limits.parameter_bytes:
        raise RequestInvalid(
            f"the parameters are {len(encoded)} bytes as JSON and the limit is "
            f"{context.limits.parameter_bytes}; pass a reference to large data instead"
        )
    return json.Raw(encoded)


def _missing(id: str) -> ObjectMissing:
    return ObjectMissing(f"flow run {id} does not exist; it may have been deleted")


def locked_flow_run(tx: Tx, id: str) -> Row | None:
    """The run, unchanging to the end of the transaction; None when there is no such run."""
    return tx.one("flow_run.get", id=id) if tx.one("flow_run.lock", id=id) else None


def _locked(tx: Tx, id: str) -> Row:
    row = locked_flow_run(tx, id)
    if row is None:
        raise _missing(id)
    return row


def put_flow_run(
    tx: Tx,
    context: Context,
    flow: Row,
    body: FlowRunCreate,
    *,
    deployment: Row | None = None,
    queue: Row | None = None,
) -> Made[FlowRun]:
    """The run that `body` describes, made with its first state when it is not there.

    `queue`, a row with `work_queue_id` and the columns of its pool, is where to run it from when
    `body` names no work pool. A queue that the pool named in `body` does not have is made. Costs
    three statements, and more for a pool to be looked up and for a run that stands for a task run.
    """
    work_queue_name = body.work_queue_name
    if body.work_pool_name is not None:
        queue = queue_of_pool(tx, context, body.work_pool_name, work_queue_name)
        work_queue_name = queue["queue_name"]
    values = _new_values(tx, context, flow, body)
    values["deployment_version"] = deployment["version"] if deployment is not None else None
    values["work_queue_id"] = queue["work_queue_id"] if queue is not None else None
    values["work_queue_name"] = work_queue_name
    parent = None
    if body.parent_task_run_id is not None:
        parent = tx.one("task_run.named", id=body.parent_task_run_id)
    first = FirstState(
        tx,
        context,
        new_flow_run(values, flow, deployment, queue, parent),
        body.state or StateCreate(type=StateType.PENDING),
    )
    values |= first.columns
    if not tx.run("flow_run.insert", **values):
        return Made(views.flow_run(_made_before(tx, flow, values["id"], body), tx.now), False)
    first.store()
    return Made(views.flow_run(_row_after(values, first.state, queue), tx.now), True)


def _new_values(tx: Tx, context: Context, flow: Row, body: FlowRunCreate) -> Row:
    """The columns of a new run that `body` decides."""
    id = uuid7() if body.id is UNSET else body.id
    return {
        "id": str(id),
        "flow_id": flow["id"],
        "deployment_id": None if body.deployment_id is None else str(body.deployment_id),
        "flow_version": body.flow_version,
        "name": body.name or name_for(id.int & 0xFFFF_FFFF),
        "parameters": check_parameters(context, body.parameters),
        "context": body.context,
        "empirical_policy": json.Raw(json.encode(body.empirical_policy)),
        "tags": json.Raw(json.encode(body.tags)),
        "labels": _labels(flow, body),
        "job_variables": body.job_variables,
        "idempotency_key": body.idempotency_key,
        "auto_scheduled": False,
        "created_by": _creator(context),
        "infrastructure_document_id": body.infrastructure_document_id,
        "parent_task_run_id": (
            None if body.parent_task_run_id is None else str(body.parent_task_run_id)
        ),
        "created": tx.now,
        "updated": tx.now,
    }


def _creator(context: Context) -> json.Raw | None:
    """The automation that makes a run; what other callers say of themselves is not kept here."""
    actor = context.actor
    if actor.type != "automation":
        return None
    created_by = CreatedBy(id=UUID(actor.id), type="AUTOMATION", display_value=actor.name)
    return json.Raw(json.encode(created_by))


def _row_after(values: Row, state: State, queue: Row | None) -> Row:
    """The run's row as it would be read now."""
    return values | {
        "infrastructure_pid": None,
        "work_pool_id": queue["work_pool_id"] if queue is not None else None,
        "work_pool_name": queue["work_pool_name"] if queue is not None else None,
        "state_message": state.message,
        "state_state_details": state.state_details,
        "state_data": state.data,
    }


def _made_before(tx: Tx, flow: Row, id: str, body: FlowRunCreate) -> Row:
    row = tx.one("flow_run.get", id=id) if body.id is not UNSET else None
    if row is None and body.idempotency_key is not None:
        row = tx.one(
            "flow_run.get_by_key", flow_id=flow["id"], idempotency_key=body.idempotency_key
        )
    if row is None:
        raise ObjectMissing(f"flow run {id} was deleted while it was created; repeat the request")
    if row["flow_id"] != flow["id"]:
        raise ObjectConflict(
            f"flow run {id} exists and belongs to another flow; create the run with a new id"
        )
    return row


def _labels(flow: Row, body: FlowRunCreate) -> dict[str, Any]:
    labels: dict[str, Any] = {"prefect.flow.id": flow["id"]}
    if body.deployment_id is not None:
        labels["prefect.deployment.id"] = str(body.deployment_id)
    return labels | (body.labels or {})


def _check_job_variables_may_change(row: Row) -> None:
    if row["state_type"] != StateType.SCHEDULED or row["deployment_id"] is None:
        raise Refusal(
            f"job variables of flow run {row['id']} cannot change: only a deployed run that is "
            "still scheduled takes them; set them on the next run"
        )


_DOCUMENTS = ("parameters", "empirical_policy", "tags", "labels", "job_variables")
_COLUMNS = ("name", "flow_version", "infrastructure_pid", *_DOCUMENTS)


def _write_changes(tx: Tx, context: Context, row: Row, changes: dict[str, Any]) -> None:
    changed = [name for name, value in changes.items() if _differs(row[name], value)]
    if not changed:
        return
    before = {name: row[name] for name in _COLUMNS}
    after = before | {name: changes[name] for name in changed}
    tx.run("flow_run.update", id=row["id"], now=tx.now, **after)
    change = Change(
        kind="flow-run",
        action="updated",
        event="penstock.flow-run.updated",
        id=row["id"],
        name=after["name"],
        before=before,
        after=after,
        related=[as_related("flow", row["flow_id"])],
        payload={"updated_fields": sorted(changed)},
    )
    record(tx, context, change)


def _differs(stored: Any, value: Any) -> bool:
    if isinstance(stored, json.Raw):
        return json.decode(stored) != json.decode(json.encode(value))
    return stored != value
