"""Reading the event log as a live subscriber does: from a position, in order, page by page."""

from datetime import datetime

from msgspec import Raw, Struct

from penstock.base import json
from penstock.schemas.events import ReceivedEvent
from penstock.server.store.transaction import Row, Tx


class StreamedEvent(Struct, frozen=True):
    """One event with its position; documents stay JSON, because most of them are only passed on."""

    seq: int
    id: str
    occurred: datetime
    received: datetime
    event: str
    resource: Raw
    related: Raw
    payload: Raw
    follows: str | None

    def decoded(self) -> ReceivedEvent:
        """The event as a value, for matching."""
        return json.decode(json.encode(self), ReceivedEvent)


def start_position(
    tx: Tx, *, since: datetime | None, after: int | None, maximum: int
) -> int | None:
    """Where a new subscriber begins: after `after`, else at `since`, else behind everything.

    None when more than `maximum` events lie after `after`. A start by time is moved forward so
    that no more than `maximum` events remain.
    """
    last = _seq(tx.one("event.last"))
    if after is not None:
        return after if lag(tx, after, maximum + 1) <= maximum else None
    if since is None:
        return last
    first = tx.one("event_stream.since", since=since)
    position = first["seq"] if first is not None and first["seq"] is not None else last
    floor = tx.one("event_stream.newest", limit=maximum)
    return max(position, floor["seq"]) if floor is not None else position


def lag(tx: Tx, seq: int, limit: int) -> int:
    """How many events lie after `seq`, counted up to `limit`."""
    row = tx.one("event_stream.behind", seq=seq, limit=limit)
    return row["events"] if row is not None else 0


def page_after(tx: Tx, seq: int, limit: int) -> list[StreamedEvent]:
    """The next events after `seq`, below the horizon under which nothing can appear any more."""
    return [streamed(row) for row in tx.all("event.after", seq=seq, limit=limit)]


def streamed(row: Row) -> StreamedEvent:
    """A stored event with its documents as they are."""
    return StreamedEvent(
        seq=row["seq"],
        id=row["id"],
        occurred=row["occurred"],
        received=row["received"],
        event=row["event"],
        resource=row["resource"],
        related=row["related"],
        payload=row["payload"],
        follows=row["follows"],
    )


def _seq(row: Row | None) -> int:
    return row["seq"] if row is not None else 0
