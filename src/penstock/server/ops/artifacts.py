"""Operations on artifacts, and on the newest artifact of each key (its collection).

The result of a run is listed as an artifact of type `result` under the id of its state; it is
read from the state, so nothing is written for it. It can be deleted and not edited.
"""

from typing import Any
from uuid import UUID

from msgspec import UNSET

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.artifacts import (
    Artifact,
    ArtifactCollection,
    ArtifactCreate,
    ArtifactsFilterBody,
    ArtifactsFilterPage,
    ArtifactUpdate,
    LatestArtifactsFilterBody,
    LatestArtifactsFilterPage,
)
from penstock.schemas.errors import ObjectConflict, ObjectMissing
from penstock.schemas.events import RESOURCE_ID, RESOURCE_ROLE, Resource
from penstock.server.ops.changes import Change, record
from penstock.server.ops.conditions import has_condition
from penstock.server.ops.context import Context, Made
from penstock.server.ops.deletion import as_related
from penstock.server.ops.paging import page_limit
from penstock.server.store.selection import count, select
from penstock.server.store.transaction import Row, Tx

METADATA_CHARACTERS = 500
_CONTENT = ("type", "data", "description", "metadata_", "flow_run_id", "task_run_id")


def create_artifact(tx: Tx, context: Context, *, body: ArtifactCreate) -> Made[Artifact]:
    """A new artifact, from now on the newest of its key if it has one.

    Long texts in the metadata are cut after 500 characters.
    """
    row: Row = {
        "id": str(uuid7()),
        "key": body.key,
        "type": body.type,
        "data": _document(body.data),
        "description": body.description,
        "metadata_": _metadata(body.metadata_),
        "flow_run_id": None if body.flow_run_id is None else str(body.flow_run_id),
        "task_run_id": None if body.task_run_id is None else str(body.task_run_id),
        "created": tx.now,
        "updated": tx.now,
    }
    if body.key is not None:
        row = _collect(tx, context, row)
    tx.run("artifact.insert", now=tx.now, **_without_times(row))
    return Made(_view(row), True)


def read_artifact(tx: Tx, context: Context, id: str) -> Artifact:
    row = tx.one("artifact.get", id=id) or tx.one("artifact.get_result", id=id)
    if row is None:
        raise _missing(id)
    return _view(row)


def read_latest_artifact(tx: Tx, context: Context, key: str) -> Artifact:
    """The newest artifact of a key, under the id that the key has (the contract's choice)."""
    row = tx.one("artifact.get_collection", key=key)
    if row is None:
        raise ObjectMissing(f"no artifact has the key {key!r}; keys are in lower case")
    return _view(row)


def read_artifacts(
    tx: Tx, context: Context, *, body: ArtifactsFilterPage | None = None
) -> list[Artifact]:
    return [_view(row) for row in _page(tx, context, "artifact", body or ArtifactsFilterPage())]


def count_artifacts(tx: Tx, context: Context, *, body: ArtifactsFilterBody | None = None) -> int:
    return _count(tx, "artifact", body or ArtifactsFilterBody())


def read_latest_artifacts(
    tx: Tx, context: Context, *, body: LatestArtifactsFilterPage | None = None
) -> list[ArtifactCollection]:
    """One for each key."""
    rows = _page(tx, context, "artifact_collection", body or LatestArtifactsFilterPage())
    return [_collection_view(row) for row in rows]


def count_latest_artifacts(
    tx: Tx, context: Context, *, body: LatestArtifactsFilterBody | None = None
) -> int:
    return _count(tx, "artifact_collection", body or LatestArtifactsFilterBody())


def update_artifact(tx: Tx, context: Context, id: str, *, body: ArtifactUpdate) -> None:
    """Set what is given, also at its key when it is the newest there. Refuses a result (409)."""
    before, collection = _held(tx, id)
    if before is None:
        if tx.one("artifact.get_result", id=id) is None:
            raise _missing(id)
        raise ObjectConflict(
            f"artifact {id} is the result of a run and cannot be edited; make an artifact of it"
        )
    after = dict(before)
    if body.data is not UNSET:
        after["data"] = _document(body.data)
    if body.description is not UNSET:
        after["description"] = body.description
    if body.metadata_ is not UNSET:
        after["metadata_"] = _metadata(body.metadata_)
    event_id = record(tx, context, _change("updated", before, after))
    if event_id is None:
        return
    tx.run("artifact.update", now=tx.now, **{name: after[name] for name in ("id", *_CONTENT[1:4])})
    if collection is not None and collection["latest_id"] == id:
        _point_to(tx, context, collection, after, caused_by=event_id)


def delete_artifact(tx: Tx, context: Context, id: str) -> None:
    """Delete the artifact. Its key goes to the one before it, or is gone with the last one."""
    row, collection = _held(tx, id)
    if row is None:
        _forget_result(tx, context, id)
        return
    tx.run("artifact.delete", id=id)
    event_id = record(tx, context, _change("deleted", row))
    if collection is None or collection["latest_id"] != id:
        return
    previous = tx.one("artifact.newest", key=row["key"])
    if previous is not None:
        _point_to(tx, context, collection, previous, caused_by=event_id)
        return
    tx.run("artifact.delete_collection", id=collection["id"])
    record(tx, context, _collection_change("deleted", before=collection, caused_by=event_id))


def _forget_result(tx: Tx, context: Context, id: str) -> None:
    row = tx.one("artifact.get_result", id=id)
    if row is None:
        raise _missing(id)
    kind = "flow_run" if row["task_run_id"] is None else "task_run"
    tx.run(f"artifact.forget_{kind}_result", id=id)
    record(tx, context, _change("deleted", row))


