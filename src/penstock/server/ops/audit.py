"""Reading the audit trail: lists, single changes, the history of an object, what it was."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from penstock.base import json
from penstock.schemas.audit import (
    MAXIMUM_PAGE,
    AuditActor,
    AuditFilterBody,
    AuditObjectState,
    AuditPage,
    AuditRecord,
    AuditRequest,
)
from penstock.schemas.errors import ObjectMissing, RequestInvalid
from penstock.server.domain.audit_history import Recorded, value_after
from penstock.server.ops.context import Context
from penstock.server.store.selection.audit import select_audit
from penstock.server.store.transaction import Row, Tx

EXPORTED_AT_ONCE = 1_000


def read_audit(tx: Tx, context: Context, *, body: AuditFilterBody | None = None) -> AuditPage:
    """The changes that match, newest first unless asked otherwise."""
    body = body or AuditFilterBody()
    # One more than asked for tells whether there is another page.
    sql, params = select_audit(body, tx.dialect, body.limit + 1)
    return _page(tx.fetch(sql, params), body.limit)


def read_audit_record(tx: Tx, context: Context, id: str) -> AuditRecord:
    """One change, by the id of its event."""
    row = tx.one("audit.get", id=id)
    if row is None:
        raise ObjectMissing(
            f"there is no change {id} in the audit trail; `penstock audit ls` lists them"
        )
    return record_of(row)


def read_audit_history(
    tx: Tx,
    context: Context,
    kind: str,
    reference: str,
    *,
    after: int = -1,
    limit: int = MAXIMUM_PAGE,
) -> AuditPage:
    """Everything that happened to an object, oldest first, also when it is gone by now.

    `reference` is its id or any name it ever had. A name that several objects had one after the
    other gives the changes of all of them, told apart by `object_id`.
    """
    check_page(after, limit, MAXIMUM_PAGE)
    rows: list[Row] = []
    for id in _bearers(tx, kind, reference):
        rows += tx.all("audit.of_object", kind=kind, object_id=id, after=after, limit=limit + 1)
    return _page(sorted(rows, key=lambda row: row["seq"])[: limit + 1], limit)


def read_audit_state(
    tx: Tx, context: Context, kind: str, reference: str, *, time: datetime
) -> AuditObjectState:
    """The object as it was at `time`.

    A name means the object that was last seen under it up to then.
    """
    found: list[Row] = []
    for id in _bearers(tx, kind, reference):
        rows = tx.all("audit.of_object_until", kind=kind, object_id=id, until=time)
        if rows and (not found or rows[-1]["seq"] > found[-1]["seq"]):
            found = rows
    if not found:
        raise ObjectMissing(f"there was no {kind} {reference!r} at {time.isoformat()}")
    last = found[-1]
    return AuditObjectState(
        kind=kind,
        object_id=last["object_id"],
        object_name=last["object_name"],
        time=time,
        value=value_after(map(_recorded, found)),
        last_change=last["id"],
    )


class ExportPage(Struct, frozen=True):
    """Lines of an export; `after` continues it, None at its end."""

    lines: bytes
    after: int | None


def export_audit(
    tx: Tx, context: Context, *, after_seq: int = -1, limit: int | None = None
) -> ExportPage:
    """The changes behind `after_seq`, each a line of JSON, in order and without a gap.

    Changes whose neighbours may not be committed yet are left for the next export.
    """
    size = min(limit, EXPORTED_AT_ONCE) if limit is not None else EXPORTED_AT_ONCE
    check_page(after_seq, size, EXPORTED_AT_ONCE)
    rows = tx.all("audit.after", seq=after_seq, horizon=horizon_of(tx), limit=size)
    lines = b"".join(json.encode(record_of(row)) + b"\n" for row in rows)
    return ExportPage(lines, rows[-1]["seq"] if len(rows) == size else None)


def horizon_of(tx: Tx) -> int:
    """The place below which no row can appear any more."""
    row = tx.one("audit.horizon")
    return row["seq"] if row is not None and row["seq"] is not None else 0


def record_of(row: Row) -> AuditRecord:
    """A row as it is answered; for the encoder only, as all views are."""
    request = None
    if row["request_id"] is not None:
        request = AuditRequest(
            id=row["request_id"],
            route=row["request_route"],
            ip=row["request_ip"],
            user_agent=row["request_user_agent"],
        )
    return AuditRecord(
        seq=row["seq"],
        id=row["id"],
        at=row["at"],
        actor=AuditActor(
            type=row["actor_type"],
            id=row["actor_id"],
            name=row["actor_name"],
            auth=row["actor_auth"],
        ),
        action=row["action"],
        kind=row["kind"],
        object_id=row["object_id"],
        object_name=row["object_name"],
        request=request,
        before=row["before"],
        after=row["after"],
        changes=row["changes"],
        caused_by=row["caused_by"],
        claims=row["claims"],
    )


def _page(rows: Sequence[Row], limit: int) -> AuditPage:
    shown = rows[:limit]
    return AuditPage(
        records=[record_of(row) for row in shown],
        next=shown[-1]["seq"] if len(rows) > limit else None,
    )


def _bearers(tx: Tx, kind: str, reference: str) -> list[str]:
    """Ids of the objects that are meant. Raises `ObjectMissing` when there never was one."""
    if tx.one("audit.has_object", kind=kind, object_id=reference) is not None:
        return [reference]
    rows = tx.all("audit.bearers_of_name", kind=kind, name=reference)
    if not rows:
        raise ObjectMissing(
            f"the audit trail knows no {kind} {reference!r}; `penstock audit ls --kind {kind}` "
            "lists what it knows"
        )
    return [row["object_id"] for row in rows]


def _recorded(row: Row) -> Recorded:
    return Recorded(
        before=_plain(row["before"]),
        after=_plain(row["after"]),
        changes=_plain(row["changes"]) or [],
    )


def _plain(document: Any) -> Any:
    return None if document is None else json.decode(document)


def check_page(after: int, limit: int, maximum: int) -> None:
    """Raises `RequestInvalid` for bounds of a page that no page has."""
    if not 1 <= limit <= maximum:
        raise RequestInvalid(f"limit must be from 1 to {maximum}, not {limit}")
    if not -1 <= after < 2**63:
        raise RequestInvalid(f"there is no place {after} in the trail; use what a page gave")
