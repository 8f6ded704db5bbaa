"""Block documents with what they refer to, put together for answers.

One statement reads each level of references. A document is put together once, however many refer
to it; but what is answered repeats it everywhere, so its size is bounded.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from penstock.schemas.blocks import BlockDocument
from penstock.schemas.errors import Refusal
from penstock.server.domain.block_secrets import Paths, masked, secret_paths
from penstock.server.ops.block_rows import plain, schema_of, type_of
from penstock.server.ops.context import Context
from penstock.server.ops.sealed import keyring, opened
from penstock.server.security.sealing import Keyring
from penstock.server.store.transaction import Row, Tx

DEPTH_MAXIMUM = 50
SIZE_MAXIMUM = 10_000
"""Documents in one answered document, each counted as often as it appears."""

Links = dict[str, list[Row]]
"""By a document's id, the rows it refers to, with `reference_name`."""


class Whole(NamedTuple):
    """One document put together."""

    data: dict[str, Any]
    references: dict[str, dict[str, Any]]
    depth: int
    size: int


def links_below(tx: Tx, ids: Sequence[str]) -> Links:
    """All references that start at some documents, directly or not.

    Refuses (400) what is nested deeper than the limit.
    """
    links: Links = defaultdict(list)
    seen = set(ids)
    level = list(ids)
    depth = 0
    while level:
        rows = tx.all("block_document.references", ids=level)
        for row in rows:
            links[row["parent_id"]].append(row)
        level = [id for id in {row["id"]: None for row in rows} if id not in seen]
        seen.update(level)
        depth += 1
        if level and depth > DEPTH_MAXIMUM:
            raise Refusal(
                f"block documents are nested deeper than {DEPTH_MAXIMUM} levels; flatten them"
            )
    return links


class Assembly:
    """Puts documents together from their rows and links, with or without secrets."""

    def __init__(self, links: Links, keys: Keyring, *, include_secrets: bool) -> None:
        self._links = links
        self._keys = keys
        self._include_secrets = include_secrets
        self._made: dict[str, Whole] = {}
        self._paths: dict[str, Paths] = {}
        self._open: set[str] = set()

    def whole(self, row: Row) -> Whole:
        id = row["id"]
        if id not in self._made:
            if id in self._open:
                raise Refusal(f"block document {id} refers to itself through others; change one")
            self._open.add(id)
            self._made[id] = self._put_together(row)
            self._open.discard(id)
        return self._made[id]

    def _put_together(self, row: Row) -> Whole:
        data = opened(self._keys, row)
        references: dict[str, dict[str, Any]] = {}
        depth, size = 0, 1
        for child in self._links.get(row["id"], ()):
            inner = self.whole(child)
            data[child["reference_name"]] = inner.data
            references[child["reference_name"]] = {"block_document": _summary(child, inner)}
            depth = max(depth, inner.depth + 1)
            size += inner.size
        if depth > DEPTH_MAXIMUM or size > SIZE_MAXIMUM:
            raise Refusal(
                f"block document {row['id']} holds {size} others, {depth} levels deep; at most "
                f"{SIZE_MAXIMUM} and {DEPTH_MAXIMUM} can be put together"
            )
        if not self._include_secrets:
            data = masked(data, self.paths(row))
        return Whole(data, references, depth, size)

    def paths(self, row: Row) -> Paths:
        schema = row["block_schema_id"]
        if schema not in self._paths:
            self._paths[schema] = secret_paths(plain(row["schema_fields"]))
        return self._paths[schema]


def _summary(row: Row, whole: Whole) -> dict[str, Any]:
    return {
        "id": row["id"],
        "name": row["name"],
        "block_type": type_of(row, row["block_type_id"]),
        "is_anonymous": row["is_anonymous"],
        "block_document_references": whole.references,
    }


def block_documents(
    tx: Tx, context: Context, rows: Sequence[Row], *, include_secrets: bool
) -> list[BlockDocument]:
    """The documents in some rows. Costs a statement, and one for each level of references."""
    if not rows:
        return []
    links = links_below(tx, [row["id"] for row in rows])
    assembly = Assembly(links, keyring(tx, context), include_secrets=include_secrets)
    return [_answer(row, assembly.whole(row)) for row in rows]


def _answer(row: Row, whole: Whole) -> BlockDocument:
    type = type_of(row, row["block_type_id"])
    return BlockDocument(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        data=whole.data,
        block_schema_id=row["block_schema_id"],
        block_schema=schema_of(row, type),
        block_type_id=row["block_type_id"],
        block_type_name=row["type_name"],
        block_type=type,
        block_document_references=whole.references,
        is_anonymous=row["is_anonymous"],
    )
