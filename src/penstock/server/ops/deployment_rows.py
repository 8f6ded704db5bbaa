"""Deployments as rows, as answers, and as what events say about them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from msgspec import UNSET, Raw, UnsetType

from penstock.base import json
from penstock.schemas.deployments import CatchUp, Deployment, DeploymentSchedule
from penstock.schemas.errors import ObjectMissing
from penstock.schemas.events import RESOURCE_ID, RESOURCE_NAME, RESOURCE_ROLE, Resource
from penstock.server.domain.redaction import redacted
from penstock.server.ops.changes import Change, record
from penstock.server.ops.context import Context
from penstock.server.ops.limits import global_limit
from penstock.server.store.transaction import Row, Tx

WATCHED = (
    "description",
    "tags",
    "parameters",
    "parameter_openapi_schema",
    "enforce_parameter_schema",
    "entrypoint",
    "path",
    "pull_steps",
    "work_queue_id",
    "job_variables",
    "paused",
    "labels",
    "version",
    "concurrency_limit_id",
    "concurrency_options",
)
"""Columns whose change an event tells, in the order it tells them."""

_EVENT_NAMES = {"job_variables": "infra_overrides"}


def existing_deployment(tx: Tx, id: str) -> Row:
    row = tx.one("deployment.get", id=id)
    if row is None:
        raise missing(id)
    return row


def locked_deployment(tx: Tx, id: str) -> Row:
    """The deployment, unchanging to the end of the transaction."""
    tx.one("deployment.lock", id=id)
    return existing_deployment(tx, id)


def missing(id: str) -> ObjectMissing:
    return ObjectMissing(f"deployment {id} does not exist; list deployments to find its id")


# --- answers -------------------------------------------------------------------------------------


def deployment_view(tx: Tx, row: Row, schedules: Sequence[Row]) -> Deployment:
    """The answer for one row and its schedules, the one changed last first."""
    ordered = sorted(schedules, key=lambda one: (one["updated"], one["id"]), reverse=True)
    return _view(row, ordered, _limits(tx, [row]), row["work_pool_name"])


def read_deployment_view(tx: Tx, row: Row) -> Deployment:
    """The answer for one row; costs one statement, two when there is a limit."""
    return deployment_view(tx, row, tx.all("deployment_schedule.of", deployment_id=row["id"]))


def deployment_views(tx: Tx, rows: Sequence[Row]) -> list[Deployment]:
    """The answers for bare rows of the table; costs three statements however many there are."""
    if not rows:
        return []
    schedules: defaultdict[str, list[Row]] = defaultdict(list)
    for schedule in tx.all("deployment_schedule.of_many", ids=[row["id"] for row in rows]):
        schedules[schedule["deployment_id"]].append(schedule)
    limits = _limits(tx, rows)
    queues = list({row["work_queue_id"] for row in rows} - {None})
    found = tx.all("deployment.pools", ids=queues) if queues else ()
    pools = {pool["id"]: pool["work_pool_name"] for pool in found}
    return [
        _view(row, schedules[row["id"]], limits, pools.get(row["work_queue_id"])) for row in rows
    ]


def schedule_view(row: Row) -> DeploymentSchedule:
    return DeploymentSchedule(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        schedule=row["schedule"],
        active=row["active"],
        deployment_id=row["deployment_id"],
        max_scheduled_runs=row["max_scheduled_runs"],
        parameters=row["parameters"],
        slug=row["slug"],
        catch_up=UNSET if row["catch_up"] is None else catch_up_of(row["catch_up"]),
    )


def catch_up_of(stored: str | None) -> CatchUp:
    """The policy that a row of a schedule holds."""
    if stored is None:
        return "all"
    return "latest" if stored == "latest" else float(stored)


def stored_catch_up(given: CatchUp | UnsetType) -> str | None:
    return None if given is UNSET or given == "all" else str(given)


def _limits(tx: Tx, rows: Iterable[Row]) -> dict[str, Any]:
    ids = list({row["concurrency_limit_id"] for row in rows} - {None})
    if not ids:
        return {}
    return {row["id"]: global_limit(row, tx) for row in tx.all("deployment.limits", ids=ids)}


def _view(
    row: Row, schedules: Iterable[Row], limits: Mapping[str, Any], pool: str | None
) -> Deployment:
    return Deployment(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        flow_id=row["flow_id"],
        name=row["name"],
        version=row["version"],
        description=row["description"],
        paused=row["paused"],
        status=row["status"],
        last_polled=row["last_polled"],
        tags=row["tags"],
        labels=row["labels"],
        parameters=row["parameters"],
        parameter_openapi_schema=row["parameter_openapi_schema"],
        enforce_parameter_schema=row["enforce_parameter_schema"],
        pull_steps=row["pull_steps"],
        path=row["path"],
        entrypoint=row["entrypoint"],
        job_variables=row["job_variables"],
        work_queue_id=row["work_queue_id"],
        work_queue_name=row["work_queue_name"],
        work_pool_name=pool,
        global_concurrency_limit=limits.get(row["concurrency_limit_id"]),
        concurrency_options=row["concurrency_options"],
        storage_document_id=row["storage_document_id"],
        infrastructure_document_id=row["infrastructure_document_id"],
        created_by=row["created_by"],
        updated_by=row["updated_by"],
        schedules=[schedule_view(schedule) for schedule in schedules],
    )


# --- events --------------------------------------------------------------------------------------


def record_deployment(
    tx: Tx,
    context: Context,
    action: str,
    row: Row,
    *,
    before: Row | None = None,
    after: Row | None = None,
    event_id: UUID | None = None,
    caused_by: UUID | None = None,
) -> None:
    """Record a change of the deployment in `row`, which has the names of what it belongs to."""
    payload: Mapping[str, Any] = {}
    if before is not None and after is not None:
        payload = _updates(context, before, after)
    change = Change(
        kind="deployment",
        action=action,
        id=row["id"],
        name=row["name"],
        before=before and _stored(before),
        after=after and _stored(after),
        payload=payload,
        related=related(row),
        event_id=event_id,
        caused_by=str(caused_by) if caused_by else None,
    )
    record(tx, context, change)


def record_schedule(
    tx: Tx,
    context: Context,
    action: str,
    deployment: Row,
    *,
    before: Row | None = None,
    after: Row | None = None,
    caused_by: UUID | None = None,
) -> None:
    """Record a change of a schedule; its event carries the prefix of our own kinds."""
    row = after or before
    assert row is not None, "a change has a schedule before or after it"
    change = Change(
        kind="deployment-schedule",
        action=action,
        event=f"penstock.deployment-schedule.{action}",
        id=row["id"],
        name=row["slug"] or deployment["name"],
        before=before and _schedule(before),
        after=after and _schedule(after),
        payload=_safe(context, _schedule(row)),
        related=[
            _related("deployment", f"prefect.deployment.{deployment['id']}", deployment["name"]),
            *related(deployment),
        ],
        caused_by=str(caused_by) if caused_by else None,
    )
    record(tx, context, change)


def related(row: Row) -> list[Resource]:
    """Flow, queue, pool, documents and limit of a deployment, in this order and where there."""
    entries = [_related("flow", f"prefect.flow.{row['flow_id']}", row["flow_name"])]
    if row["work_queue_id"] is not None and row["queue_name"] is not None:
        entries.append(
            _related("work-queue", f"prefect.work-queue.{row['work_queue_id']}", row["queue_name"])
        )
        pool = _related(
            "work-pool", f"prefect.work-pool.{row['work_pool_id']}", row["work_pool_name"]
        )
        entries.append({**pool, "prefect.work-pool.type": row["work_pool_type"]})
    for role in ("storage", "infrastructure"):
        document = row[f"{role}_document_id"]
        if document is not None:
            entries.append(_related(role, f"prefect.block-document.{document}"))
    if row["concurrency_limit_id"] is not None:
        entries.append(
            _related(
                "concurrency-limit", f"prefect.concurrency-limit.{row['concurrency_limit_id']}"
            )
        )
    return entries


def _related(role: str, id: str, name: str | None = None) -> Resource:
    entry = {RESOURCE_ID: id, RESOURCE_ROLE: role}
    return entry if name is None else {**entry, RESOURCE_NAME: name}


def _updates(context: Context, before: Row, after: Row) -> dict[str, Any]:
    """What changed, in the shape of the contract, without secrets in it."""
    old = _safe(context, {name: before[name] for name in WATCHED})
    new = _safe(context, {name: after[name] for name in WATCHED})
    changed = [name for name in WATCHED if old[name] != new[name]]
    names = [_EVENT_NAMES.get(name, name) for name in changed]
    return {
        "updated_fields": names,
        "updates": {
            told: {"from": old[name], "to": new[name]}
            for told, name in zip(names, changed, strict=True)
        },
    }


def _safe(context: Context, value: Mapping[str, Any]) -> dict[str, Any]:
    return redacted(json.decode(json.encode(value)), context.fingerprint_key)


_BESIDE = frozenset(
    {"flow_name", "queue_name", "work_pool_id", "work_pool_name", "work_pool_type", "updated_by"}
)


def _stored(row: Row) -> dict[str, Any]:
    """The row without what was joined to it and without what polling changes."""
    return {
        name: value
        for name, value in row.items()
        if name not in _BESIDE and name not in ("status", "last_polled")
    }


def _schedule(row: Row) -> dict[str, Any]:
    return {
        name: row[name]
        for name in (
            "id",
            "deployment_id",
            "schedule",
            "active",
            "slug",
            "parameters",
            "max_scheduled_runs",
            "catch_up",
        )
    }


def equal_values(stored: Any, value: Any) -> bool:
    """Whether a stored value is what `value` would be stored as."""
    if isinstance(stored, Raw) or isinstance(value, Raw):
        return json.decode(json.encode(stored)) == json.decode(json.encode(value))
    return json.encode(stored) == json.encode(value)
