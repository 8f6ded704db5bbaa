"""Operations on block types."""

from html import escape

from msgspec import UNSET

from penstock.base.ids import uuid7
from penstock.schemas.blocks import (
    BlockType,
    BlockTypeCreate,
    BlockTypesFilterPage,
    BlockTypeUpdate,
)
from penstock.schemas.errors import Forbidden, ObjectConflict, ObjectMissing
from penstock.server.ops.block_documents import delete_documents_of_type
from penstock.server.ops.block_rows import (
    USERS_SHOWN,
    block_type,
    existing_type,
    refuse_users,
    schema_change,
    type_change,
)
from penstock.server.ops.bundled_blocks import install
from penstock.server.ops.changes import record
from penstock.server.ops.context import Context
from penstock.server.ops.paging import page_limit
from penstock.server.store.selection import select
from penstock.server.store.transaction import Row, Tx

_RESERVED = "prefect"
_TEXTS = ("logo_url", "documentation_url", "description", "code_example")


def create_block_type(tx: Tx, context: Context, *, body: BlockTypeCreate) -> BlockType:
    """A new type. Refuses a reserved name (403) and a slug that is taken (409).

    Description and example are stored with HTML escaped, as the contract has it.
    """
    if body.name.lower().startswith(_RESERVED):
        raise Forbidden(
            f"block type names that begin with {_RESERVED!r} are reserved; choose another"
        )
    row: Row = {
        "id": str(uuid7()),
        "name": body.name,
        "slug": body.slug,
        "logo_url": body.logo_url,
        "documentation_url": body.documentation_url,
        "description": _escaped(body.description),
        "code_example": _escaped(body.code_example),
        "is_protected": False,
    }
    if not tx.run("block_type.insert", now=tx.now, **row):
        raise ObjectConflict(f"block type {body.slug!r} exists already; update it instead")
    row |= {"created": tx.now, "updated": tx.now}
    record(tx, context, type_change("created", after=row))
    return block_type(row)


def read_block_type_by_id(tx: Tx, context: Context, id: str) -> BlockType:
    return block_type(existing_type(tx, id))


def read_block_type_by_slug(tx: Tx, context: Context, slug: str) -> BlockType:
    row = tx.one("block_type.get_by_slug", slug=slug)
    if row is None:
        raise ObjectMissing(f"block type {slug!r} does not exist; register it first")
    return block_type(row)


def read_block_types(
    tx: Tx, context: Context, *, body: BlockTypesFilterPage | None = None
) -> list[BlockType]:
    """Types by name."""
    body = body or BlockTypesFilterPage()
    limit = page_limit(context, body.limit)
    if not limit:
        return []
    sql, params = select(
        "block_type",
        {"block_type": body.block_types, "block_schema": body.block_schemas},
        sort="NAME_ASC",
        limit=limit,
        offset=body.offset,
        dialect=tx.dialect,
    )
    return [block_type(row) for row in tx.fetch(sql, params)]


def update_block_type(tx: Tx, context: Context, id: str, *, body: BlockTypeUpdate) -> None:
    """Change how a type presents itself. Equal values write nothing and emit nothing.

    Protected types may be updated, because clients bring their own texts of the common ones.
    """
    row = existing_type(tx, id)
    given = {name: getattr(body, name) for name in _TEXTS}
    changed = row | {name: value for name, value in given.items() if value is not UNSET}
    if changed == row:
        return
    tx.run("block_type.update", id=id, now=tx.now, **{name: changed[name] for name in _TEXTS})
    record(tx, context, type_change("updated", before=row, after=changed))


def delete_block_type(tx: Tx, context: Context, id: str) -> None:
    """Delete a type with its schemas and documents.

    Refuses a protected type (403) and one with documents that others refer to (409).
    """
    row = existing_type(tx, id)
    if row["is_protected"]:
        raise Forbidden(f"block type {row['slug']!r} is protected and cannot be deleted")
    tx.one("block_type.lock", id=id)
    users = tx.all("block_document.users", id="", type_id=id, limit=USERS_SHOWN + 1)
    refuse_users(users, f"a document of block type {row['slug']!r}")
    event_id = uuid7()
    delete_documents_of_type(tx, context, id, caused_by=event_id)
    for schema in tx.all("block_type.schemas", id=id):
        users = tx.all("block_schema.users", id=schema["id"], limit=USERS_SHOWN + 1)
        refuse_users(users, f"a schema of block type {row['slug']!r}")
        tx.run("block_schema.delete", id=schema["id"])
        record(tx, context, schema_change("deleted", schema, caused_by=event_id))
    tx.run("block_type.delete", id=id)
    record(tx, context, type_change("deleted", before=row, event_id=event_id))


def install_system_block_types(tx: Tx, context: Context) -> None:
    """Register the bundled types, also those that were there and are not any more."""
    install(tx, force=True)


def _escaped(text: str | None) -> str | None:
    return None if text is None else escape(text, quote=False)
