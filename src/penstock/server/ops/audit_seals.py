"""Sealing the audit trail, finding what was altered, and deleting what is old enough.

Sealing is done behind the writers, by one of the servers: a change itself costs nothing for it.
A configured encryption key seals; without one a key of the database's own, which keeps nobody
out who can write to the database and knows how seals are made.
"""

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from penstock.schemas.audit import AuditProblem, AuditVerification
from penstock.schemas.errors import ObjectMissing, ServiceUnavailable
from penstock.server.domain import seals
from penstock.server.domain.seals import Finding, SealedRow, Segment
from penstock.server.ops.audit import check_page, horizon_of
from penstock.server.ops.context import Context
from penstock.server.store.columns import microseconds
from penstock.server.store.transaction import Row, Tx

SEGMENT_ROWS = 1_000
SEGMENTS_AT_ONCE = 20
_OWN_KEY = "audit_seal_key"
_ANCHOR = "audit_seal_last"


class Keys(Struct, frozen=True):
    """The keys of the seals by id; `own` is the id of the one that the database holds."""

    known: dict[str, bytes]
    sealing: str
    own: str


def keys_of(tx: Tx, context: Context) -> Keys:
    """All keys there are. Costs a statement."""
    row = tx.one("configuration.get", key=_OWN_KEY)
    if row is None:
        raise ServiceUnavailable(
            "the database lacks the key of its audit seals; start the server once to migrate it"
        )
    own = hashlib.sha256(row["value"].encode()).digest()
    configured = [
        hmac.digest(key, b"penstock audit seal", "sha256") for key in context.encryption_keys
    ]
    known = {_key_id(key): key for key in (*configured, own)}
    return Keys(known, next(iter(known)), _key_id(own))


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"penstock audit key id" + key).hexdigest()[:8]


def next_segment(tx: Tx, context: Context, *, rows: int = SEGMENT_ROWS) -> Segment | None:
    """The segment that is to be sealed next, if there are rows for it. Reads only."""
    last = tx.one("audit_segment.last")
    found = tx.all(
        "audit.plain_after",
        seq=last["last_seq"] if last is not None else -1,
        horizon=horizon_of(tx),
        limit=rows,
    )
    if not found:
        return None
    keys = keys_of(tx, context)
    return seals.sealed(
        _rows(found),
        number=last["number"] + 1 if last is not None else 1,
        previous=last["head"] if last is not None else seals.GENESIS,
        key=keys.known[keys.sealing],
        key_id=keys.sealing,
    )


def seal(tx: Tx, context: Context, segment: Segment) -> bool:
    """Keep a segment, unless another server was quicker."""
    last = tx.one("audit_segment.last")
    if segment.number != (last["number"] + 1 if last is not None else 1):
        return False
    keys = keys_of(tx, context)
    tx.run(
        "audit_segment.insert",
        now=tx.now,
        **{
            name: getattr(segment, name)
            for name in segment.__struct_fields__
            if name != "tombstone"
        },
    )
    mark = seals.anchor(segment, keys.known[segment.key_id])
    tx.run("configuration.put", key=_ANCHOR, value=f"{segment.number}.{mark}", now=tx.now)
    return True


# --- verification --------------------------------------------------------------------------------


def verify_audit(
    tx: Tx, context: Context, *, after: int = 0, limit: int = SEGMENTS_AT_ONCE
) -> AuditVerification:
    """Compare the segments behind number `after` with the rows there are.

    Looks at up to `limit` segments, so that no request takes long; the caller continues at `next`.
    """
    check_page(after, limit, SEGMENTS_AT_ONCE)
    check = _Check(tx, context, after)
    for row in tx.all("audit_segment.after", number=after, limit=limit):
        check.segment(row)
    more = check.segments == limit and tx.all("audit_segment.after", number=check.number, limit=1)
    if not more:
        check.end()
    return AuditVerification(
        segment=check.number,
        head=check.head or None,
        segments=check.segments,
        rows=check.rows,
        deleted_rows=check.deleted_rows,
        database_key=check.database_key,
        unsealed_rows=None if more else check.unsealed(),
        problems=[_problem(finding) for finding in check.findings],
        next=check.number if more else None,
    )


