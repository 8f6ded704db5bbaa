"""Operations on the server's own settings and tokens."""

import hmac
import secrets
from datetime import timedelta
from typing import Any

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.admin import (
    CsrfToken,
    ServerDefaultResultStorage,
    ServerDefaultResultStorageUpdate,
)
from penstock.schemas.errors import ObjectMissing
from penstock.server.ops.context import Context
from penstock.server.store.transaction import Tx

_RESULT_STORAGE = "default_result_storage"


def read_server_default_result_storage(tx: Tx, context: Context) -> ServerDefaultResultStorage:
    """Which block document results go to when a flow names none; null when none is set."""
    row = tx.one("configuration.get", key=_RESULT_STORAGE)
    if row is None:
        return ServerDefaultResultStorage()
    return json.decode(row["value"], ServerDefaultResultStorage)


def update_server_default_result_storage(
    tx: Tx, context: Context, *, body: ServerDefaultResultStorageUpdate
) -> ServerDefaultResultStorage:
    """Refuses (404) a block document that does not exist."""
    # The schema has no block documents yet, so every id is the id of one that does not exist.
    raise ObjectMissing(
        f"block document {body.default_result_storage_block_id} does not exist; "
        "save the storage block first"
    )


def clear_server_default_result_storage(tx: Tx, context: Context) -> None:
    tx.run("configuration.delete", key=_RESULT_STORAGE)


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
