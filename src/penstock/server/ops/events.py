"""Operations on events: taking them in, finding them, counting them."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import Raw, Struct

from penstock.base import json
from penstock.schemas.errors import BodyTooLarge, RequestInvalid
from penstock.schemas.events import (
    RESOURCE_ID,
    RESOURCE_NAME,
    Countable,
    Event,
    EventCount,
    EventFilter,
    EventPage,
    EventsCountBody,
    EventsFilterBody,
    Resource,
    TimeUnit,
)
from penstock.server.domain import buckets
from penstock.server.domain.event_rules import problem, too_large
from penstock.server.domain.redaction import shown
from penstock.server.ops import views
from penstock.server.ops.changes import ACTORS, CLAIMED
from penstock.server.ops.context import Context
from penstock.server.ops.page_tokens import open_token, sign
from penstock.server.ops.recorder import record
from penstock.server.store import aggregation
from penstock.server.store.columns import microseconds
from penstock.server.store.selection import count
from penstock.server.store.transaction import Row, Tx

MAXIMUM_PAGE = 50
LISTED = 4
"""Events from which on one statement over a list costs PostgreSQL less than one for each."""
_UNREADABLE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
"""What JSON can spell and a text of PostgreSQL cannot hold: it is kept spelled, but not read."""


def create_events(tx: Tx, context: Context, *, body: Sequence[Event]) -> None:
    """Store events from a client. One that is wrong refuses the whole batch (422).

    Events above the size limit are left out; a batch of nothing else is refused (413).
    """
    for event in body:
        reason = problem(event)
        if reason is not None:
            raise RequestInvalid(f"event {event.id} cannot be taken: {reason}")
    fitting = [event for event in body if not too_large(event)]
    if body and not fitting:
        ids = ", ".join(str(event.id) for event in body)
        raise BodyTooLarge(f"each event is above the size limit: {ids}; shorten their payloads")
    ingest(tx, context, fitting)


def ingest(tx: Tx, context: Context, events: Sequence[Event]) -> int:
    """Store checked events and what is recorded from them; returns how many were new.

    Repeating an event changes nothing. The caller's commit is the acknowledgement.
    """
    if not events:
        return 0
    new = _insert(tx, [_row(event, context) for event in events])
    record(tx, events)
    if new:
        tx.wake("events")
    return new


def _row(event: Event, context: Context) -> dict[str, Any]:
    resource = shown(event.resource, context.redact_keys)
    return {
        "id": event.id,
        "occurred": event.occurred,
        "event": event.event,
        "resource_id": resource[RESOURCE_ID],
        "resource": resource,
        "related": _related(event, context),
        "payload": shown(event.payload, context.redact_keys),
        "follows": event.follows,
    }


def _insert(tx: Tx, rows: list[dict[str, Any]]) -> int:
    received = tx.now
    if tx.dialect == "postgresql" and len(rows) >= LISTED:
        listed = json.encode([{**row, "occurred": microseconds(row["occurred"])} for row in rows])
        if not _UNREADABLE.search(listed):
            return tx.run("event.ingest_all", rows=Raw(listed), received=received)
    return tx.many("event.ingest", [{**row, "received": received} for row in rows])


def _related(event: Event, context: Context) -> list[Resource]:
    """The related resources without secrets. Who asked for a change is the server's to say, so an
    actor in an event of a client is marked as its claim."""
    related = shown(event.related, context.redact_keys)
    if any(one[RESOURCE_ID].startswith(ACTORS) for one in related):
        return [
            {**one, CLAIMED: "true"} if one[RESOURCE_ID].startswith(ACTORS) else one
            for one in related
        ]
    return related


class _Token(Struct, frozen=True):
    """Where a page of events ended, and what the list was."""

    filter: EventFilter
    limit: int
    total: int
    occurred: datetime
    id: UUID


def read_events(tx: Tx, context: Context, *, body: EventsFilterBody | None = None) -> EventPage:
    """The first page of the events that match, with the number of all of them."""
    body = body or EventsFilterBody()
    filter = body.filter or EventFilter()
    sql, params = count("event", {"event": filter}, dialect=tx.dialect)
    total = tx.fetch(sql, params)[0]["count"]
    return _page(tx, context, filter, limit=body.limit, total=total, after=None)


def read_account_events_page(tx: Tx, context: Context, *, page_token: str) -> EventPage:
    """The page after the one that gave `page_token`; refuses any other token (403)."""
    token = open_token(tx, page_token, _Token)
    return _page(
        tx,
        context,
        token.filter,
        limit=min(token.limit, MAXIMUM_PAGE),
        total=token.total,
        after=(token.occurred, str(token.id)),
    )


def _page(
    tx: Tx,
    context: Context,
    filter: EventFilter,
    *,
    limit: int,
    total: int,
    after: tuple[datetime, str] | None,
) -> EventPage:
    # One more than asked for tells whether there is another page.
    rows = aggregation.events_after(tx, filter, after, limit + 1) if limit else []
    shown = rows[:limit]
    next_page = None
    if len(rows) > limit > 0:
        last = shown[-1]
        token = sign(
            tx,
            _Token(
                filter=filter,
                limit=limit,
                total=total,
                occurred=last["occurred"],
                id=UUID(last["id"]),
            ),
        )
        next_page = f"{context.base_url}/events/filter/next?page-token={token}"
    return EventPage(events=[views.event(row) for row in shown], total=total, next_page=next_page)


def count_account_events(
    tx: Tx, context: Context, countable: Countable, *, body: EventsCountBody
) -> list[EventCount]:
    """How many of the events that match there are of each name or resource, or in each interval.

    Names and resources come most frequent first, intervals in order of time with the empty ones.
    `day` counts whole days, whatever unit and interval are given. More than 1000 intervals are
    refused (422).
    """
    if countable == Countable.EVENT:
        return _by_name(tx, body.filter)
    if countable == Countable.RESOURCE:
        return _by_resource(tx, body.filter)
    if countable == Countable.DAY:
        return _by_time(tx, body.filter, TimeUnit.DAY, 1.0)
    return _by_time(tx, body.filter, body.time_unit, body.time_interval)


def _by_name(tx: Tx, filter: EventFilter) -> list[EventCount]:
    rows = aggregation.event_names(tx, filter)
    counts = [_counted(row, row["event"], row["event"]) for row in rows]
    return sorted(counts, key=_most_frequent_first)


def _by_resource(tx: Tx, filter: EventFilter) -> list[EventCount]:
    rows = aggregation.event_resources(tx, filter)
    counts = [_counted(row, row["resource_id"], _label(row)) for row in rows]
    return sorted(counts, key=_most_frequent_first)


def _counted(row: Row, value: str, label: str) -> EventCount:
    return EventCount(
        value=value,
        label=label,
        count=row["events"],
        start_time=row["first_occurred"],
        end_time=row["last_occurred"],
    )


def _most_frequent_first(count: EventCount) -> tuple[int, str, str]:
    return -count.count, count.label, count.value


def _label(row: Row) -> str:
    labels: dict[str, Any] = json.decode(row["resource"])
    return labels.get(RESOURCE_NAME) or labels.get("prefect.name") or row["resource_id"]


def _by_time(tx: Tx, filter: EventFilter, unit: TimeUnit, interval: float) -> list[EventCount]:
    try:
        length = buckets.step(unit, interval)
        starts = buckets.starts(filter.occurred.since, filter.occurred.until, tx.now, unit, length)
    except buckets.TooMany as error:
        raise RequestInvalid(str(error)) from None
    if not starts:
        return []
    counts = aggregation.event_intervals(tx, filter, starts[0], length)
    return [
        EventCount(
            value=str(index),
            label=start.isoformat(),
            count=counts.get(index, 0),
            start_time=start,
            end_time=start + length - timedelta(microseconds=1),
        )
        for index, start in enumerate(starts)
    ]
