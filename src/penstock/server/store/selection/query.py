"""Whole statements: the rows of one kind that match, in an order, or how many there are."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct

from penstock.schemas.states import StateType
from penstock.server.store.selection.access import (
    Lead,
    Term,
    best,
    counted,
    held_back,
    walked,
    whole,
)
from penstock.server.store.selection.artifacts import artifacts_and_results
from penstock.server.store.selection.blocks import WITH_SCHEMA_AND_TYPE, WITH_TYPE
from penstock.server.store.selection.conditions import Part, among, where_clause
from penstock.server.store.selection.feed import (
    count_events,
    matching_events,
    select_events,
)
from penstock.server.store.selection.relations import asked
from penstock.server.store.transaction import Dialect

_WITH_STATE = (
    "SELECT task_run.*, state.message AS state_message,"
    " state.state_details AS state_state_details, state.data AS state_data"
    " FROM {rows} LEFT JOIN task_run_state AS state ON state.id = task_run.state_id"
)

_WITH_WORK = (
    "SELECT flow_run.*, state.message AS state_message,"
    " state.state_details AS state_state_details, state.data AS state_data,"
    " queue.work_pool_id, pool.name AS work_pool_name"
    " FROM {rows} LEFT JOIN flow_run_state AS state ON state.id = flow_run.state_id"
    " LEFT JOIN work_queue AS queue ON queue.id = flow_run.work_queue_id"
    " LEFT JOIN work_pool AS pool ON pool.id = queue.work_pool_id"
)
_RUNS = {"flow_run": _WITH_WORK, "task_run": _WITH_STATE}

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

_TIMES = "rowid, id, expected_start_time, start_time, end_time"
"""What a run's place in the index of states tells without its row."""
_NEWEST = ("START_TIME_DESC", "END_TIME_DESC")
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
    elif entity in _RUNS:
        return _runs(entity, _terms(entity, filters, dialect), sort, limit, offset, dialect)
    else:
        where = whole(_terms(entity, filters, dialect))
        source = _source(entity, filters, dialect)
        sql = f"{source}{where_clause(where)} ORDER BY {_order(entity, sort, dialect)}"
        params = list(where.params)
    pages, more = _page(limit, offset, dialect)
    return sql + pages, [*params, *more]


def _runs(
    entity: str,
    given: list[Term],
    sort: StrEnum | str | None,
    limit: int | None,
    offset: int,
    dialect: Dialect,
) -> tuple[str, list[Any]]:
    """Runs with their states. Their states are looked up for the page only, not to sort them."""
    order = _order(entity, sort, dialect)
    walks = best(given) >= Lead.COMMON
    where = (
        walked(entity, given, _sorted_by(entity, sort), dialect)
        if walks
        else counted(entity, given, dialect)
    )
    pages, more = _page(limit, offset, dialect)
    narrowed = f"{where_clause(where)} ORDER BY {order}{pages}"
    params = [*where.params, *more]
    if not pages or (walks and dialect == "sqlite"):
        return _RUNS[entity].format(rows=entity) + narrowed, params
    source = entity
    if dialect == "sqlite" and (sort or "") in _NEWEST and _of_one_state(entity, given):
        # Read from its new end: most rows are then dismissed by one look at the last one kept.
        source = f"(SELECT {_TIMES} FROM {entity}{where_clause(where)}"
        source += f" ORDER BY {entity}.expected_start_time DESC LIMIT -1) AS {entity}"
        narrowed = f" ORDER BY {order}{pages}"
    elif dialect == "sqlite" and _of_what_is_scheduled(entity, given):
        # So that it is not read in its order instead.
        narrowed = f"{where_clause(where)} ORDER BY {held_back(entity, Part(order)).sql}{pages}"
    key = "rowid" if dialect == "sqlite" else "id"
    rows = f"(SELECT {entity}.{key} AS place FROM {source}{narrowed}) AS page CROSS JOIN {entity}"
    rest = f" WHERE {entity}.{key} = page.place ORDER BY {order}"
    return _RUNS[entity].format(rows=rows) + rest, params


