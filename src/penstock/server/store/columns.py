"""What a column holds, told by its name, and how a database row becomes a `Row`.

A column's kind is that of its name, or of the longest known name it ends with after an
underscore (`state_timestamp` is an instant because `timestamp` is; `state_state_details` a
document). All other columns are given as the database has them: text, integer, float. `value`
is one of these, as it is plain text in one table and JSON in another.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Raw

from penstock.server.store.transaction import Row

INSTANTS = frozenset(
    {
        "applied",
        "at",
        "cache_expiration",
        "created",
        "cursor_time",
        "decayed",
        "due",
        "end_time",
        "expected_start_time",
        "expiration",
        "expires",
        "last_heartbeat_time",
        "last_polled",
        "last_used",
        "next_scheduled_start_time",
        "occurred",
        "received",
        "revoked",
        "sealed",
        "start_time",
        "timestamp",
        "updated",
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
        "changes",
        "claims",
        "concurrency_options",
        "context",
        "created_by",
        "data",
        "definition",
        "empirical_policy",
        "fields",
        "filter",
        "filters",
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
        "task_inputs",
        "updated_by",
        "version_info",
    }
)
"""JSON text in the database, `msgspec.Raw` in a row."""

FLAGS = frozenset(
    {
        "active",
        "auto_scheduled",
        "automation_owned_by_resource",
        "enabled",
        "enforce_parameter_schema",
        "holds_slots",
        "is_anonymous",
        "is_latest",
        "is_paused",
        "is_protected",
        "paused",
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


def instant(value: int) -> datetime:
    """The aware instant that lies `value` microseconds after 1970-01-01 UTC."""
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


class RowMaker:
    """Makes rows of one statement's results; everything that depends on names is done once."""

    __slots__ = ("_conversions", "_names")

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)
        self._conversions = tuple(
            (name, convert) for name in self._names if (convert := converter(name)) is not None
        )

    def row(self, values: Sequence[Any]) -> Row:
        row = dict(zip(self._names, values, strict=True))
        for name, convert in self._conversions:
            value = row[name]
            if value is not None:
                row[name] = convert(value)
        return row

    def rows(self, results: Iterable[Sequence[Any]]) -> list[Row]:
        make = self.row
        return [make(values) for values in results]
