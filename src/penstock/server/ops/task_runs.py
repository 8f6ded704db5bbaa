"""Operations on task runs. Most task runs are not created here but recorded from events."""

from typing import Any
from uuid import UUID

from msgspec import UNSET

from penstock.base.ids import uuid7
from penstock.schemas.errors import ObjectConflict, ObjectMissing, RequestInvalid
from penstock.schemas.flow_runs import HistoryResponse
from penstock.schemas.states import State, StateCreate, StateType
from penstock.schemas.task_runs import (
    TaskRun,
    TaskRunCreate,
    TaskRunHistoryBody,
    TaskRunPaginationResponse,
    TaskRunsFilterBody,
    TaskRunsFilterPage,
    TaskRunsPaginateBody,
    TaskRunUpdate,
)
from penstock.server.domain.naming import name_for
from penstock.server.ops import views
from penstock.server.ops.context import Context, Made
from penstock.server.ops.deletion import delete_task_run_row
from penstock.server.ops.history import history
from penstock.server.ops.paging import page_count, page_limit
from penstock.server.ops.transition import force_state, set_task_run_state
from penstock.server.store.selection import count, select
from penstock.server.store.transaction import Row, Tx

__all__ = [
    "count_task_runs",
    "create_task_run",
    "delete_task_run",
    "paginate_task_runs",
    "read_task_run",
    "read_task_run_state",
    "read_task_run_states",
    "read_task_runs",
    "set_task_run_state",
    "task_run_history",
    "update_task_run",
]

_ENTITIES = {
    "flows": "flow",
    "flow_runs": "flow_run",
    "task_runs": "task_run",
    "deployments": "deployment",
}


def filters_of(body: TaskRunsFilterBody | TaskRunHistoryBody) -> dict[str, Any]:
    """The filters that `body` gives, by the entity each is about."""
    given = {entity: getattr(body, name) for name, entity in _ENTITIES.items()}
    return {entity: filter for entity, filter in given.items() if filter is not None}


def create_task_run(tx: Tx, context: Context, *, body: TaskRunCreate) -> Made[TaskRun]:
    """The task run, made with its first state (Pending unless given) when it is not there.

    Known by flow run, task key and dynamic key, outside a flow run by the two keys alone.
    Refuses an unknown flow run (409) and a cache key above the server's limit (422).
    """
    if body.cache_key is not None and len(body.cache_key) > context.limits.cache_key_length:
        raise RequestInvalid(
            f"the cache key has {len(body.cache_key)} characters and the limit is "
            f"{context.limits.cache_key_length}; hash it"
        )
    labels = _labels(tx, body)
    existing = _existing_by_key(tx, body)
    if existing is not None:
        return Made(views.task_run(existing, tx.now), False)
    id = str(body.id or uuid7())
    row = tx.one(
        "task_run.insert",
        id=id,
        flow_run_id=body.flow_run_id,
        task_key=body.task_key,
        dynamic_key=body.dynamic_key,
        name=body.name or name_for(UUID(id).int & 0xFFFF_FFFF),
        cache_key=body.cache_key,
        cache_expiration=body.cache_expiration,
        task_version=body.task_version,
        task_inputs=body.task_inputs,
        empirical_policy=body.empirical_policy,
        tags=body.tags,
        labels=labels,
        now=tx.now,
    )
    if row is None:
        return Made(views.task_run(_made_before(tx, body, id), tx.now), False)
    first = body.state or StateCreate(type=StateType.PENDING)
    force_state(tx, context, "task_run", id, first)
    return Made(read_task_run(tx, context, id), True)


def read_task_run(tx: Tx, context: Context, id: str) -> TaskRun:
    return views.task_run(existing_task_run(tx, id), tx.now)


def read_task_runs(
    tx: Tx, context: Context, *, body: TaskRunsFilterPage | None = None
) -> list[TaskRun]:
    body = body or TaskRunsFilterPage()
    limit = page_limit(context, body.limit)
    rows = _page(tx, body, sort=body.sort, limit=limit, offset=body.offset)
    now = tx.now
    return [views.task_run(row, now) for row in rows]


def count_task_runs(tx: Tx, context: Context, *, body: TaskRunsFilterBody | None = None) -> int:
    return _count(tx, body or TaskRunsFilterBody())


