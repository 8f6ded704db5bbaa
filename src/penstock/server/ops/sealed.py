"""The keys that block documents are encrypted with: configured ones, and the database's own."""

import base64
from typing import Any

from penstock.base import json
from penstock.server.ops.context import Context
from penstock.server.security.sealing import Keyring, as_text, new_key
from penstock.server.store.transaction import Row, Tx

_KEY = "encryption_key"


def keyring(tx: Tx, context: Context, *, sealing: bool = False) -> Keyring:
    """All keys there are. Costs a statement.

    A configured key seals. The database's own seals where none is configured, and is made when
    the first document is; it goes on opening what it sealed after a key was configured.
    """
    keys = list(context.encryption_keys)
    row = tx.one("configuration.get", key=_KEY)
    if row is None and sealing and not keys:
        tx.run("configuration.insert", key=_KEY, value=as_text(new_key()), now=tx.now)
        row = tx.one("configuration.get", key=_KEY)
    if row is not None:
        keys.append(base64.urlsafe_b64decode(row["value"]))
    return Keyring(keys)


def sealed(keys: Keyring, data: dict[str, Any], id: str) -> str:
    """The data of the block document `id` as its row keeps it."""
    return keys.seal(json.encode(data), id)


def opened(keys: Keyring, row: Row) -> dict[str, Any]:
    """The data in the row of a block document, without what it refers to."""
    return json.decode(keys.open(row["sealed_data"], row["id"]))
