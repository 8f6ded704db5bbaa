"""Whole statements: the rows of one kind that match, in an order, or how many there are."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from penstock.schemas.events import EventFilter, EventOrder
from penstock.server.store.selection.conditions import TRUE, Part
from penstock.server.store.selection.events import event_conditions
from penstock.server.store.selection.runs import (
    Filters,
    flow_conditions,
    flow_run_conditions,
    log_conditions,
    task_run_conditions,
)
from penstock.server.store.transaction import Dialect

_CONDITIONS = {
    "flow": flow_conditions,
    "flow_run": flow_run_conditions,
    "task_run": task_run_conditions,
    "log": log_conditions,
}

_WITH_STATE = (
    "SELECT {run}.*, state.message AS state_message, state.state_details AS state_state_details,"
    " state.data AS state_data"
    " FROM {run} LEFT JOIN {run}_state AS state ON state.id = {run}.state_id"
)

_SOURCES = {
    "flow": "SELECT flow.* FROM flow",
    "flow_run": _WITH_STATE.format(run="flow_run"),
    "task_run": _WITH_STATE.format(run="task_run"),
    "log": "SELECT log.* FROM log",
    "event": "SELECT event.* FROM event",
}

_COLUMNS = {
    "CREATED": "created",
    "UPDATED": "updated",
    "NAME": "name",
    "ID": "id",
    "EXPECTED_START_TIME": "expected_start_time",
    "NEXT_SCHEDULED_START_TIME": "next_scheduled_start_time",
    "END_TIME": "end_time",
    "TIMESTAMP": "timestamp",
}


def select(
    entity: str,
    filters: Mapping[str, Struct | None],
    *,
    sort: StrEnum | str | None = None,
    limit: int | None = None,
    offset: int = 0,
    dialect: Dialect,
) -> tuple[str, list[Any]]:
    """A statement for `tx.fetch`: rows of `entity` that match all filters.

    `filters` maps an entity to its filter; one that is None asks for nothing. Rows hold the
    columns of the table; a run has its state's `state_message`, `state_state_details` and
    `state_data` too. Without `sort` rows come by id, events as their filter says.
    """
    sql, params = _matching(entity, filters, _SOURCES[entity], dialect)
    sql += f" ORDER BY {_order(entity, filters, sort, dialect)}"
    if limit is not None or (offset and dialect == "sqlite"):
        sql += " LIMIT ?"
        params.append(-1 if limit is None else limit)
    if offset:
        sql += " OFFSET ?"
        params.append(offset)
    return sql, params


def count(
    entity: str, filters: Mapping[str, Struct | None], *, dialect: Dialect
) -> tuple[str, list[Any]]:
    """A statement for `tx.fetch` with one row, whose `count` is how many rows match."""
    given = filters.get("event")
    what = "*"
    if _distinct(given):
        what = "DISTINCT event.resource_id"
    where = _conditions(entity, filters, dialect)
    sql = f"SELECT count({what}) AS count FROM {entity}"
    return sql + (f" WHERE {where.sql}" if where.sql else ""), list(where.params)


def matching(
    entity: str, filters: Mapping[str, Struct | None], *, dialect: Dialect
) -> tuple[str, list[Any]]:
    """A statement to aggregate over: the table's columns of the rows that match, in no order."""
    source = f"SELECT {entity}.* FROM {entity}"
    return _matching(entity, filters, source, dialect)


def _conditions(entity: str, filters: Filters, dialect: Dialect) -> Part:
    given = {name: filter for name, filter in filters.items() if filter is not None}
    if entity != "event":
        return _CONDITIONS[entity](given, dialect)
    events = given.get("event")
    return event_conditions(events, dialect) if isinstance(events, EventFilter) else TRUE


def _matching(
    entity: str, filters: Filters, source: str, dialect: Dialect
) -> tuple[str, list[Any]]:
    where = _conditions(entity, filters, dialect)
    condition = f" WHERE {where.sql}" if where.sql else ""
    params = list(where.params)
    if entity == "event" and _distinct(given := filters.get("event")):
        order = _event_order(given)
        # One event for each resource: the first in the order asked for.
        sql = (
            "SELECT event.* FROM event JOIN (SELECT event.seq, row_number() OVER"
            f" (PARTITION BY event.resource_id ORDER BY {order}) AS place FROM event{condition})"
            " AS ranked ON ranked.seq = event.seq AND ranked.place = 1"
        )
        return sql, params
    return source + condition, params


def _distinct(given: Struct | None) -> bool:
    return isinstance(given, EventFilter) and bool(given.resource and given.resource.distinct)


def _event_order(given: Struct | None, sort: StrEnum | str | None = None) -> str:
    order = sort or (given.order if isinstance(given, EventFilter) else EventOrder.DESC)
    direction = "ASC" if order == EventOrder.ASC else "DESC"
    return f"event.occurred {direction}, event.id {direction}"


def _order(entity: str, filters: Filters, sort: StrEnum | str | None, dialect: Dialect) -> str:
    """ORDER BY of a sort like `END_TIME_DESC`; the id decides between equal rows.

    Null counts as the smallest value, as SQLite has it and our indexes on PostgreSQL do; only
    the next scheduled time, which is read to see what comes next, puts it last.
    """
    if entity == "event":
        return _event_order(filters.get("event"), sort)
    name, _, direction = (sort or "ID_ASC").rpartition("_")
    if name == "ID":
        return f"{entity}.id {direction}"
    if name == "START_TIME":
        column = f"coalesce({entity}.start_time, {entity}.expected_start_time)"
    else:
        column = f"{entity}.{_COLUMNS[name]}"
    if name == "NAME" and dialect == "postgresql":
        column += ' COLLATE "C"'
    nulls = ""
    if name == "NEXT_SCHEDULED_START_TIME":
        nulls = " NULLS LAST"
    elif dialect == "postgresql" and name in ("START_TIME", "END_TIME", "EXPECTED_START_TIME"):
        nulls = " NULLS FIRST" if direction == "ASC" else " NULLS LAST"
    return f"{column} {direction}{nulls}, {entity}.id {direction}"