def _of_one_state(entity: str, given: list[Term]) -> bool:
    leads = [term.part.sql for term in given if term.lead <= Lead.RARE]
    return leads == [f"{entity}.state_type = ?"]


def _of_what_is_scheduled(entity: str, given: list[Term]) -> bool:
    leads = [term.part.sql for term in given if term.lead <= Lead.RARE]
    return all(sql.startswith(f"{entity}.next_scheduled_start_time") for sql in leads)


def _count_by_others(entity: str, part: Part, dialect: Dialect) -> tuple[str, list[Any]]:
    """How many runs are in states that most runs are in: all runs without the others."""
    given = part.params[0]
    wanted = given if isinstance(given, list) else [given]
    column = f"{entity}.state_type"
    others = among(column, [type for type in StateType if type not in wanted], dialect)
    rows = f"SELECT count(*) FROM {entity}"
    return (
        f"SELECT ({rows}) - ({rows} WHERE {column} IS NULL) - ({rows} WHERE {others.sql}) AS count",
        list(others.params),
    )


def _page(limit: int | None, offset: int, dialect: Dialect) -> tuple[str, list[int]]:
    sql, params = "", []
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
    given = _terms(entity, filters, dialect)
    if [term.lead for term in given] == [Lead.COMMON] and "state_type" in given[0].part.sql:
        return _count_by_others(entity, given[0].part, dialect)
    where = counted(entity, given, dialect)
    table = _table(entity, filters, dialect)
    return f"SELECT count(*) AS count FROM {table}{where_clause(where)}", list(where.params)


def matching(
    entity: str, filters: Mapping[str, Struct | None], *, dialect: Dialect
) -> tuple[str, list[Any]]:
    """A statement to aggregate over: the table's columns of the rows that match, in no order."""
    if entity == "event":
        return matching_events(filters.get("event"), dialect)
    where = counted(entity, _terms(entity, filters, dialect), dialect)
    return f"SELECT {entity}.* FROM {entity}{where_clause(where)}", list(where.params)


def _source(entity: str, filters: Mapping[str, Struct | None], dialect: Dialect) -> str:
    if entity == "artifact":
        return f"SELECT artifact.* FROM {_table(entity, filters, dialect)}"
    return _SOURCES[entity]


def _table(entity: str, filters: Mapping[str, Struct | None], dialect: Dialect) -> str:
    """What rows of `entity` come from: its table, for artifacts with the results beside it."""
    return artifacts_and_results(filters.get(entity), dialect) if entity == "artifact" else entity


def _terms(entity: str, filters: Mapping[str, Struct | None], dialect: Dialect) -> list[Term]:
    given = {name: filter for name, filter in filters.items() if filter is not None}
    return asked(entity, given, dialect)


def _order(entity: str, sort: StrEnum | str | None, dialect: Dialect) -> str:
    """ORDER BY of a sort like `END_TIME_DESC`; the id decides between equal rows.

    Null counts as the smallest value, as SQLite has it and our indexes on PostgreSQL do; only
    the next scheduled time, which is read to see what comes next, puts it last.
    """
    name, _, direction = (sort or "ID_ASC").rpartition("_")
    column = _sorted_by(entity, sort)
    if name == "ID":
        return f"{column} {direction}"
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


def _sorted_by(entity: str, sort: StrEnum | str | None) -> str:
    """The column, or expression, that a sort goes by."""
    name = (sort or "ID_ASC").rpartition("_")[0]
    if name == "START_TIME":
        return f"coalesce({entity}.start_time, {entity}.expected_start_time)"
    return f"{entity}.{_COLUMNS[name]}"


def _by_text(column: str, dialect: Dialect) -> str:
    """A text column in the order of its code points, which is SQLite's."""
    return f'{column} COLLATE "C"' if dialect == "postgresql" else column
