"""Operations on deployments: make, read, list, change, pause, delete."""

from typing import Any
from uuid import UUID

from msgspec import UNSET

from penstock.base.ids import uuid7
from penstock.schemas.deployments import (
    Deployment,
    DeploymentBulkDeleteResponse,
    DeploymentCreate,
    DeploymentPaginationResponse,
    DeploymentsBulkDeleteBody,
    DeploymentsFilterBody,
    DeploymentsFilterPage,
    DeploymentsPaginateBody,
    DeploymentUpdate,
)
from penstock.schemas.errors import ObjectConflict, ObjectMissing
from penstock.server.domain.schedules.planning import NEVER
from penstock.server.ops.automations import delete_owned_automations
from penstock.server.ops.conditions import require_condition
from penstock.server.ops.context import Context, Made
from penstock.server.ops.deletion import CASCADE_BATCH, delete_flow_run_row
from penstock.server.ops.deployment_limits import drop_owned_limit, limit_changes
from penstock.server.ops.deployment_rows import (
    deployment_view,
    deployment_views,
    equal_values,
    existing_deployment,
    locked_deployment,
    read_deployment_view,
    record_deployment,
)
from penstock.server.ops.deployment_schedules import (
    merge_schedules,
    put_schedules,
    remove_schedules,
)
from penstock.server.ops.deployment_values import (
    JOINED,
    check_defaults,
    check_job_variables,
    hold_documents,
    hydrated,
    resolve_queue,
)
from penstock.server.ops.paging import page_count, page_limit
from penstock.server.ops.planning import TOPIC
from penstock.server.store.selection import count, select
from penstock.server.store.transaction import Row, Tx

_ENTITIES = {
    "flows": "flow",
    "flow_runs": "flow_run",
    "task_runs": "task_run",
    "deployments": "deployment",
    "work_pools": "work_pool",
    "work_pool_queues": "work_queue",
}

_DEFAULTS: dict[str, Any] = {
    "version": None,
    "version_info": None,
    "description": None,
    "paused": False,
    "tags": [],
    "labels": {},
    "parameters": {},
    "parameter_openapi_schema": {},
    "enforce_parameter_schema": True,
    "pull_steps": None,
    "path": None,
    "entrypoint": None,
    "job_variables": {},
    "work_queue_id": None,
    "work_queue_name": None,
    "concurrency_limit_id": None,
    "concurrency_options": None,
    "storage_document_id": None,
    "infrastructure_document_id": None,
}
"""Columns that a request may set, with what a new deployment has."""
_COPIED = frozenset(
    {
        "version",
        "tags",
        "labels",
        "parameters",
        "work_queue_id",
        "work_queue_name",
        "infrastructure_document_id",
    }
)
"""Columns that a planned run is made of: when one changes, runs to come are made anew."""


def create_deployment(tx: Tx, context: Context, *, body: DeploymentCreate) -> Made[Deployment]:
    """The deployment of that flow and name, made or changed as `body` says.

    Refuses an unknown flow or block document (409), work pool or limit (404), values that do not
    fit their schema (422). Schedules that stay the same keep their ids and their planned runs.
    """
    flow = tx.one("flow.get", id=body.flow_id)
    if flow is None:
        raise ObjectConflict(
            f"flow {body.flow_id} does not exist, so nothing of it can be deployed; create it first"
        )
    found = tx.one("deployment.find", flow_id=flow["id"], name=body.name)
    if found is None:
        return Made(_make(tx, context, flow, body), True)
    row = existing_deployment(tx, found["id"])
    changed, stale = _change(tx, context, row, body, conflict=False)
    put_schedules(tx, context, changed, body.schedules, stale=stale)
    return Made(read_deployment_view(tx, changed), False)


def _make(tx: Tx, context: Context, flow: Row, body: DeploymentCreate) -> Deployment:
    id, event_id = str(uuid7()), uuid7()
    values, joined = _wanted(tx, context, body, None)
    row: Row = {
        "id": id,
        "flow_id": flow["id"],
        "name": body.name,
        **_DEFAULTS,
        **values,
        **limit_changes(tx, context, id, None, body, event_id=event_id),
        "created_by": _author(context),
        "updated_by": None,
    }
    _check(row, joined, conflict=False)
    tx.run("deployment.insert", now=tx.now, **row)
    row |= {
        "flow_name": flow["name"],
        **_names(joined),
        "created": tx.now,
        "updated": tx.now,
        "status": "NOT_READY",
        "last_polled": None,
    }
    record_deployment(tx, context, "created", row, after=row, event_id=event_id)
    schedules = put_schedules(tx, context, row, body.schedules, stale=False, new=True)
    tx.wake("deployments")
    return deployment_view(tx, row, schedules)


