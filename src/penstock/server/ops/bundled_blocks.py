"""The block types the server brings along, registered when it starts.

Registration is part of the installation and no change that anybody made: it emits nothing.
"""

import hashlib
from pathlib import Path
from typing import Any

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.server import collections
from penstock.server.domain.block_schemas import checksum
from penstock.server.store.transaction import Tx

_FILE = Path(collections.__file__).with_name("blocks.json")
_KEY = "bundled_block_types"


def is_installed(tx: Tx) -> bool:
    """Whether the bundled types of this version were registered before. Costs a statement."""
    row = tx.one("configuration.get", key=_KEY)
    return row is not None and row["value"] == _digest(_FILE.read_bytes())


def install(tx: Tx, *, force: bool = False) -> None:
    """Register the bundled types, once for each version of them unless forced.

    What clients changed of a type since stays until the next version, so that a client with
    texts of its own and the server do not overwrite each other at every start.
    """
    if not force and is_installed(tx):
        return
    content = _FILE.read_bytes()
    bundle: dict[str, Any] = json.decode(content)
    types = bundle["block_types"]
    tx.many("block_type.install", [_type_row(tx, one) for one in types])
    tx.many("block_schema.install", [_schema_row(tx, one, bundle["version"]) for one in types])
    tx.run("configuration.put", key=_KEY, value=_digest(content), now=tx.now)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _type_row(tx: Tx, type: dict[str, Any]) -> dict[str, Any]:
    names = ("name", "slug", "logo_url", "documentation_url", "description", "code_example")
    return {
        "id": uuid7(),
        **{name: type[name] for name in names},
        "is_protected": type["is_protected"],
        "now": tx.now,
    }


def _schema_row(tx: Tx, type: dict[str, Any], version: str) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "checksum": checksum(type["fields"]),
        "fields": type["fields"],
        "capabilities": type["capabilities"],
        "version": version,
        "slug": type["slug"],
        "now": tx.now,
    }
