"""Whole statements: the rows of one kind that match, in an order, or how many there are."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct

from penstock.server.store.selection.artifacts import artifacts_and_results
from penstock.server.store.selection.blocks import WITH_SCHEMA_AND_TYPE, WITH_TYPE
from penstock.server.store.selection.conditions import Part
from penstock.server.store.selection.feed import (
    count_events,
    matching_events,
    select_events,
    where_clause,
)
from penstock.server.store.selection.relations import conditions
from penstock.server.store.transaction import Dialect

_WITH_STATE = (
    "SELECT task_run.*, state.message AS state_message,"
    " state.state_details AS state_state_details, state.data AS state_data"
    " FROM task_run LEFT JOIN task_run_state AS state ON state.id = task_run.state_id"
)

_WITH_WORK = (
    "SELECT flow_run.*, state.message AS state_message,"
    " state.state_details AS state_state_details, state.data AS state_data,"
    " queue.work_pool_id, pool.name AS work_pool_name"
    " FROM flow_run LEFT JOIN flow_run_state AS state ON state.id = flow_run.state_id"
    " LEFT JOIN work_queue AS queue ON queue.id = flow_run.work_queue_id"
    " LEFT JOIN work_pool AS pool ON pool.id = queue.work_pool_id"
)

# Slots in use are counted only where there is a limit on them.
_POOL = (
    "SELECT work_pool.*, CASE WHEN work_pool.concurrency_limit IS NOT NULL THEN ("
    "SELECT count(*) FROM work_queue AS queue CROSS JOIN flow_run AS run"
    " WHERE queue.work_pool_id = work_pool.id AND run.work_queue_id = queue.id"
    " AND run.state_type IN ('PENDING', 'RUNNING')) END AS active_slots FROM work_pool"
)
_QUEUE = (
    "SELECT work_queue.*, pool.name AS work_pool_name,"
    " CASE WHEN work_queue.concurrency_limit IS NOT NULL THEN ("
    "SELECT count(*) FROM flow_run AS run WHERE run.work_queue_id = work_queue.id"
    " AND run.state_type IN ('PENDING', 'RUNNING')) END AS active_slots"
    " FROM work_queue JOIN work_pool AS pool ON pool.id = work_queue.work_pool_id"
)

_SOURCES = {
    "flow": "SELECT flow.* FROM flow",
    "flow_run": _WITH_WORK,
    "task_run": _WITH_STATE,
    "log": "SELECT log.* FROM log",
    "deployment": "SELECT deployment.* FROM deployment",
    "work_pool": _POOL,
    "work_queue": _QUEUE,
    "block_type": "SELECT block_type.* FROM block_type",
    "block_schema": WITH_TYPE,
    "block_document": WITH_SCHEMA_AND_TYPE,
    "automation": "SELECT automation.* FROM automation",
    "variable": "SELECT variable.* FROM variable",
    "artifact_collection": "SELECT artifact_collection.* FROM artifact_collection",
}

_COLUMNS = {
    "CREATED": "created",
    "UPDATED": "updated",
    "NAME": "name",
    "BLOCK_TYPE_AND_NAME": "name",
    "KEY": "key",
    "ID": "id",
    "EXPECTED_START_TIME": "expected_start_time",
    "NEXT_SCHEDULED_START_TIME": "next_scheduled_start_time",
    "END_TIME": "end_time",
    "TIMESTAMP": "timestamp",
    "PRIORITY": "priority",
}

_NULLABLE = frozenset({"START_TIME", "END_TIME", "EXPECTED_START_TIME", "KEY"})


def select(
    entity: str,
    filters: Mapping[str, Struct | None],
    *,
    sort: StrEnum | str | None = None,
    limit: int | None = None,
    offset: int = 0,
    after: tuple[datetime, str] | None = None,
    dialect: Dialect,
) -> tuple[str, list[Any]]:
    """A statement for `tx.fetch`: rows of `entity` that match all filters.

    `filters` maps an entity to its filter; one that is None asks for nothing. Rows hold the
    columns of the table; a run has its state's `state_message`, `state_state_details` and
    `state_data` too. Without `sort` rows come by id, events as their filter says. `after` is for
    events: the time and id of the event that the rows come behind.
    """
    if entity == "event":
        sql, params = select_events(filters.get("event"), sort, after, dialect)
    else:
        where = _conditions(entity, filters, dialect)
        source = _source(entity, filters, dialect)
        sql = f"{source}{where_clause(where)} ORDER BY {_order(entity, sort, dialect)}"
        params = list(where.params)
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
    if entity == "event":
        return count_events(filters.get("event"), dialect)
    where = _conditions(entity, filters, dialect)
    table = _table(entity, filters, dialect)
    return f"SELECT count(*) AS count FROM {table}{where_clause(where)}", list(where.params)


def matching(
    entity: str, filters: Mapping[str, Struct | None], *, dialect: Dialect
) -> tuple[str, list[Any]]:
    """A statement to aggregate over: the table's columns of the rows that match, in no order."""
    if entity == "event":
        return matching_events(filters.get("event"), dialect)
    where = _conditions(entity, filters, dialect)
    return f"SELECT {entity}.* FROM {entity}{where_clause(where)}", list(where.params)


def _source(entity: str, filters: Mapping[str, Struct | None], dialect: Dialect) -> str:
    if entity == "artifact":
        return f"SELECT artifact.* FROM {_table(entity, filters, dialect)}"
    return _SOURCES[entity]


def _table(entity: str, filters: Mapping[str, Struct | None], dialect: Dialect) -> str:
    """What rows of `entity` come from: its table, for artifacts with the results beside it."""
    return artifacts_and_results(filters.get(entity), dialect) if entity == "artifact" else entity


def _conditions(entity: str, filters: Mapping[str, Struct | None], dialect: Dialect) -> Part:
    given = {name: filter for name, filter in filters.items() if filter is not None}
    return conditions(entity, given, dialect)


def _order(entity: str, sort: StrEnum | str | None, dialect: Dialect) -> str:
    """ORDER BY of a sort like `END_TIME_DESC`; the id decides between equal rows.

    Null counts as the smallest value, as SQLite has it and our indexes on PostgreSQL do; only
    the next scheduled time, which is read to see what comes next, puts it last.
    """
    name, _, direction = (sort or "ID_ASC").rpartition("_")
    if name == "ID":
        return f"{entity}.id {direction}"
    if name == "START_TIME":
        column = f"coalesce({entity}.start_time, {entity}.expected_start_time)"
    else:
        column = f"{entity}.{_COLUMNS[name]}"
    if name in ("NAME", "KEY"):
        column = _by_text(column, dialect)
    if name == "BLOCK_TYPE_AND_NAME":
        first, column = (_by_text(place, dialect) for place in ("block_type.name", column))
        return f"{first} {direction}, {column} {direction}, {entity}.id {direction}"
    nulls = ""
    if name == "NEXT_SCHEDULED_START_TIME":
        nulls = " NULLS LAST"
    elif dialect == "postgresql" and name in _NULLABLE:
        nulls = " NULLS FIRST" if direction == "ASC" else " NULLS LAST"
    return f"{column} {direction}{nulls}, {entity}.id {direction}"


def _by_text(column: str, dialect: Dialect) -> str:
    """A text column in the order of its code points, which is SQLite's."""
    return f'{column} COLLATE "C"' if dialect == "postgresql" else column