def update_deployment(tx: Tx, context: Context, id: str, *, body: DeploymentUpdate) -> None:
    """Change what `body` has; see `DeploymentUpdate` for its schedules.

    Refuses parameters that do not fit the schema and unknown block documents (409). A change of
    nothing writes nothing.
    """
    row = locked_deployment(tx, id)
    changed, stale = _change(tx, context, row, body, conflict=True)
    if body.schedules is not UNSET:
        merge_schedules(tx, context, changed, body.schedules, stale=stale)
    elif stale:
        _restart(tx, changed)


def pause_deployment(tx: Tx, context: Context, id: str) -> None:
    """Plan no runs, and take back those that are planned."""
    _set_paused(tx, context, id, True)


def resume_deployment(tx: Tx, context: Context, id: str) -> None:
    """Plan runs again, from now on."""
    _set_paused(tx, context, id, False)


def _set_paused(tx: Tx, context: Context, id: str, paused: bool) -> None:
    update_deployment(tx, context, id, body=DeploymentUpdate(paused=paused))


def read_deployment(tx: Tx, context: Context, id: str) -> Deployment:
    return read_deployment_view(tx, existing_deployment(tx, id))


def read_deployment_by_name(
    tx: Tx, context: Context, flow_name: str, deployment_name: str
) -> Deployment:
    row = tx.one("deployment.get_by_name", flow_name=flow_name, name=deployment_name)
    if row is None:
        raise ObjectMissing(
            f"there is no deployment {flow_name}/{deployment_name}; names are case-sensitive"
        )
    return read_deployment_view(tx, row)


def read_deployments(
    tx: Tx, context: Context, *, body: DeploymentsFilterPage | None = None
) -> list[Deployment]:
    body = body or DeploymentsFilterPage()
    limit = page_limit(context, body.limit)
    return _page(tx, body, sort=body.sort, limit=limit, offset=body.offset)


def count_deployments(
    tx: Tx, context: Context, *, body: DeploymentsFilterBody | None = None
) -> int:
    return _count(tx, body or DeploymentsFilterBody())


def paginate_deployments(
    tx: Tx, context: Context, *, body: DeploymentsPaginateBody | None = None
) -> DeploymentPaginationResponse:
    body = body or DeploymentsPaginateBody()
    limit = page_limit(context, body.limit)
    total = _count(tx, body)
    return DeploymentPaginationResponse(
        results=_page(tx, body, sort=body.sort, limit=limit, offset=(body.page - 1) * limit),
        count=total,
        limit=limit,
        page=body.page,
        pages=page_count(total, limit),
    )


def delete_deployment(tx: Tx, context: Context, id: str) -> None:
    """Delete the deployment with its schedules, its scheduled runs, and what it owns: automations
    and its limit.

    A limit that others may share stays, and so do runs that have begun.
    """
    _delete(tx, context, locked_deployment(tx, id), caused_by=None)


def bulk_delete_deployments(
    tx: Tx, context: Context, *, body: DeploymentsBulkDeleteBody | None = None
) -> DeploymentBulkDeleteResponse:
    """Delete up to `limit` deployments that match. Refuses a filter without any condition."""
    body = body or DeploymentsBulkDeleteBody()
    require_condition(body.deployments, "deployments")
    sql, params = select(
        "deployment",
        {"deployment": body.deployments},
        sort="NAME_ASC",
        limit=body.limit,
        offset=0,
        dialect=tx.dialect,
    )
    ids = [row["id"] for row in tx.fetch(sql, params)]
    for id in ids:
        _delete(tx, context, locked_deployment(tx, id), caused_by=None)
    return DeploymentBulkDeleteResponse(deleted=ids)


def delete_deployments_of_flow(tx: Tx, context: Context, flow_id: str, *, caused_by: UUID) -> None:
    """Delete all deployments of a flow that is about to go."""
    while rows := tx.all("deployment.of_flow", flow_id=flow_id, limit=CASCADE_BATCH):
        for row in rows:
            _delete(tx, context, locked_deployment(tx, row["id"]), caused_by=caused_by)


def _delete(tx: Tx, context: Context, row: Row, *, caused_by: UUID | None) -> None:
    event_id = uuid7()
    id = row["id"]
    delete_owned_automations(tx, context, f"prefect.deployment.{id}", caused_by=event_id)
    remove_schedules(tx, context, row, caused_by=event_id)
    tx.run("deployment.delete_future_runs", id=id, after=_BEGINNING)
    while runs := tx.all("deployment.requested_runs", id=id, limit=CASCADE_BATCH):
        for run in runs:
            delete_flow_run_row(tx, context, run, caused_by=event_id)
    tx.run("deployment.delete", id=id)
    drop_owned_limit(tx, context, id, row["concurrency_limit_id"], caused_by=event_id)
    record_deployment(
        tx, context, "deleted", row, before=row, event_id=event_id, caused_by=caused_by
    )


