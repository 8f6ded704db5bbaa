"""Operations on variables."""

from typing import Any

from msgspec import UNSET

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.errors import ObjectConflict, ObjectMissing, RequestInvalid
from penstock.schemas.variables import (
    MAX_VARIABLE_VALUE_BYTES,
    Variable,
    VariableCreate,
    VariablesFilterBody,
    VariablesFilterPage,
    VariableUpdate,
)
from penstock.server.domain.redaction import hidden, names_secret
from penstock.server.ops.changes import Change, record
from penstock.server.ops.context import Context
from penstock.server.ops.paging import page_limit
from penstock.server.store.selection import count, select
from penstock.server.store.transaction import Row, Tx


def create_variable(tx: Tx, context: Context, *, body: VariableCreate) -> Variable:
    """A new variable. Refuses a taken name (409) and a value above 5000 bytes (422)."""
    if tx.one("variable.get_by_name", name=body.name) is not None:
        raise _taken(body.name)
    row = {
        "id": str(uuid7()),
        "name": body.name,
        "value": json.Raw(_document(body.value)),
        "tags": json.Raw(json.encode(body.tags)),
        "created": tx.now,
        "updated": tx.now,
    }
    tx.run(
        "variable.insert",
        id=row["id"],
        name=row["name"],
        value=row["value"],
        tags=row["tags"],
        now=tx.now,
    )
    record(tx, context, _change(context, "created", after=row))
    return _view(row)


def read_variable(tx: Tx, context: Context, id: str) -> Variable:
    return _view(_by_id(tx, id))


def read_variable_by_name(tx: Tx, context: Context, name: str) -> Variable:
    return _view(_by_name(tx, name))


def read_variables(
    tx: Tx, context: Context, *, body: VariablesFilterPage | None = None
) -> list[Variable]:
    body = body or VariablesFilterPage()
    limit = page_limit(context, body.limit)
    if not limit:
        return []
    sql, params = select(
        "variable",
        {"variable": body.variables},
        sort=body.sort,
        limit=limit,
        offset=body.offset,
        dialect=tx.dialect,
    )
    return [_view(_row(row)) for row in tx.fetch(sql, params)]


def count_variables(tx: Tx, context: Context, *, body: VariablesFilterBody | None = None) -> int:
    body = body or VariablesFilterBody()
    sql, params = count("variable", {"variable": body.variables}, dialect=tx.dialect)
    return tx.fetch(sql, params)[0]["count"]


def update_variable(tx: Tx, context: Context, id: str, *, body: VariableUpdate) -> None:
    """Set what is given. Equal values write nothing and emit nothing; a taken name is a 409."""
    _update(tx, context, _by_id(tx, id, lock=True), body)


def update_variable_by_name(tx: Tx, context: Context, name: str, *, body: VariableUpdate) -> None:
    """As `update_variable`."""
    _update(tx, context, _by_name(tx, name, lock=True), body)


def delete_variable(tx: Tx, context: Context, id: str) -> None:
    _delete(tx, context, _by_id(tx, id, lock=True))


def delete_variable_by_name(tx: Tx, context: Context, name: str) -> None:
    _delete(tx, context, _by_name(tx, name, lock=True))


def _update(tx: Tx, context: Context, before: Row, body: VariableUpdate) -> None:
    after = dict(before)
    if body.name is not UNSET and body.name is not None and body.name != before["name"]:
        if tx.one("variable.get_by_name", name=body.name) is not None:
            raise _taken(body.name)
        after["name"] = body.name
    if body.value is not UNSET:
        after["value"] = json.Raw(_document(body.value))
    if body.tags is not UNSET and body.tags is not None:
        after["tags"] = json.Raw(json.encode(body.tags))
    if record(tx, context, _change(context, "updated", before=before, after=after)) is None:
        return
    tx.run(
        "variable.update",
        id=after["id"],
        name=after["name"],
        value=after["value"],
        tags=after["tags"],
        now=tx.now,
    )


def _delete(tx: Tx, context: Context, row: Row) -> None:
    tx.run("variable.delete", id=row["id"])
    record(tx, context, _change(context, "deleted", before=row))


def _document(value: Any) -> bytes:
    """A value as stored. Refuses one that is too large."""
    document = json.encode(value)
    if len(document) > MAX_VARIABLE_VALUE_BYTES:
        raise RequestInvalid(
            f"the value is {len(document)} bytes as JSON and the limit is"
            f" {MAX_VARIABLE_VALUE_BYTES}; keep large values in a file or a block"
        )
    return document


def _taken(name: str) -> ObjectConflict:
    return ObjectConflict(f"a variable named {name!r} already exists; update it instead")


def _by_id(tx: Tx, id: str, *, lock: bool = False) -> Row:
    row = tx.one("variable.lock" if lock else "variable.get", id=id)
    if row is None:
        raise ObjectMissing(f"variable {id} does not exist; list variables to find its id")
    return _row(row)


def _by_name(tx: Tx, name: str, *, lock: bool = False) -> Row:
    row = tx.one("variable.lock_by_name" if lock else "variable.get_by_name", name=name)
    if row is None:
        raise ObjectMissing(f"no variable is named {name!r}; names are in lower case")
    return _row(row)


def _row(row: Row) -> Row:
    # `value` is JSON here and plain text in other tables, so the store leaves it as text.
    return {**row, "value": json.Raw(row["value"].encode())}


def _change(
    context: Context, action: str, *, before: Row | None = None, after: Row | None = None
) -> Change:
    row = after or before
    assert row is not None, "a change has a variable before or after it"
    secret = any(_is_secret(one) for one in (before, after) if one is not None)
    value = row["value"]
    if secret:
        value = hidden(json.decode(value), context.fingerprint_key)
    return Change(
        kind="variable",
        action=action,
        id=row["id"],
        name=row["name"],
        before=before,
        after=after,
        payload={"name": row["name"], "value": value, "tags": row["tags"]},
        secret=("value",) if secret else (),
    )


def _is_secret(row: Row) -> bool:
    """Whether the name or a tag says that the value is a secret."""
    return names_secret(row["name"]) or any(names_secret(tag) for tag in json.decode(row["tags"]))


def _view(row: Row) -> Variable:
    return Variable(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        value=row["value"],
        tags=row["tags"],
    )
