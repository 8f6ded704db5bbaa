"""What the events and audit rows of block documents say: nothing of their secrets."""

from typing import Any, NamedTuple
from uuid import UUID

from penstock.server.domain.block_secrets import changed_at, public_texts, secret_paths
from penstock.server.domain.redaction import hidden
from penstock.server.ops.block_rows import plain, related
from penstock.server.ops.changes import Change
from penstock.server.ops.context import Context
from penstock.server.store.transaction import Row


class Version(NamedTuple):
    """A document at one time: its row with schema and type, its own data, what it refers to."""

    row: Row
    values: dict[str, Any]
    references: dict[str, str]


def document_change(
    action: str,
    context: Context,
    *,
    before: Version | None = None,
    after: Version | None = None,
    caused_by: UUID | None = None,
) -> Change:
    """The change of a document. Anonymous documents are part of something else: no event."""
    version = after or before
    assert version is not None, "a change has a document before or after it"
    row = version.row
    return Change(
        kind="block-document",
        action=action,
        id=row["id"],
        name=row["name"],
        before=None if before is None else _snapshot(before, context),
        after=None if after is None else _snapshot(after, context),
        payload={
            "name": row["name"],
            "data": public_texts(version.values, secret_paths(plain(row["schema_fields"]))),
            "block_schema": {
                "capabilities": row["schema_capabilities"],
                "block_type": {"id": row["block_type_id"], "name": row["type_name"]},
            },
        },
        related=[
            related("block-type", row["block_type_id"], row["type_name"]),
            related("block-schema", row["block_schema_id"]),
        ],
        caused_by=str(caused_by) if caused_by else None,
        silent=row["is_anonymous"],
    )


def _snapshot(version: Version, context: Context) -> dict[str, Any]:
    """The document for the audit trail, with fingerprints in place of its secrets."""
    row, values = version.row, version.values
    for path in secret_paths(plain(row["schema_fields"])):
        values = changed_at(values, path, lambda value: _fingerprint(value, context))
    references = {
        name: {"$ref": {"block_document_id": id}} for name, id in version.references.items()
    }
    return {
        "id": row["id"],
        "name": row["name"],
        "is_anonymous": row["is_anonymous"],
        "block_type_id": row["block_type_id"],
        "block_schema_id": row["block_schema_id"],
        "data": {**values, **references},
    }


class _Fingerprint(dict[str, Any]):
    """Stands for a secret; told apart from a secret that looks like one."""


def _fingerprint(value: Any, context: Context) -> Any:
    if isinstance(value, _Fingerprint):
        return value  # several paths lead here
    return _Fingerprint(hidden(value, context.fingerprint_key))
