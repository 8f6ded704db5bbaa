"""Statements over the events that a filter finds."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct

from penstock.schemas.events import EventFilter, EventOrder
from penstock.server.store.selection.conditions import TRUE, Part, joined, where_clause
from penstock.server.store.selection.events import (
    event_conditions,
    leading_conditions,
    leading_resource,
    only_leads,
)
from penstock.server.store.transaction import Dialect

# The order of a cross join is the order of reading for SQLite.
_LED = "event_resource AS found CROSS JOIN event"


def select_events(
    given: Struct | None,
    sort: StrEnum | str | None,
    after: tuple[datetime, str] | None,
    dialect: Dialect,
) -> tuple[str, list[Any]]:
    """The matching events in the order of `sort`, or of the filter, behind the event `after`."""
    source, where, time = _rows(given, dialect)
    descending = _order(given, sort) != EventOrder.ASC
    if after is not None:
        behind = "<" if descending else ">"
        # The first bound says nothing new, but is one that an index can use.
        key = f"{time} {behind}= ? AND ({time}, event.id) {behind} (?, ?)"
        where = joined([where, Part(key, (after[0], *after))])
    return f"SELECT event.* FROM {source}{where_clause(where)} ORDER BY {time} " + (
        "DESC, event.id DESC" if descending else "ASC, event.id ASC"
    ), list(where.params)


def count_events(given: Struct | None, dialect: Dialect) -> tuple[str, list[Any]]:
    """How many events match; with `distinct`, how many resources they are about."""
    if isinstance(given, EventFilter) and only_leads(given):
        source, where = "event_resource AS found", leading_conditions(given)
    else:
        source, where, _ = _rows(given, dialect)
    return f"SELECT count(*) AS count FROM {source}{where_clause(where)}", list(where.params)


def matching_events(given: Struct | None, dialect: Dialect) -> tuple[str, list[Any]]:
    """The matching events in no order, as rows to aggregate over."""
    source, where, _ = _rows(given, dialect)
    return f"SELECT event.* FROM {source}{where_clause(where)}", list(where.params)


def _rows(given: Struct | None, dialect: Dialect) -> tuple[str, Part, str]:
    """Where to read the events of a filter, on what conditions, and which column tells when."""
    if not isinstance(given, EventFilter):
        return "event", TRUE, "event.occurred"
    led = leading_resource(given) is not None
    source, time = (_LED, "found.occurred") if led else ("event", "event.occurred")
    where = event_conditions(given, dialect)
    if given.resource is None or not given.resource.distinct:
        return source, where, time
    direction = "ASC" if given.order == EventOrder.ASC else "DESC"
    # One event for each resource: the first in the order of the filter.
    ranked = (
        "SELECT event.seq, row_number() OVER (PARTITION BY event.resource_id"
        f" ORDER BY event.occurred {direction}, event.id {direction}) AS place"
        f" FROM {source}{where_clause(where)}"
    )
    condition = f"event.seq IN (SELECT ranked.seq FROM ({ranked}) AS ranked WHERE place = 1)"
    return "event", Part(condition, where.params), "event.occurred"


def _order(given: Struct | None, sort: StrEnum | str | None) -> StrEnum | str:
    return sort or (given.order if isinstance(given, EventFilter) else EventOrder.DESC)
