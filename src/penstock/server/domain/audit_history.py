"""From the changes of an object to what it was at a time."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from penstock.server.domain.differences import applied

Document = dict[str, Any]


class Recorded(Struct, frozen=True):
    """What an audit row says of its object."""

    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    changes: list[dict[str, Any]]


def value_after(rows: Iterable[Recorded]) -> Document | None:
    """The object after these changes of it, in their order; None when it is not there.

    Rows of a run tell of its state only, those of other objects of the whole; so each row is
    laid over what was known before, and what it says went away is taken out. Rows older than the
    trail need not be there: the first one then tells what the object was.
    """
    value: Document | None = None
    for row in rows:
        if row.after is None:
            value = None
        elif value is None:
            value = {**(row.before or {}), **row.after}
            value = applied(value, _removals(row.changes))
        else:
            value = applied({**value, **row.after}, _removals(row.changes))
    return value


def _removals(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [change for change in changes if "to" not in change and _is_top(change["path"])]


def _is_top(path: str) -> bool:
    # A member further down is gone with the new value of the member above it.
    return path.count("/") == 1
