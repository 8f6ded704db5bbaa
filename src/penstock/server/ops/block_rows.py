"""Block types and schemas as answers and as what events say about them.

Rows of schemas carry their type's columns as `type_*`; rows of documents carry those and their
schema's as `schema_*`.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from penstock.base import json
from penstock.schemas.blocks import BlockSchema, BlockType
from penstock.schemas.errors import ObjectConflict, ObjectMissing
from penstock.schemas.events import RESOURCE_ID, RESOURCE_NAME, RESOURCE_ROLE, Resource
from penstock.server.ops.changes import Change
from penstock.server.store.transaction import Row, Tx

USERS_SHOWN = 10
_TYPE_COLUMNS = (
    "name",
    "slug",
    "logo_url",
    "documentation_url",
    "description",
    "code_example",
    "is_protected",
)


def existing_type(tx: Tx, id: str) -> Row:
    row = tx.one("block_type.get", id=id)
    if row is None:
        raise ObjectMissing(f"block type {id} does not exist; register it first")
    return row


def existing_schema(tx: Tx, id: str) -> Row:
    row = tx.one("block_schema.get", id=id)
    if row is None:
        raise ObjectMissing(f"block schema {id} does not exist; register its block type again")
    return row


def existing_document(tx: Tx, id: str) -> Row:
    row = tx.one("block_document.get", id=id)
    if row is None:
        raise ObjectMissing(f"block document {id} does not exist; list documents to find its id")
    return row


def block_type(row: Row) -> BlockType:
    return BlockType(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        **{name: row[name] for name in _TYPE_COLUMNS},
    )


def type_of(row: Row, id: str) -> BlockType:
    """The type in a row of something that belongs to it."""
    return BlockType(
        id=id,  # type: ignore[arg-type]  # as in `views`: ids stay text
        created=row["type_created"],
        updated=row["type_updated"],
        **{name: row[f"type_{name}"] for name in _TYPE_COLUMNS},
    )


def block_schema(row: Row) -> BlockSchema:
    return BlockSchema(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        checksum=row["checksum"],
        fields=row["fields"],
        capabilities=row["capabilities"],
        version=row["version"],
        block_type_id=row["block_type_id"],
        block_type=type_of(row, row["block_type_id"]),
    )


def schema_of(row: Row, type: BlockType) -> BlockSchema:
    """The schema in a row of a document."""
    return BlockSchema(
        id=row["block_schema_id"],
        created=row["schema_created"],
        updated=row["schema_updated"],
        checksum=row["schema_checksum"],
        fields=row["schema_fields"],
        capabilities=row["schema_capabilities"],
        version=row["schema_version"],
        block_type_id=row["schema_block_type_id"],
        block_type=type,
    )


def type_change(
    action: str,
    *,
    before: Row | None = None,
    after: Row | None = None,
    event_id: UUID | None = None,
) -> Change:
    row = after or before
    assert row is not None, "a change has a block type before or after it"
    return Change(
        kind="block-type",
        action=action,
        id=row["id"],
        name=row["name"],
        before=before,
        after=after,
        payload={name: row[name] for name in _TYPE_COLUMNS},
        event_id=event_id,
    )


def schema_change(action: str, row: Row, *, caused_by: UUID | None = None) -> Change:
    """A schema that was created or deleted; nothing else happens to one."""
    snapshot = {
        name: row[name] for name in ("id", "checksum", "fields", "capabilities", "block_type_id")
    }
    return Change(
        kind="block-schema",
        action=action,
        event=f"penstock.block-schema.{action}",
        id=row["id"],
        name=row["type_name"],
        before=snapshot if action == "deleted" else None,
        after=snapshot if action == "created" else None,
        payload={
            "checksum": row["checksum"],
            "version": row["version"],
            "capabilities": row["capabilities"],
        },
        related=[related("block-type", row["block_type_id"], row["type_name"])],
        caused_by=str(caused_by) if caused_by else None,
    )


def related(kind: str, id: str, name: str | None = None) -> Resource:
    entry = {RESOURCE_ID: f"prefect.{kind}.{id}", RESOURCE_ROLE: kind}
    return entry if name is None else {**entry, RESOURCE_NAME: name}


def refuse_users(users: Sequence[Mapping[str, Any]], what: str) -> None:
    """Refuse to delete what others refer to, and say who they are."""
    if not users:
        return
    shown = ", ".join(f"{user['kind']} {user['name']!r}" for user in users[:USERS_SHOWN])
    more = " and others" if len(users) > USERS_SHOWN else ""
    raise ObjectConflict(f"{what} is in use by {shown}{more}; change or delete these first")


def plain(document: Any) -> Any:
    """What a document column holds, decoded."""
    return json.decode(document)
