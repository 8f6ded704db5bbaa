"""Operations on block documents.

What a document refers to is kept beside its data, so that deleting and nesting can be checked
without decrypting anything.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import UNSET, convert

from penstock.base.ids import uuid7
from penstock.schemas.blocks import (
    BlockDocument,
    BlockDocumentCreate,
    BlockDocumentFilter,
    BlockDocumentsFilterBody,
    BlockDocumentsFilterPage,
    BlockDocumentSort,
    BlockDocumentUpdate,
)
from penstock.schemas.errors import ObjectConflict, ObjectMissing, Refusal, RequestInvalid
from penstock.server.domain.block_secrets import masked, secret_paths, unmasked
from penstock.server.ops.block_changes import Version, document_change
from penstock.server.ops.block_rows import (
    USERS_SHOWN,
    existing_document,
    existing_schema,
    existing_type,
    plain,
    refuse_users,
)
from penstock.server.ops.block_trees import Assembly, block_documents, links_below
from penstock.server.ops.changes import record
from penstock.server.ops.context import Context
from penstock.server.ops.deletion import CASCADE_BATCH
from penstock.server.ops.paging import page_limit
from penstock.server.ops.sealed import keyring, opened, sealed
from penstock.server.store.selection import count, select
from penstock.server.store.transaction import Row, Tx


class Parts(NamedTuple):
    """The data of a request, taken apart."""

    values: dict[str, Any]
    references: dict[str, str]
    """By member, the id of the document it refers to."""


def taken_apart(data: Mapping[str, Any]) -> Parts:
    """Refuses (400) a reference without a document's id."""
    values: dict[str, Any] = {}
    references: dict[str, str] = {}
    for name, value in data.items():
        if isinstance(value, dict) and "$ref" in value:
            references[name] = _target(name, value["$ref"])
        else:
            values[name] = value
    return Parts(values, references)


def _target(name: str, reference: Any) -> str:
    id = reference.get("block_document_id") if isinstance(reference, dict) else None
    try:
        return str(UUID(id))
    except (ValueError, TypeError, AttributeError):
        raise Refusal(
            f"member {name!r} refers to no block document; write "
            '{"$ref": {"block_document_id": "<id>"}}'
        ) from None


def create_block_document(tx: Tx, context: Context, *, body: BlockDocumentCreate) -> BlockDocument:
    """A new document; without a name only when it is anonymous.

    Refuses an unknown type, schema or referenced document (404), a schema of another type (400)
    and a name that is taken (409).
    """
    type_id, schema_id = str(body.block_type_id), str(body.block_schema_id)
    schema = existing_schema(tx, schema_id)
    if schema["block_type_id"] != type_id:
        existing_type(tx, type_id)
        raise _foreign_schema(schema, type_id)
    name = body.name
    if name is None:
        if not body.is_anonymous:
            raise RequestInvalid("a block document needs a name unless it is anonymous")
        name = f"anonymous-{uuid7()}"
    parts = taken_apart(body.data)
    id = str(uuid7())
    keys = keyring(tx, context, sealing=True)
    made = tx.run(
        "block_document.insert",
        id=id,
        name=name,
        sealed_data=sealed(keys, parts.values, id),
        is_anonymous=body.is_anonymous,
        block_type_id=type_id,
        block_schema_id=schema_id,
        now=tx.now,
    )
    if not made:
        raise ObjectConflict(
            f"block document {schema['type_slug']}/{name} exists already; update it, or choose "
            "another name"
        )
    _refer(tx, id, parts.references)
    row = existing_document(tx, id)
    answer = block_documents(tx, context, [row], include_secrets=False)[0]
    record(tx, context, document_change("created", context, after=Version(row, *parts)))
    return answer


def _foreign_schema(schema: Row, type_id: str) -> Refusal:
    return Refusal(
        f"block schema {schema['id']} belongs to block type {schema['type_slug']!r} and not to "
        f"{type_id}; name a schema of the document's own type"
    )


def _refer(tx: Tx, id: str, references: Mapping[str, str]) -> None:
    """Keep what a document refers to. Refuses (404) documents that do not exist."""
    for name, target in references.items():
        existing_document(tx, target)
        tx.run("block_document.refer", parent=id, reference=target, name=name)


