"""Sums and pages over what a filter selects; the part of the filter compiler that aggregates.

Everything is computed in the database: a request over a million rows moves only its answer.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from penstock.schemas.events import EventFilter
from penstock.server.store.columns import microseconds
from penstock.server.store.selection import matching, select
from penstock.server.store.transaction import Row, Tx

_MICROSECONDS = 1_000_000.0

# Seconds a run has been running in all; one mark: the present.
_RUN_TIME = """
total_run_time + CASE WHEN state_type = 'RUNNING' AND state_timestamp < ?
    THEN CAST(? - state_timestamp AS DOUBLE PRECISION) / 1000000 ELSE 0 END
"""
# Seconds a run started, or still waits to start, after it was expected to; the present twice.
_LATENESS = """
CASE WHEN start_time > expected_start_time
    THEN CAST(start_time - expected_start_time AS DOUBLE PRECISION) / 1000000
WHEN start_time IS NULL AND expected_start_time < ?
    AND COALESCE(state_type, '') NOT IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')
    THEN CAST(? - expected_start_time AS DOUBLE PRECISION) / 1000000
ELSE 0 END
"""


def average_lateness(tx: Tx, filters: Mapping[str, Any]) -> float | None:
    """Average lateness in seconds of the flow runs that match, None when there are none."""
    inner, params = matching("flow_run", filters, dialect=tx.dialect)
    now = microseconds(tx.now)
    sql = f"SELECT AVG({_LATENESS}) AS lateness FROM ({inner}) AS matched"  # noqa: S608
    return tx.fetch(sql, [now, now, *params])[0]["lateness"]


def runs_by_interval(
    tx: Tx,
    entity: str,
    filters: Mapping[str, Any],
    *,
    start: datetime,
    end: datetime,
    length: timedelta,
) -> list[Row]:
    """Counts and sums of runs by interval of their expected start, type and name of state.

    Rows have `bucket` (number of the interval), `state_type`, `state_name`, `runs`,
    `sum_run_seconds` and `sum_late_seconds`.
    """
    inner, params = matching(entity, filters, dialect=tx.dialect)
    now = microseconds(tx.now)
    first, step = microseconds(start), length // timedelta(microseconds=1)
    sql = f"""
        SELECT bucket, state_type, state_name, COUNT(*) AS runs,
            SUM(run_seconds) AS sum_run_seconds, SUM(late_seconds) AS sum_late_seconds
        FROM (
            SELECT (expected_start_time - ?) / ? AS bucket, state_type, state_name,
                {_RUN_TIME} AS run_seconds, {_LATENESS} AS late_seconds
            FROM ({inner}) AS matched
            WHERE expected_start_time >= ? AND expected_start_time < ? AND state_type IS NOT NULL
        ) AS measured
        GROUP BY bucket, state_type, state_name
        ORDER BY bucket, state_type, state_name
    """  # noqa: S608
    return tx.fetch(sql, [first, step, now, now, now, now, *params, first, microseconds(end)])


def events_after(
    tx: Tx, filter: EventFilter, after: tuple[datetime, str] | None, limit: int
) -> list[Row]:
    """Up to `limit` events in the filter's order, those behind the key `after` only."""
    sql, params = select("event", {"event": filter}, after=after, limit=limit, dialect=tx.dialect)
    return tx.fetch(sql, params)


def event_names(tx: Tx, filter: EventFilter) -> list[Row]:
    """Rows of `event`, `events`, `first_occurred`, `last_occurred`."""
    inner, params = matching("event", {"event": filter}, dialect=tx.dialect)
    sql = f"""
        SELECT event, COUNT(*) AS events, MIN(occurred) AS first_occurred,
            MAX(occurred) AS last_occurred
        FROM ({inner}) AS matched GROUP BY event
    """  # noqa: S608
    return tx.fetch(sql, params)


def event_resources(tx: Tx, filter: EventFilter) -> list[Row]:
    """Rows of `resource_id`, its newest `resource`, `events`, `first_occurred`, `last_occurred`."""
    inner, params = matching("event", {"event": filter}, dialect=tx.dialect)
    sql = f"""
        SELECT resource_id, resource, events, first_occurred, last_occurred
        FROM (
            SELECT resource_id, resource,
                COUNT(*) OVER same AS events,
                MIN(occurred) OVER same AS first_occurred,
                MAX(occurred) OVER same AS last_occurred,
                ROW_NUMBER() OVER (PARTITION BY resource_id ORDER BY occurred DESC, id DESC)
                    AS place
            FROM ({inner}) AS matched
            WINDOW same AS (PARTITION BY resource_id)
        ) AS counted
        WHERE place = 1
    """  # noqa: S608
    return tx.fetch(sql, params)


def event_intervals(
    tx: Tx, filter: EventFilter, start: datetime, length: timedelta
) -> dict[int, int]:
    """Number of events by number of the interval of that length, counted from `start`."""
    inner, params = matching("event", {"event": filter}, dialect=tx.dialect)
    first, step = microseconds(start), length // timedelta(microseconds=1)
    sql = f"""
        SELECT bucket, COUNT(*) AS events
        FROM (SELECT (occurred - ?) / ? AS bucket FROM ({inner}) AS matched) AS placed
        GROUP BY bucket
    """  # noqa: S608
    return {row["bucket"]: row["events"] for row in tx.fetch(sql, [first, step, *params])}


def runs_by_state(tx: Tx, entity: str, filters: Mapping[str, Any]) -> list[Row]:
    """Rows of `state_type` and `runs`, without the runs that have no state."""
    inner, params = matching(entity, filters, dialect=tx.dialect)
    sql = f"""
        SELECT state_type, COUNT(*) AS runs FROM ({inner}) AS matched
        WHERE state_type IS NOT NULL GROUP BY state_type
    """  # noqa: S608
    return tx.fetch(sql, params)


def runs_by_outcome(
    tx: Tx, filters: Mapping[str, Any], *, start: datetime, end: datetime, intervals: int
) -> list[Row]:
    """Rows of `bucket`, `completed` and `failed` (crashed ones too) of task runs by their start.

    The time from `start` to `end` is divided into equal intervals, numbered from zero.
    """
    if end <= start:
        return []
    inner, params = matching("task_run", filters, dialect=tx.dialect)
    first, last = microseconds(start), microseconds(end)
    step = -((first - last) // intervals)
    sql = f"""
        SELECT bucket,
            SUM(CASE WHEN state_type = 'COMPLETED' THEN 1 ELSE 0 END) AS completed,
            SUM(CASE WHEN state_type IN ('FAILED', 'CRASHED') THEN 1 ELSE 0 END) AS failed
        FROM (
            SELECT (start_time - ?) / ? AS bucket, state_type FROM ({inner}) AS matched
            WHERE start_time >= ? AND start_time < ?
        ) AS placed
        GROUP BY bucket
    """  # noqa: S608
    return tx.fetch(sql, [first, step, *params, first, last])
