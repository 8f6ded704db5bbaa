"""Operations on the server's own settings and tokens."""

import hmac
import secrets
from datetime import timedelta
from typing import Any

from msgspec import structs

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.admin import (
    CsrfToken,
    ServerDefaultResultStorage,
    ServerDefaultResultStorageUpdate,
)
from penstock.schemas.errors import RequestInvalid
from penstock.server.ops.block_rows import existing_document
from penstock.server.ops.changes import Change, record
from penstock.server.ops.context import Context
from penstock.server.store.transaction import Tx

_RESULT_STORAGE = "default_result_storage"
_WRITING = "write-path"


def read_server_default_result_storage(tx: Tx, context: Context) -> ServerDefaultResultStorage:
    """Which block document results go to when a flow names none; null when none is set."""
    row = tx.one("configuration.get", key=_RESULT_STORAGE)
    if row is None:
        return ServerDefaultResultStorage()
    return json.decode(row["value"], ServerDefaultResultStorage)


def update_server_default_result_storage(
    tx: Tx, context: Context, *, body: ServerDefaultResultStorageUpdate
) -> ServerDefaultResultStorage:
    """Refuses a block document that does not exist (404) or cannot be written to (422)."""
    id = str(body.default_result_storage_block_id)
    tx.one("block_document.lock", id=id)
    document = existing_document(tx, id)
    if _WRITING not in json.decode(document["schema_capabilities"]):
        raise RequestInvalid(
            f"block document {document['type_slug']}/{document['name']} cannot keep results: its "
            f"type does not have the capability {_WRITING!r}; choose a storage block"
        )
    before = read_server_default_result_storage(tx, context)
    after = ServerDefaultResultStorage(default_result_storage_block_id=id)  # type: ignore[arg-type]
    tx.run("configuration.put", key=_RESULT_STORAGE, value=json.text(after), now=tx.now)
    record(tx, context, _storage_change(before, after))
    return after


def clear_server_default_result_storage(tx: Tx, context: Context) -> None:
    before = read_server_default_result_storage(tx, context)
    tx.run("configuration.delete", key=_RESULT_STORAGE)
    record(tx, context, _storage_change(before, ServerDefaultResultStorage()))


def _storage_change(
    before: ServerDefaultResultStorage, after: ServerDefaultResultStorage
) -> Change:
    return Change(
        kind="configuration",
        action="updated",
        event="penstock.configuration.updated",
        id=_RESULT_STORAGE,
        name=_RESULT_STORAGE,
        before=structs.asdict(before),
        after=structs.asdict(after),
        payload=structs.asdict(after),
    )


def create_csrf_token(
    tx: Tx, context: Context, *, client: str, lifetime: timedelta = timedelta(hours=1)
) -> CsrfToken:
    """A new token for `client`, replacing the one it had. Tokens that expired are deleted."""
    tx.run("csrf_token.delete_expired", now=tx.now)
    row: dict[str, Any] | None = tx.one(
        "csrf_token.put",
        id=uuid7(),
        client=client,
        token=secrets.token_hex(32),
        expiration=tx.now + lifetime,
        now=tx.now,
    )
    assert row is not None, "an upsert that returns its row returned none"
    return CsrfToken(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        client=row["client"],
        token=row["token"],
        expiration=row["expiration"],
    )


def is_csrf_token(tx: Tx, client: str, token: str) -> bool:
    """Whether `token` is the unexpired token of `client`; compared in constant time."""
    row = tx.one("csrf_token.get", client=client)
    if row is None or row["expiration"] < tx.now:
        return False
    return hmac.compare_digest(row["token"].encode(), token.encode())