# --- parts ---------------------------------------------------------------------------------------

_BEGINNING = NEVER.replace(year=1970)


def _change(
    tx: Tx,
    context: Context,
    row: Row,
    body: DeploymentCreate | DeploymentUpdate,
    *,
    conflict: bool,
) -> tuple[Row, bool]:
    """Write what `body` changes of `row`, apart from schedules.

    Returns the row as it is then, and whether runs that are planned no longer fit it.
    """
    event_id = uuid7()
    values, joined = _wanted(tx, context, body, row)
    values |= limit_changes(tx, context, row["id"], row, body, event_id=event_id)
    changed = {name: value for name, value in values.items() if not equal_values(row[name], value)}
    if not changed:
        return row, False
    after = {**row, **changed, **(_names(joined) if joined else {})}
    if "parameters" in changed or "parameter_openapi_schema" in changed:
        check_defaults(after, conflict=conflict)
    if "job_variables" in changed or "work_queue_id" in changed:
        _check_stored(tx, after)
    after["updated_by"] = _author(context)
    after["updated"] = tx.now
    tx.run(
        "deployment.update",
        id=row["id"],
        now=tx.now,
        updated_by=after["updated_by"],
        **{name: after[name] for name in _DEFAULTS},
    )
    if "concurrency_limit_id" in changed:
        limit_id = row["concurrency_limit_id"]
        drop_owned_limit(tx, context, row["id"], limit_id, caused_by=event_id)
    record_deployment(tx, context, "updated", after, before=row, after=after, event_id=event_id)
    if "paused" in changed and after["paused"]:
        tx.run("deployment.delete_future_runs", id=row["id"], after=_BEGINNING)
    return after, bool(changed.keys() & (_COPIED | {"paused"}))


def _restart(tx: Tx, row: Row) -> None:
    """Make the runs to come anew, or none when the deployment is paused."""
    tx.run(
        "deployment_schedule.restart",
        deployment_id=row["id"],
        planned=not row["paused"],
        never=NEVER,
        now=tx.now,
    )
    tx.run("deployment.delete_future_runs", id=row["id"], after=tx.now)
    tx.wake(TOPIC)


def _wanted(
    tx: Tx, context: Context, body: DeploymentCreate | DeploymentUpdate, row: Row | None
) -> tuple[dict[str, Any], Row | None]:
    """The columns that `body` sets, and what is joined to a row with another work queue."""
    values: dict[str, Any] = {}
    for name in _DEFAULTS:
        value = getattr(body, name, UNSET)
        if value is UNSET or name in ("work_queue_id", "work_queue_name"):
            continue
        # A column that is never null gets its default for null.
        values[name] = _DEFAULTS[name] if value is None else value
    if "parameters" in values:
        values["parameters"] = hydrated(tx, context, values["parameters"])
    hold_documents(tx, values)
    if body.work_pool_name is UNSET and body.work_queue_name is UNSET:
        return values, None
    queue, joined = resolve_queue(tx, context, body, row)
    return {**values, **queue}, joined


def _check(row: Row, joined: Row | None, *, conflict: bool) -> None:
    check_defaults(row, conflict=conflict)
    if joined is not None:
        check_job_variables(joined, row["job_variables"])


def _names(joined: Row | None) -> dict[str, Any]:
    """What a row has from its queue and pool."""
    return {name: joined[name] if joined else None for name in JOINED}


def _check_stored(tx: Tx, row: Row) -> None:
    if row["work_queue_id"] is not None:
        pool = tx.one("deployment.pool", queue_id=row["work_queue_id"])
        if pool is not None:
            check_job_variables(pool, row["job_variables"])


def _author(context: Context) -> dict[str, Any] | None:
    """Who made or changed a deployment, as it tells itself; nobody when it was anonymous."""
    actor = context.actor
    if actor.type == "anonymous":
        return None
    try:
        id = str(UUID(actor.id))
    except ValueError:
        id = None
    return {"id": id, "type": actor.type.upper(), "display_value": actor.name or actor.id}


def _filters(body: DeploymentsFilterBody) -> dict[str, Any]:
    given = {entity: getattr(body, name) for name, entity in _ENTITIES.items()}
    return {entity: filter for entity, filter in given.items() if filter is not None}


def _page(
    tx: Tx, body: DeploymentsFilterBody, *, sort: str, limit: int, offset: int
) -> list[Deployment]:
    if not limit:
        return []
    sql, params = select(
        "deployment", _filters(body), sort=sort, limit=limit, offset=offset, dialect=tx.dialect
    )
    return deployment_views(tx, tx.fetch(sql, params))


def _count(tx: Tx, body: DeploymentsFilterBody) -> int:
    sql, params = count("deployment", _filters(body), dialect=tx.dialect)
    return tx.fetch(sql, params)[0]["count"]