class _Check:
    """One walk along the segments."""

    def __init__(self, tx: Tx, context: Context, after: int) -> None:
        self.tx = tx
        self.keys = keys_of(tx, context)
        self.number = after
        self.head = seals.GENESIS
        self.last_seq = -1
        self.configured = False
        self.kept = False
        self.segments = self.rows = self.deleted_rows = self.database_key = 0
        self.findings: list[Finding] = []
        if after:
            row = tx.one("audit_segment.get", number=after)
            if row is None:
                raise ObjectMissing(f"there is no sealed segment {after}; begin with 0")
            self.head, self.last_seq = row["head"], row["last_seq"]
            self.configured = row["key_id"] != self.keys.own
            self.kept = row["digests"] is not None

    def segment(self, row: Row) -> None:
        segment = _segment(row)
        if segment.number != self.number + 1:
            self.findings.append(Finding("missing_seal", self.number + 1))
        own = segment.key_id == self.keys.own
        if own and self.configured:
            self.findings.append(Finding("weaker_key", segment.number))
        key = self.keys.known.get(segment.key_id)
        if key is None:
            self.findings.append(Finding("unknown_key", segment.number))
        else:
            # From the end of the segment before, so that nothing hides between two.
            found = self.tx.all("audit.plain_between", after=self.last_seq, last=segment.last_seq)
            self.findings += seals.examined(segment, _rows(found), previous=self.head, key=key)
            self.rows += len(found)
        if segment.digests is None:
            self.deleted_rows += segment.rows
            if self.kept:
                # Retention goes from the oldest on and leaves no hole.
                self.findings.append(Finding("seal", segment.number))
        self.kept = segment.digests is not None
        self.configured = not own
        self.database_key += own
        self.segments += 1
        self.number, self.head, self.last_seq = segment.number, segment.head, segment.last_seq

    def end(self) -> None:
        """Whether the last segment is the one that was sealed last."""
        row = self.tx.one("configuration.get", key=_ANCHOR)
        last = self.tx.one("audit_segment.last")
        if row is None:
            if last is not None:
                self.findings.append(Finding("shortened", self.number))
            return
        segment = _segment(last) if last is not None else None
        key = self.keys.known.get(segment.key_id) if segment is not None else None
        if segment is not None and key is None:
            return  # reported as an unknown key
        number, _, mark = row["value"].partition(".")
        if (
            segment is None
            or key is None
            or number != str(segment.number)
            or not hmac.compare_digest(mark, seals.anchor(segment, key))
        ):
            self.findings.append(Finding("shortened", self.number))

    def unsealed(self) -> int:
        row = self.tx.one("audit.count_after", seq=self.last_seq)
        return row["count"] if row is not None else 0


_MESSAGES = {
    "altered": "row {seq} ({id}) was changed after it was sealed",
    "missing": "row {seq} was removed",
    "inserted": "row {seq} ({id}) was put in where segment {segment} knows none",
    "seal": "the seal of segment {segment} does not fit what it says or the seal before it",
    "missing_seal": "the seal of segment {segment} is gone",
    "unknown_key": "segment {segment} was sealed with a key this server does not have; add it to "
    "PENSTOCK_API_ENCRYPTION_KEY",
    "weaker_key": "segment {segment} was sealed with the database's own key although one was "
    "configured before",
    "shortened": "segment {segment} is not the one that was sealed last; newer ones are gone",
}


def _problem(finding: Finding) -> AuditProblem:
    message = _MESSAGES[finding.found].format(
        seq=finding.seq, id=finding.id, segment=finding.segment
    )
    return AuditProblem(
        found=finding.found,
        segment=finding.segment,
        message=message,
        seq=finding.seq,
        id=finding.id,
    )


# --- retention -----------------------------------------------------------------------------------


def delete_expired_segment(tx: Tx, context: Context, before: datetime) -> int:
    """Delete the rows of the oldest segment that has some, when all of them are older; how many.

    Its seal stays, marked, so that the chain can still be followed.
    """
    row = tx.one("audit_segment.oldest_kept")
    if row is None or row["last_at"] >= before:
        return 0
    segment = _segment(row)
    keys = keys_of(tx, context)
    key = keys.known.get(segment.key_id)
    if key is None:
        # Without its key nobody could tell that retention did it.
        return 0
    tx.run("audit_segment.forget", number=segment.number, tombstone=seals.tombstone(segment, key))
    return tx.run("audit.delete_between", first=segment.first_seq, last=segment.last_seq)


def delete_expired_rows(tx: Tx, context: Context, before: datetime, limit: int) -> int:
    """Delete up to `limit` older rows that no segment holds: of a trail that is not sealed."""
    last = tx.one("audit_segment.last")
    return tx.run(
        "audit.delete_older",
        seq=last["last_seq"] if last is not None else -1,
        before=before,
        limit=limit,
    )


def _rows(found: Iterable[Row]) -> list[SealedRow]:
    return [seals.row_of(list(row.values())) for row in found]


def _segment(row: Row) -> Segment:
    fields = Segment.__struct_fields__
    values = {name: row[name] for name in fields if name != "last_at"}
    return Segment(last_at=microseconds(row["last_at"]), **values)
