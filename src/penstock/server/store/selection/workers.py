"""Workers of a pool: a list of its own, as whether one is online depends on the time."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from penstock.server.store.selection.conditions import (
    FALSE,
    TRUE,
    Condition,
    Part,
    at_least,
    at_most,
    compiled,
    joined,
)
from penstock.server.store.transaction import Dialect


def select_workers(
    work_pool_id: str,
    given: Struct | None,
    *,
    now: datetime,
    limit: int,
    offset: int,
    dialect: Dialect,
) -> tuple[str, list[Any]]:
    """A statement for `tx.fetch`: workers of the pool, the latest heartbeat first."""
    parts = [Part("worker.work_pool_id = ?", (work_pool_id,))]
    if given is not None:
        table = {
            "last_heartbeat_time.after_": at_least("worker.last_heartbeat_time"),
            "last_heartbeat_time.before_": at_most("worker.last_heartbeat_time"),
            "status.any_": _is_among(now),
            "status.not_any_": _is_not_among(now),
        }
        parts.append(compiled(given, table, dialect))
    where = joined(parts)
    sql = (
        f"SELECT worker.* FROM worker WHERE {where.sql}"
        " ORDER BY worker.last_heartbeat_time DESC, worker.id LIMIT ? OFFSET ?"
    )
    return sql, [*where.params, limit, offset]


def _is_among(now: datetime) -> Condition:
    def condition(wanted: list[Any], dialect: Dialect) -> Part:
        statuses = frozenset(str(status) for status in wanted)
        if not statuses:
            return FALSE
        if len(statuses) == 2:
            return TRUE
        return Part(f"worker.expires {'>' if 'ONLINE' in statuses else '<='} ?", (now,))

    return condition


def _is_not_among(now: datetime) -> Condition:
    def condition(unwanted: list[Any], dialect: Dialect) -> Part | None:
        if not unwanted:
            return None
        left = {"ONLINE", "OFFLINE"} - {str(status) for status in unwanted}
        return _is_among(now)(sorted(left), dialect)

    return condition
