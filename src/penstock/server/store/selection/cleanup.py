"""Owed teardowns: lists and counts by their own filter."""

from typing import Any

from penstock.schemas.cleanup import CleanupFilter, CleanupSort, CleanupState
from penstock.server.store.selection.conditions import (
    Condition,
    Part,
    among,
    compiled,
    joined,
    values_of,
)
from penstock.server.store.transaction import Dialect

_NUMBERS = {state: number for number, state in enumerate(CleanupState)}
_REASON = "coalesce(message.dead_reason, message.last_reason)"


def select_cleanup(
    given: CleanupFilter | None,
    *,
    sort: CleanupSort,
    limit: int,
    after: tuple[int, str] | None,
    dialect: Dialect,
) -> tuple[str, list[Any]]:
    """A statement for `tx.fetch`: messages in order, from behind a known one."""
    down = sort is CleanupSort.CREATED_DESC
    parts = [_matching(given, dialect)]
    if after is not None:
        sign = "<" if down else ">"
        parts.append(Part(f"(message.created_at, message.id) {sign} (?, ?)", after))
    where = joined(parts)
    order = "DESC" if down else "ASC"
    sql = (
        f"SELECT message.* FROM cleanup_message AS message {_where(where)}"
        f" ORDER BY message.created_at {order}, message.id {order} LIMIT ?"
    )
    return sql, [*where.params, limit]


def count_cleanup(
    given: CleanupFilter | None, *, by_reason: bool, dialect: Dialect
) -> tuple[str, list[Any]]:
    """A statement for `tx.fetch`: how many messages there are of each state or reason."""
    where = _matching(given, dialect)
    column = _REASON if by_reason else "message.state"
    sql = (
        f"SELECT {column} AS grouped, count(*) AS number FROM cleanup_message AS message"
        f" {_where(where)} GROUP BY {column}"
    )
    return sql, list(where.params)


def _where(part: Part) -> str:
    return f"WHERE {part.sql}" if part.sql else ""


def _matching(given: CleanupFilter | None, dialect: Dialect) -> Part:
    return Part("") if given is None else compiled(given, _TABLE, dialect)


def _one_of(column: str) -> Condition:
    def condition(wanted: list[Any], dialect: Dialect) -> Part:
        return among(column, [str(value) for value in wanted], dialect)

    return condition


def _states(wanted: list[CleanupState], dialect: Dialect) -> Part:
    numbers = ", ".join(str(_NUMBERS[state]) for state in wanted)
    return Part(f"message.state IN ({numbers})" if numbers else "1 = 0")


def _pools(wanted: list[str], dialect: Dialect) -> Part:
    return Part(
        "message.work_pool_id IN (SELECT pool.id FROM work_pool AS pool"
        f" WHERE pool.name IN ({values_of(dialect)}))",
        (list(wanted),),
    )


_TABLE: dict[str, Condition] = {
    "id": _one_of("message.id"),
    "work_pool_id": _one_of("message.work_pool_id"),
    "work_pool_name": _pools,
    "work_queue_id": _one_of("message.work_queue_id"),
    "flow_run_id": _one_of("message.flow_run_id"),
    "state": _states,
    "kind": _one_of("message.kind"),
    "cause": _one_of("message.cause"),
    "worker_name": _one_of("message.lease_worker_name"),
    "reason": _one_of(_REASON),
    "created_before": lambda value, dialect: Part("message.created_at < ?", (value,)),
    "created_after": lambda value, dialect: Part("message.created_at > ?", (value,)),
}