def read_block_document_by_id(
    tx: Tx, context: Context, id: str, *, include_secrets: bool = False
) -> BlockDocument:
    rows = [existing_document(tx, id)]
    return block_documents(tx, context, rows, include_secrets=include_secrets)[0]


def read_block_document_by_name_for_block_type(
    tx: Tx, context: Context, slug: str, name: str, *, include_secrets: bool = False
) -> BlockDocument:
    row = tx.one("block_document.get_by_name", slug=slug, name=name)
    if row is None:
        raise ObjectMissing(f"block document {slug}/{name} does not exist; save it first")
    return block_documents(tx, context, [row], include_secrets=include_secrets)[0]


def read_block_documents(
    tx: Tx, context: Context, *, body: BlockDocumentsFilterPage | None = None
) -> list[BlockDocument]:
    body = body or BlockDocumentsFilterPage()
    limit = page_limit(context, body.limit)
    if not limit:
        return []
    sql, params = select(
        "block_document",
        _filters(body),
        sort=body.sort or BlockDocumentSort.NAME_ASC,
        limit=limit,
        offset=body.offset,
        dialect=tx.dialect,
    )
    rows = tx.fetch(sql, params)
    return block_documents(tx, context, rows, include_secrets=body.include_secrets)


def read_block_documents_for_block_type(
    tx: Tx, context: Context, slug: str, *, include_secrets: bool = False
) -> list[BlockDocument]:
    """The type's documents by name, the anonymous ones not; at most a page of them."""
    row = tx.one("block_type.get_by_slug", slug=slug)
    if row is None:
        raise ObjectMissing(f"block type {slug!r} does not exist; register it first")
    filter = {"block_documents": {"block_type_id": {"any_": [row["id"]]}}}
    body = convert({**filter, "include_secrets": include_secrets}, BlockDocumentsFilterPage)
    return read_block_documents(tx, context, body=body)


def count_block_documents(
    tx: Tx, context: Context, *, body: BlockDocumentsFilterBody | None = None
) -> int:
    filters = _filters(body or BlockDocumentsFilterBody())
    sql, params = count("block_document", filters, dialect=tx.dialect)
    return tx.fetch(sql, params)[0]["count"]


def _filters(body: BlockDocumentsFilterBody) -> dict[str, Any]:
    return {
        "block_document": body.block_documents or BlockDocumentFilter(),
        "block_type": body.block_types,
        "block_schema": body.block_schemas,
    }


def update_block_document_data(
    tx: Tx, context: Context, id: str, *, body: BlockDocumentUpdate
) -> None:
    """Change the data, the schema, or both. Equal values write nothing and emit nothing.

    Secrets that come back masked keep their values, and so does a member that comes back as the
    data of the document it refers to. Refuses (400) a schema of another type, a cycle of
    references and nesting that is too deep.
    """
    tx.one("block_document.lock", id=id)
    row = existing_document(tx, id)
    keys = keyring(tx, context, sealing=True)
    links = links_below(tx, [id])
    before = Version(
        row, opened(keys, row), {link["reference_name"]: link["id"] for link in links[id]}
    )
    after = _moved(tx, before, body)
    if body.data is not UNSET:
        old = _with_references(before, Assembly(links, keys, include_secrets=True), links[id])
        new = taken_apart(_as_meant(body.data, before, old, links[id]))
        values = unmasked(new.values, old, secret_paths(plain(after.row["schema_fields"])))
        after = after._replace(values=values, references=new.references)
        if body.merge_existing_data is UNSET or body.merge_existing_data:
            after = _merged(before, after)
    if (after.values, after.references) == (before.values, before.references) and (
        after.row["block_schema_id"] == row["block_schema_id"]
    ):
        return
    tx.run(
        "block_document.update",
        id=id,
        sealed_data=sealed(keys, after.values, id),
        block_schema_id=after.row["block_schema_id"],
        now=tx.now,
    )
    if after.references != before.references:
        _refer_anew(tx, id, row, after.references, keys)
    record(tx, context, document_change("updated", context, before=before, after=after))