def paginate_task_runs(
    tx: Tx, context: Context, *, body: TaskRunsPaginateBody | None = None
) -> TaskRunPaginationResponse:
    body = body or TaskRunsPaginateBody()
    limit = page_limit(context, body.limit)
    total = _count(tx, body)
    rows = _page(tx, body, sort=body.sort, limit=limit, offset=(body.page - 1) * limit)
    return TaskRunPaginationResponse(
        results=[views.task_run_summary(row, tx.now) for row in rows],
        count=total,
        limit=limit,
        page=body.page,
        pages=page_count(total, limit),
    )


def task_run_history(
    tx: Tx, context: Context, *, body: TaskRunHistoryBody
) -> list[HistoryResponse]:
    """Runs by state in intervals of their expected start; see `history`."""
    return history(tx, "task_run", filters_of(body), body)


def update_task_run(tx: Tx, context: Context, id: str, *, body: TaskRunUpdate) -> None:
    row = existing_task_run(tx, id)
    if body.name is not UNSET and body.name != row["name"]:
        tx.run("task_run.set_name", id=id, name=body.name, now=tx.now)


def delete_task_run(tx: Tx, context: Context, id: str) -> None:
    """Delete the task run with its states, timers and log records."""
    delete_task_run_row(tx, context, existing_task_run(tx, id))


def read_task_run_states(tx: Tx, context: Context, *, task_run_id: Any) -> list[State]:
    """The history of a task run, oldest first; empty for an unknown one."""
    return [views.state(row) for row in tx.all("task_run.states", id=str(task_run_id))]


def read_task_run_state(tx: Tx, context: Context, id: str) -> State:
    row = tx.one("task_run.state", id=id)
    if row is None:
        raise ObjectMissing(f"task run state {id} does not exist; list the states of its run")
    return views.state(row)


def existing_task_run(tx: Tx, id: str) -> Row:
    row = tx.one("task_run.get", id=id)
    if row is None:
        raise ObjectMissing(
            f"task run {id} does not exist; it may not be recorded yet or was deleted"
        )
    return row


def locked_task_run(tx: Tx, id: str) -> Row | None:
    """The run, unchanging to the end of the transaction; None when there is no such run."""
    return tx.one("task_run.get", id=id) if tx.one("task_run.lock", id=id) else None


def _labels(tx: Tx, body: TaskRunCreate) -> dict[str, Any]:
    given: dict[str, Any] = body.labels or {}
    if body.flow_run_id is None:
        return given
    parent = tx.one("flow_run.get", id=body.flow_run_id)
    if parent is None:
        raise ObjectConflict(
            f"flow run {body.flow_run_id} does not exist, so no task can run in it; "
            "create the flow run first"
        )
    return {
        "prefect.flow.id": parent["flow_id"],
        "prefect.flow-run.id": parent["id"],
        **given,
    }


def _existing_by_key(tx: Tx, body: TaskRunCreate) -> Row | None:
    keys = {"task_key": body.task_key, "dynamic_key": body.dynamic_key}
    if body.flow_run_id is None:
        return tx.one("task_run.get_by_key_alone", **keys)
    return tx.one("task_run.get_by_key", flow_run_id=body.flow_run_id, **keys)


def _made_before(tx: Tx, body: TaskRunCreate, id: str) -> Row:
    row = _existing_by_key(tx, body)
    if row is not None:
        return row
    if tx.one("task_run.get", id=id) is not None:
        raise ObjectConflict(f"task run {id} exists under other keys; create the run with a new id")
    raise ObjectMissing(f"task run {id} was deleted while it was created; repeat the request")


def _page(tx: Tx, body: TaskRunsFilterBody, *, sort: str, limit: int, offset: int) -> list[Row]:
    if not limit:
        return []
    sql, params = select(
        "task_run", filters_of(body), sort=sort, limit=limit, offset=offset, dialect=tx.dialect
    )
    return tx.fetch(sql, params)


def _count(tx: Tx, body: TaskRunsFilterBody) -> int:
    sql, params = count("task_run", filters_of(body), dialect=tx.dialect)
    return tx.fetch(sql, params)[0]["count"]
