"""Operations on flows."""

from typing import Any
from uuid import UUID

from msgspec import UNSET

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.errors import ObjectMissing
from penstock.schemas.flows import (
    Flow,
    FlowBulkDeleteResponse,
    FlowCreate,
    FlowPaginationResponse,
    FlowsBulkDeleteBody,
    FlowsFilterBody,
    FlowsFilterPage,
    FlowsPaginateBody,
    FlowUpdate,
)
from penstock.server.ops import views
from penstock.server.ops.changes import Change, record
from penstock.server.ops.conditions import require_condition
from penstock.server.ops.context import Context, Made
from penstock.server.ops.deletion import delete_flow_runs_of
from penstock.server.ops.deployments import delete_deployments_of_flow
from penstock.server.ops.paging import page_count, page_limit
from penstock.server.store.selection import count, select
from penstock.server.store.transaction import Row, Tx

_ENTITIES = ("flows", "flow_runs", "task_runs", "deployments", "work_pools")


def filters_of(body: FlowsFilterBody) -> dict[str, Any]:
    """The filters that `body` gives, by the entity each is about."""
    given = {name.removesuffix("s"): getattr(body, name) for name in _ENTITIES}
    return {entity: filter for entity, filter in given.items() if filter is not None}


def put_flow(tx: Tx, context: Context, body: FlowCreate) -> Made[Row]:
    """The row of the flow named `body.name`, made when there is none.

    One statement when the flow is there, four when it is made. An existing flow is left as it
    is, whatever tags and labels `body` has.
    """
    row = tx.one("flow.hold_by_name", name=body.name)
    if row is not None:
        return Made(row, False)
    row = {
        "id": str(uuid7()),
        "name": body.name,
        "tags": json.Raw(json.encode(body.tags)),
        "labels": json.Raw(json.encode(body.labels or {})),
        "created": tx.now,
        "updated": tx.now,
    }
    made = tx.run(
        "flow.insert",
        id=row["id"],
        name=row["name"],
        tags=row["tags"],
        labels=row["labels"],
        now=tx.now,
    )
    if made:
        record(tx, context, _change("created", after=row))
        return Made(row, True)
    # Another transaction made it between the two statements.
    row = tx.one("flow.hold_by_name", name=body.name)
    if row is None:
        raise ObjectMissing(f"flow {body.name!r} was deleted while it was created; repeat")
    return Made(row, False)


def existing_flow(tx: Tx, id: str) -> Row:
    row = tx.one("flow.get", id=id)
    if row is None:
        raise ObjectMissing(f"flow {id} does not exist; list flows to find its id")
    return row


def create_flow(tx: Tx, context: Context, *, body: FlowCreate) -> Made[Flow]:
    """The flow of that name, made when there is none; an existing one is returned unchanged."""
    made = put_flow(tx, context, body)
    return Made(views.flow(made.value), made.created)


def read_flow(tx: Tx, context: Context, id: str) -> Flow:
    return views.flow(existing_flow(tx, id))


def read_flow_by_name(tx: Tx, context: Context, name: str) -> Flow:
    row = tx.one("flow.get_by_name", name=name)
    if row is None:
        raise ObjectMissing(f"no flow is named {name!r}; flow names are case-sensitive")
    return views.flow(row)


def read_flows(tx: Tx, context: Context, *, body: FlowsFilterPage | None = None) -> list[Flow]:
    body = body or FlowsFilterPage()
    limit = page_limit(context, body.limit)
    return _page(tx, body, sort=body.sort, limit=limit, offset=body.offset)


def count_flows(tx: Tx, context: Context, *, body: FlowsFilterBody | None = None) -> int:
    return _count(tx, body or FlowsFilterBody())


def paginate_flows(
    tx: Tx, context: Context, *, body: FlowsPaginateBody | None = None
) -> FlowPaginationResponse:
    body = body or FlowsPaginateBody()
    limit = page_limit(context, body.limit)
    total = _count(tx, body)
    return FlowPaginationResponse(
        results=_page(tx, body, sort=body.sort, limit=limit, offset=(body.page - 1) * limit),
        count=total,
        limit=limit,
        page=body.page,
        pages=page_count(total, limit),
    )


def update_flow(tx: Tx, context: Context, id: str, *, body: FlowUpdate) -> None:
    """Set the tags. Equal tags write nothing and emit nothing."""
    row = existing_flow(tx, id)
    if body.tags is UNSET or json.decode(row["tags"]) == body.tags:
        return
    tx.run("flow.set_tags", id=id, tags=body.tags, now=tx.now)
    changed = {**row, "tags": body.tags}
    record(tx, context, _change("updated", before=row, after=changed))


def delete_flow(tx: Tx, context: Context, id: str) -> None:
    """Delete the flow, its deployments and its runs with everything that belongs to them."""
    _delete(tx, context, existing_flow(tx, id))


def bulk_delete_flows(
    tx: Tx, context: Context, *, body: FlowsBulkDeleteBody | None = None
) -> FlowBulkDeleteResponse:
    """Delete up to `limit` flows that match. Refuses a filter without any condition."""
    body = body or FlowsBulkDeleteBody()
    require_condition(body.flows, "flows")
    sql, params = select(
        "flow",
        {"flow": body.flows},
        sort="NAME_ASC",
        limit=body.limit,
        offset=0,
        dialect=tx.dialect,
    )
    rows = tx.fetch(sql, params)
    for row in rows:
        _delete(tx, context, row)
    return FlowBulkDeleteResponse(deleted=[row["id"] for row in rows])


def _delete(tx: Tx, context: Context, row: Row) -> None:
    event_id = uuid7()
    # First the flow, then its runs: whoever makes a run takes them in this order, too.
    tx.one("flow.lock", id=row["id"])
    delete_deployments_of_flow(tx, context, row["id"], caused_by=event_id)
    delete_flow_runs_of(tx, context, row["id"], caused_by=event_id)
    tx.run("flow.delete", id=row["id"])
    record(tx, context, _change("deleted", before=row, event_id=event_id))


def _change(
    action: str,
    *,
    before: Row | None = None,
    after: Row | None = None,
    event_id: UUID | None = None,
) -> Change:
    row = after or before
    assert row is not None, "a change has a flow before or after it"
    return Change(
        kind="flow",
        action=action,
        id=row["id"],
        name=row["name"],
        before=before,
        after=after,
        payload={name: row[name] for name in ("name", "tags", "labels")},
        event_id=event_id,
    )


def _page(tx: Tx, body: FlowsFilterBody, *, sort: str, limit: int, offset: int) -> list[Flow]:
    if not limit:
        return []
    sql, params = select(
        "flow", filters_of(body), sort=sort, limit=limit, offset=offset, dialect=tx.dialect
    )
    return [views.flow(row) for row in tx.fetch(sql, params)]


def _count(tx: Tx, body: FlowsFilterBody) -> int:
    sql, params = count("flow", filters_of(body), dialect=tx.dialect)
    return tx.fetch(sql, params)[0]["count"]