def _held(tx: Tx, id: str) -> tuple[Row | None, Row | None]:
    """The artifact and the collection of its key, both unchanging to the end of the transaction."""
    row = tx.one("artifact.get", id=id)
    if row is None or row["key"] is None:
        return row, None
    collection = tx.one("artifact.lock_collection", key=row["key"])
    # What happened to the artifact while another transaction held the key.
    return tx.one("artifact.get", id=id), collection


def _collect(tx: Tx, context: Context, row: Row) -> Row:
    """Make the new artifact `row` the newest of its key; returns it with the id it is to have."""
    collection = tx.one("artifact.lock_collection", key=row["key"])
    if collection is None:
        fresh = {**row, "id": str(uuid7()), "latest_id": row["id"]}
        if tx.run("artifact.insert_collection", now=tx.now, **_without_times(fresh)):
            record(tx, context, _collection_change("created", after=fresh))
            return row
        collection = tx.one("artifact.lock_collection", key=row["key"])
        if collection is None:
            raise ObjectConflict(
                f"the artifacts of the key {row['key']!r} were deleted meanwhile; repeat"
            )
    # Ids grow with time, and the newest of a key is the one with the largest: another transaction
    # may have held the key since this one's id was made.
    row = {**row, "id": str(uuid7())}
    _point_to(tx, context, collection, row)
    return row


def _point_to(
    tx: Tx, context: Context, collection: Row, artifact: Row, *, caused_by: UUID | None = None
) -> None:
    after = {
        **collection,
        **{name: artifact[name] for name in _CONTENT},
        "latest_id": artifact["id"],
        "updated": tx.now,
    }
    written = {name: after[name] for name in ("id", "latest_id", *_CONTENT)}
    tx.run("artifact.update_collection", now=tx.now, **written)
    change = _collection_change("updated", before=collection, after=after, caused_by=caused_by)
    record(tx, context, change)


def _change(action: str, before: Row, after: Row | None = None) -> Change:
    row = after or before
    return Change(
        kind="artifact",
        action=action,
        event=f"penstock.artifact.{action}",
        id=row["id"],
        name=row["key"] or row["id"],
        before=before,
        after=after,
        payload={name: row[name] for name in ("key", "type", "description")},
        related=_runs_of(row),
        event_id=uuid7(),
    )


def _collection_change(
    action: str,
    *,
    before: Row | None = None,
    after: Row | None = None,
    caused_by: UUID | None = None,
) -> Change:
    row = after or before
    assert row is not None, "a change has a collection before or after it"
    latest: Resource = {
        RESOURCE_ID: f"prefect.artifact.{row['latest_id']}",
        RESOURCE_ROLE: "latest",
    }
    return Change(
        kind="artifact-collection",
        action=action,
        id=row["id"],
        name=row["key"],
        before=before,
        after=after,
        payload={name: row[name] for name in ("key", "type", "data", "description")},
        related=[latest, *_runs_of(row)],
        caused_by=None if caused_by is None else str(caused_by),
    )


def _runs_of(row: Row) -> list[Resource]:
    return [
        as_related(kind, row[column])
        for kind, column in (("flow-run", "flow_run_id"), ("task-run", "task_run_id"))
        if row[column] is not None
    ]


def _document(value: Any) -> json.Raw | None:
    return None if value is None else json.Raw(json.encode(value))


def _metadata(given: dict[str, str] | None) -> json.Raw | None:
    if given is None:
        return None
    return _document({name: text[:METADATA_CHARACTERS] for name, text in given.items()})


def _without_times(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in ("created", "updated")}


def _missing(id: str) -> ObjectMissing:
    return ObjectMissing(f"artifact {id} does not exist; list artifacts to find its id")


def filters_of(entity: str, body: ArtifactsFilterBody | LatestArtifactsFilterBody) -> Row:
    """The filters of `body` that ask for something; the others would drop what has no run."""
    given = {
        entity: body.artifacts,
        "flow_run": body.flow_runs,
        "task_run": body.task_runs,
        "flow": body.flows,
        "deployment": body.deployments,
    }
    return {name: filter for name, filter in given.items() if has_condition(filter)}


def _page(
    tx: Tx, context: Context, entity: str, body: ArtifactsFilterPage | LatestArtifactsFilterPage
) -> list[Row]:
    limit = page_limit(context, body.limit)
    if not limit:
        return []
    sql, params = select(
        entity,
        filters_of(entity, body),
        sort=body.sort,
        limit=limit,
        offset=body.offset,
        dialect=tx.dialect,
    )
    return tx.fetch(sql, params)


def _count(tx: Tx, entity: str, body: ArtifactsFilterBody | LatestArtifactsFilterBody) -> int:
    sql, params = count(entity, filters_of(entity, body), dialect=tx.dialect)
    return tx.fetch(sql, params)[0]["count"]


def _view(row: Row) -> Artifact:
    return Artifact(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        key=row["key"],
        type=row["type"],
        description=row["description"],
        data=row["data"],
        metadata_=row["metadata_"],
        flow_run_id=row["flow_run_id"],
        task_run_id=row["task_run_id"],
    )


def _collection_view(row: Row) -> ArtifactCollection:
    return ArtifactCollection(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        key=row["key"],
        latest_id=row["latest_id"],
        type=row["type"],
        description=row["description"],
        data=row["data"],
        metadata_=row["metadata_"],
        flow_run_id=row["flow_run_id"],
        task_run_id=row["task_run_id"],
    )
