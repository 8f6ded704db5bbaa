"""What a column holds, told by its name, and how a database row becomes a `Row`.

A column's kind is that of its name, or of the longest known name it ends with after an
underscore (`state_timestamp` is an instant because `timestamp` is; `state_state_details` a
document). All other columns are given as the database has them: text, integer, float. `value`
is one of these, as it is plain text in one table and JSON in another.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from msgspec import Raw

from penstock.server.store.transaction import Row

INSTANTS = frozenset(
    {
        "applied",
        "at",
        "begun",
        "cache_expiration",
        "closes",
        "created",
        "cursor_time",
        "decayed",
        "due",
        "end_time",
        "expected_start_time",
        "expiration",
        "expires",
        "finished",
        "fired",
        "last_heartbeat_time",
        "last_polled",
        "last_used",
        "last_started",
        "last_succeeded",
        "lease_since",
        "lease_until",
        "next_scheduled_start_time",
        "occurred",
        "opens",
        "received",
        "revoked",
        "sealed",
        "start_time",
        "timestamp",
        "until",
        "updated",
        "watched_since",
    }
)
"""Microseconds since 1970-01-01 UTC in the database, aware `datetime` in a row."""

DOCUMENTS = frozenset(
    {
        "after",
        "answer",
        "base_job_template",
        "before",
        "capabilities",
        "chain",
        "changes",
        "claims",
        "command",
        "concurrency_options",
        "context",
        "created_by",
        "data",
        "definition",
        "details",
        "empirical_policy",
        "event_ids",
        "fields",
        "filter",
        "filters",
        "firing",
        "job_variables",
        "labels",
        "members",
        "metadata_",
        "parameter_openapi_schema",
        "parameters",
        "payload",
        "pull_steps",
        "related",
        "resource",
        "schedule",
        "scopes",
        "state_details",
        "storage_configuration",
        "tag_limits",
        "tags",
        "target",
        "task_inputs",
        "tried_workers",
        "updated_by",
        "version_info",
    }
)
"""JSON text in the database, `msgspec.Raw` in a row."""

FLAGS = frozenset(
    {
        "active",
        "alerted",
        "auto_scheduled",
        "automation_owned_by_resource",
        "charged",
        "enabled",
        "enforce_parameter_schema",
        "holds_slots",
        "is_anonymous",
        "is_latest",
        "is_paused",
        "is_protected",
        "lost",
        "paused",
        "suppressed",
        "synced",
    }
)
"""A boolean; SQLite keeps it as 0 or 1."""

TEXTS = frozenset({"sealed_data"})
"""Given as it is although its name ends like another kind's."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(instant: datetime) -> int:
    """Whole microseconds from 1970-01-01 UTC to an aware instant."""
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


@lru_cache(maxsize=4_096)
def instant(value: int) -> datetime:
    """The aware instant that lies `value` microseconds after 1970-01-01 UTC.

    Kept for the next time: the columns of a row often hold one instant, and rows are read again.
    """
    return _EPOCH + timedelta(0, 0, value)  # half the time of the keyword


_CONVERTERS: tuple[tuple[frozenset[str], Callable[[Any], Any]], ...] = (
    (INSTANTS, instant),
    (DOCUMENTS, Raw),
    (FLAGS, bool),
)


def converter(column: str) -> Callable[[Any], Any] | None:
    """How a value of `column` that is not null is converted; None when it is taken as it is."""
    name = column
    if column in TEXTS:
        return None
    while True:
        for names, convert in _CONVERTERS:
            if name in names:
                return convert
        _, underscore, name = name.partition("_")
        if not underscore:
            return None


_EXPRESSIONS: dict[Callable[[Any], Any], str] = {
    instant: "instant({value})",
    Raw: "Raw({value})",
    bool: "{value} != 0",
}
"""What `converter` gives, as the text of an expression: a call of Python for each would cost more
than the conversion."""


def conversions(names: Sequence[str]) -> dict[str, str]:
    """For each column the expression that converts its value, which `unpacking` names."""
    given = {}
    for place, name in enumerate(names):
        value = f"v{place}"
        convert = converter(name)
        if convert is not None:
            value = f"{_EXPRESSIONS[convert].format(value=value)} if {value} is not None else None"
        given[name] = value
    return given


def unpacking(names: Sequence[str]) -> str:
    """The statement that takes the sequence `values` apart for `conversions`."""
    return f"({''.join(f'v{place}, ' for place in range(len(names)))}) = values"


def compiled(name: str, text: str, **known: Any) -> Callable[..., Any]:
    """The function `name` that `text` defines, which may use `known` and what `conversions` use.

    For text made of nothing but column names of ours and expressions of ours.
    """
    scope: dict[str, Any] = {"instant": instant, "Raw": Raw, **known}
    exec(text, scope)  # noqa: S102
    return scope[name]


@lru_cache(maxsize=1_024)
def _maker(names: tuple[str, ...]) -> Callable[[Sequence[Any]], Row]:
    """A function from the values of one result row to a `Row`, compiled for these columns."""
    members = ", ".join(f"{name!r}: {value}" for name, value in conversions(names).items())
    return compiled("row", f"def row(values):\n    {unpacking(names)}\n    return {{{members}}}\n")


class RowMaker:
    """Makes rows of one statement's results; everything that depends on names is done once."""

    __slots__ = ("row",)

    def __init__(self, names: Iterable[str]) -> None:
        self.row = _maker(tuple(names))
        """The row with these values. Raises `ValueError` when they are more or fewer."""

    def rows(self, results: Iterable[Sequence[Any]]) -> list[Row]:
        return list(map(self.row, results))
