"""Operations on block schemas and on the capabilities they name."""

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.blocks import BlockSchema, BlockSchemaCreate, BlockSchemasFilterPage
from penstock.schemas.errors import Forbidden, ObjectConflict, ObjectMissing, RequestInvalid
from penstock.server.domain.block_schemas import (
    REFERENCES,
    ReferenceInvalid,
    checksum,
    references,
)
from penstock.server.ops.block_rows import (
    USERS_SHOWN,
    block_schema,
    existing_schema,
    existing_type,
    refuse_users,
    schema_change,
)
from penstock.server.ops.changes import record
from penstock.server.ops.context import Context, Made
from penstock.server.ops.paging import page_limit
from penstock.server.store.selection import select
from penstock.server.store.transaction import Row, Tx

NESTED_MAXIMUM = 500
"""Nested schemas that one schema may refer to."""


def create_block_schema(tx: Tx, context: Context, *, body: BlockSchemaCreate) -> Made[BlockSchema]:
    """The schema with that checksum and version, made when there is none.

    Refuses an unknown type (404) and a nested block that is not registered (409).
    """
    existing_type(tx, str(body.block_type_id))
    digest = checksum(body.fields)
    found = tx.one("block_schema.get_by_checksum", checksum=digest, version=body.version)
    if found is not None:
        return Made(block_schema(found), False)
    nested = _nested(tx, body)
    id = str(uuid7())
    made = tx.run(
        "block_schema.insert",
        id=id,
        checksum=digest,
        fields=json.Raw(json.encode({REFERENCES: {}, **body.fields})),
        capabilities=json.Raw(json.encode(body.capabilities)),
        version=body.version,
        block_type_id=body.block_type_id,
        now=tx.now,
    )
    if not made:  # another transaction made it in between
        found = tx.one("block_schema.get_by_checksum", checksum=digest, version=body.version)
        if found is None:
            raise ObjectMissing(f"block schema {digest} was deleted meanwhile; repeat")
        return Made(block_schema(found), False)
    if nested:
        tx.many(
            "block_schema.refer",
            [{"parent": id, "reference": other, "name": name} for name, other in nested],
        )
    row = existing_schema(tx, id)
    record(tx, context, schema_change("created", row))
    return Made(block_schema(row), True)


def _nested(tx: Tx, body: BlockSchemaCreate) -> list[tuple[str, str]]:
    """Member and schema id of each nested block."""
    try:
        wanted = list(references(body.fields))
    except ReferenceInvalid as error:
        raise RequestInvalid(f"the block schema is invalid: {error}") from None
    if len(wanted) > NESTED_MAXIMUM:
        raise RequestInvalid(f"a block schema refers to at most {NESTED_MAXIMUM} others")
    found: list[tuple[str, str]] = []
    for name, slug, digest in wanted:
        row: Row | None = tx.one("block_schema.find_nested", slug=slug, checksum=digest)
        if row is None:
            raise ObjectConflict(
                f"member {name!r} needs block type {slug!r}, which does not exist; register "
                "that first"
            )
        if row["block_schema_id"] is None:
            raise ObjectConflict(
                f"member {name!r} needs schema {digest} of block type {slug!r}, which does not "
                "exist; register that type again"
            )
        found.append((name, row["block_schema_id"]))
    return found


def read_block_schema_by_id(tx: Tx, context: Context, id: str) -> BlockSchema:
    return block_schema(existing_schema(tx, id))


def read_block_schema_by_checksum(
    tx: Tx, context: Context, digest: str, *, version: str | None = None
) -> BlockSchema:
    """The schema of that version, or the newest one with that checksum."""
    if version is None:
        row = tx.one("block_schema.latest_by_checksum", checksum=digest)
    else:
        row = tx.one("block_schema.get_by_checksum", checksum=digest, version=version)
    if row is None:
        said = "" if version is None else f" in version {version!r}"
        raise ObjectMissing(f"no block schema has the checksum {digest}{said}; register it")
    return block_schema(row)


def read_block_schemas(
    tx: Tx, context: Context, *, body: BlockSchemasFilterPage | None = None
) -> list[BlockSchema]:
    """Schemas, newest first."""
    body = body or BlockSchemasFilterPage()
    limit = page_limit(context, body.limit)
    if not limit:
        return []
    sql, params = select(
        "block_schema",
        {"block_schema": body.block_schemas},
        sort="CREATED_DESC",
        limit=limit,
        offset=body.offset,
        dialect=tx.dialect,
    )
    return [block_schema(row) for row in tx.fetch(sql, params)]


def delete_block_schema(tx: Tx, context: Context, id: str) -> None:
    """Delete a schema. Refuses one of a protected type (403) and one that is in use (409)."""
    row = existing_schema(tx, id)
    if row["type_is_protected"]:
        raise Forbidden(
            f"block schema {id} belongs to the protected type {row['type_slug']!r} and cannot be "
            "deleted"
        )
    tx.one("block_type.lock", id=row["block_type_id"])
    refuse_users(tx.all("block_schema.users", id=id, limit=USERS_SHOWN + 1), f"block schema {id}")
    tx.run("block_schema.delete", id=id)
    record(tx, context, schema_change("deleted", row))


def read_available_block_capabilities(tx: Tx, context: Context) -> list[str]:
    """The capabilities that any schema has, in alphabetical order."""
    return [row["name"] for row in tx.all("block_schema.capabilities")]