def _moved(tx: Tx, version: Version, body: BlockDocumentUpdate) -> Version:
    """The document under the schema that a request names, if it names one."""
    if body.block_schema_id is UNSET or body.block_schema_id is None:
        return version
    schema = existing_schema(tx, str(body.block_schema_id))
    row = version.row
    if schema["block_type_id"] != row["block_type_id"]:
        raise _foreign_schema(schema, row["block_type_id"])
    changed = {
        "block_schema_id": schema["id"],
        "schema_fields": schema["fields"],
        "schema_capabilities": schema["capabilities"],
    }
    return version._replace(row=row | changed)


def _with_references(version: Version, assembly: Assembly, links: list[Row]) -> dict[str, Any]:
    """The data with what it refers to in place, secrets and all."""
    inner = {link["reference_name"]: assembly.whole(link).data for link in links}
    return {**version.values, **inner}


def _as_meant(
    data: Mapping[str, Any], before: Version, old: Mapping[str, Any], links: list[Row]
) -> dict[str, Any]:
    """`data` with references again where it repeats what a document refers to."""
    meant = dict(data)
    for link in links:
        name = link["reference_name"]
        if name in meant and isinstance(meant[name], dict) and "$ref" not in meant[name]:
            paths = secret_paths(plain(before.row["schema_fields"]))
            inner = tuple(path[1:] for path in paths if path[0] in ("*", name) and path[1:])
            inner += secret_paths(plain(link["schema_fields"]))
            same = meant[name] in (old[name], masked(old[name], inner))
            if same:
                meant[name] = {"$ref": {"block_document_id": link["id"]}}
            else:
                meant[name] = unmasked(meant[name], old[name], inner)
    return meant


def _merged(before: Version, after: Version) -> Version:
    """What `after` says, and of the rest what was there before."""
    named = after.values.keys() | after.references.keys()
    values = {name: value for name, value in before.values.items() if name not in named}
    references = {name: to for name, to in before.references.items() if name not in named}
    return after._replace(
        values={**values, **after.values}, references={**references, **after.references}
    )


def _refer_anew(tx: Tx, id: str, row: Row, references: Mapping[str, str], keys: Any) -> None:
    """Replace what a document refers to. Refuses (400) a cycle and nesting that is too deep."""
    if id in references.values():
        raise Refusal(f"block document {id} cannot refer to itself")
    tx.one("block_document.lock_references")
    tx.run("block_document.drop_references", id=id)
    _refer(tx, id, references)
    if references:
        links = links_below(tx, [id])
        # Going through all of it refuses cycles and what is too deep or too large.
        Assembly(links, keys, include_secrets=True).whole(row)


def delete_block_document(tx: Tx, context: Context, id: str) -> None:
    """Delete a document. Refuses (409) one that others refer to, naming them."""
    row = existing_document(tx, id)
    tx.one("block_document.lock", id=id)
    users = tx.all("block_document.users", id=id, type_id="", limit=USERS_SHOWN + 1)
    refuse_users(users, f"block document {row['type_slug']}/{row['name']}")
    links = tx.all("block_document.references", ids=[id])
    _delete(tx, context, row, links)


def delete_documents_of_type(tx: Tx, context: Context, type_id: str, *, caused_by: UUID) -> None:
    """Delete all documents of a type, which nobody outside of the type refers to."""
    while rows := tx.all("block_type.some_documents", id=type_id, limit=CASCADE_BATCH):
        links: dict[str, list[Row]] = {row["id"]: [] for row in rows}
        for link in tx.all("block_document.references", ids=list(links)):
            links[link["parent_id"]].append(link)
        tx.run("block_type.drop_references", id=type_id)
        for row in rows:
            _delete(tx, context, row, links[row["id"]], caused_by=caused_by)


def _delete(
    tx: Tx, context: Context, row: Row, links: list[Row], caused_by: UUID | None = None
) -> None:
    values = opened(keyring(tx, context), row)
    version = Version(row, values, {link["reference_name"]: link["id"] for link in links})
    tx.run("block_document.drop_references", id=row["id"])
    tx.run("block_document.delete", id=row["id"])
    record(tx, context, document_change("deleted", context, before=version, caused_by=caused_by))
