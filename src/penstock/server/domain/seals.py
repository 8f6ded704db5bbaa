"""Seals over the audit trail: what they say of its rows, and what was altered since.

A segment is a stretch of rows. Its seal is a keyed hash over the digests of the rows, where the
segment lies, and the seal before; so a row that is changed, taken out or put in afterwards, in
this segment or any before it, no longer fits. The digest of each row is kept too, which tells
the rows apart; and after the rows and their digests were deleted by retention, the hash of the
digests still lets the chain be followed.
"""

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from penstock.base import json

GENESIS = ""
"""The head before the first segment."""
_DIGEST_LENGTH = 32


class Segment(Struct, frozen=True, kw_only=True):
    """A sealed stretch of rows. Without `digests` its rows were deleted by retention."""

    number: int
    first_seq: int
    last_seq: int
    last_at: int
    rows: int
    root: str
    digests: str | None
    head: str
    key_id: str
    tombstone: str | None = None


class Finding(Struct, frozen=True):
    """One thing that does not fit; `seq` and `id` name the row where it is one."""

    found: str
    segment: int
    seq: int | None = None
    id: str | None = None


class SealedRow(Struct, frozen=True):
    """A row of the trail as the database has it; the first values are `seq`, `id` and `at`."""

    seq: int
    id: str
    at: Any
    digest: str


def row_of(values: Sequence[Any]) -> SealedRow:
    """The row with these values, in the order of its columns."""
    digest = hashlib.sha256(json.encode([_plain(value) for value in values])).hexdigest()
    return SealedRow(values[0], values[1], values[2], digest[:_DIGEST_LENGTH])


def _plain(value: Any) -> Any:
    # Other types than those of the columns come from outside; they only have to be told apart.
    if value is None or type(value) in (int, str):
        return value
    return [type(value).__name__, repr(value)]


def sealed(
    rows: Sequence[SealedRow], *, number: int, previous: str, key: bytes, key_id: str
) -> Segment:
    """The segment of these rows, which are some and ascending, behind the head `previous`."""
    digests = _digests(rows)
    segment = Segment(
        number=number,
        first_seq=rows[0].seq,
        last_seq=rows[-1].seq,
        last_at=rows[-1].at,
        rows=len(rows),
        root=_root(digests),
        digests=digests,
        head="",
        key_id=key_id,
    )
    return _with_head(segment, _head(segment, previous, key))


def tombstone(segment: Segment, key: bytes) -> str:
    """The mark that retention, and nobody else, deleted the rows of a segment."""
    return _mac(key, ["deleted", segment.number, segment.head])


def anchor(segment: Segment, key: bytes) -> str:
    """The mark that tells which segment was sealed last."""
    return _mac(key, ["last", segment.number, segment.head])


def examined(
    segment: Segment, rows: Sequence[SealedRow], *, previous: str, key: bytes
) -> Iterator[Finding]:
    """What does not fit in a segment whose key is at hand; `rows` are those there are now."""
    number = segment.number
    if not hmac.compare_digest(segment.head, _head(segment, previous, key)):
        yield Finding("seal", number)
    if segment.digests is None:
        if segment.tombstone is None or not hmac.compare_digest(
            segment.tombstone, tombstone(segment, key)
        ):
            yield Finding("seal", number)
        yield from (Finding("inserted", number, row.seq, row.id) for row in rows)
        return
    if _root(segment.digests) != segment.root:
        yield Finding("seal", number)
    expected = _expected(segment)
    for row in rows:
        digest = expected.pop(row.seq, None)
        if digest is None:
            yield Finding("inserted", number, row.seq, row.id)
        elif digest != row.digest:
            yield Finding("altered", number, row.seq, row.id)
    for seq in sorted(expected):
        yield Finding("missing", number, seq)


def _with_head(segment: Segment, head: str) -> Segment:
    return Segment(
        **{name: getattr(segment, name) for name in segment.__struct_fields__ if name != "head"},
        head=head,
    )


def _head(segment: Segment, previous: str, key: bytes) -> str:
    said = [
        previous,
        segment.number,
        segment.first_seq,
        segment.last_seq,
        segment.last_at,
        segment.rows,
        segment.root,
        segment.key_id,
    ]
    return _mac(key, said)


def _mac(key: bytes, said: Any) -> str:
    return hmac.digest(key, json.encode(said), "sha256").hex()


def _root(digests: str) -> str:
    return hashlib.sha256(digests.encode()).hexdigest()


def _digests(rows: Sequence[SealedRow]) -> str:
    """Rows as their distance from the first one and their digest."""
    first = rows[0].seq
    return ",".join(f"{row.seq - first:x}.{row.digest}" for row in rows)


def _expected(segment: Segment) -> dict[int, str]:
    found: dict[int, str] = {}
    for entry in (segment.digests or "").split(","):
        distance, _, digest = entry.partition(".")
        try:
            found[segment.first_seq + int(distance, 16)] = digest
        except ValueError:
            continue  # the seal does not fit either, which is reported
    return found
