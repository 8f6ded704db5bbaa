"""Which condition of a filter a statement begins with.

A list of a large table is read in one of two ways. It *seeks*: an index finds the few rows that
one condition asks for, and they are sorted. Or it *walks* along the index of its sort until the
page is full, and looks at every other condition on the way. Which is better depends on how many
rows a condition leaves; `Lead` says what is known about that without looking.

SQLite keeps no statistics of ours, so it is told: a column with a `+` before it takes part in no
index. PostgreSQL has statistics and decides for itself.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from msgspec import Struct

from penstock.schemas.shapes import Operator
from penstock.server.store.selection.conditions import Part, Table, compiled, joined
from penstock.server.store.transaction import Dialect


class Lead(IntEnum):
    """How few rows a condition leaves; the smaller the better to begin with."""

    KEY = 1
    """As many as there are values: ids, names, keys."""
    OWNER = 2
    """What belongs to one flow, deployment, queue or run."""
    RARE = 3
    """States that runs do not stay in, or seldom end in."""
    COMMON = 4
    """The state that most runs end in: begins a count, never a list."""
    RANGE = 5
    """A bound on time, good only where nothing else is."""
    MANY = 6
    """What belongs to some of the flows, deployments or queues, perhaps to all."""
    NONE = 7


class Term(NamedTuple):
    """One of the conditions that must all hold."""

    part: Part
    lead: Lead = Lead.NONE
    first: Part | None = None
    """The same said so that a statement can begin with it, where `part` cannot."""


def _by_state(common: str) -> Callable[[Any], Lead]:
    return lambda wanted: Lead.COMMON if common in wanted else Lead.RARE


def _as(lead: Lead) -> Callable[[Any], Lead]:
    return lambda wanted: lead


_RANGES = {
    f"{name}.{bound}": _as(Lead.RANGE)
    for name in ("start_time", "end_time", "expected_start_time")
    for bound in ("after_", "before_")
}
_STATES = {
    "state.type.any_": _by_state("COMPLETED"),
    "state.name.any_": _by_state("Completed"),
}
_NAMED = {"id.any_": _as(Lead.KEY), "name.any_": _as(Lead.KEY)}

LEADS: Mapping[str, Mapping[str, Callable[[Any], Lead]]] = {
    "flow": _NAMED,
    "deployment": _NAMED,
    "work_pool": _NAMED,
    "work_queue": _NAMED,
    "flow_run": {
        **_NAMED,
        **_STATES,
        **_RANGES,
        "parent_task_run_id.any_": _as(Lead.KEY),
        "parent_flow_run_id.any_": _as(Lead.KEY),
        "idempotency_key.any_": _as(Lead.KEY),
        "deployment_id.any_": _as(Lead.OWNER),
        # Only what is scheduled has such a time.
        "next_scheduled_start_time.after_": _as(Lead.RARE),
        "next_scheduled_start_time.before_": _as(Lead.RARE),
    },
    "task_run": {**_NAMED, **_STATES, **_RANGES, "flow_run_id.any_": _as(Lead.OWNER)},
}


def terms(entity: str, given: Struct, table: Table, dialect: Dialect, path: str = "") -> list[Term]:
    """What a filter asks for, as conditions that must all hold."""
    if getattr(given, "operator", Operator.AND) is not Operator.AND:
        return [Term(compiled(given, table, dialect, path))]
    found: list[Term] = []
    for field in given.__struct_fields__:
        value = getattr(given, field)
        if value is None or field == "operator":
            continue
        name = path + field
        if isinstance(value, Struct):
            found.extend(terms(entity, value, table, dialect, f"{name}."))
        elif (part := table[name](value, dialect)) is not None:
            lead = LEADS.get(entity, {}).get(name)
            found.append(Term(part, Lead.NONE if lead is None else lead(value)))
    return found


def whole(given: Iterable[Term]) -> Part:
    """All conditions, in the order given, for a planner that needs no advice."""
    return joined(term.part for term in given)


def best(given: Sequence[Term]) -> Lead:
    return min((term.lead for term in given), default=Lead.NONE)


def counted(entity: str, given: Sequence[Term], dialect: Dialect) -> Part:
    """The conditions of a statement that begins with the best of them and reads all it finds."""
    lead = best(given)
    if dialect != "sqlite":
        return joined(term.first or term.part for term in given)
    if lead is Lead.NONE:
        return whole(given)
    # The index of states holds the times, too.
    also = Lead.RANGE if lead in (Lead.RARE, Lead.COMMON) else lead
    return _advised(entity, given, lambda term: term.lead in (lead, also))


def walked(entity: str, given: Sequence[Term], column: str, dialect: Dialect) -> Part:
    """The conditions of a list that is read along the index of `column`, which it is sorted by."""
    if dialect != "sqlite":
        return whole(given)
    bounds = (f"{column} >= ?", f"{column} <= ?")
    return _advised(entity, given, lambda term: term.part.sql in bounds)


def held_back(entity: str, part: Part) -> Part:
    """A condition with which no statement of SQLite begins."""
    return Part(re.sub(rf"(?<![\w.+]){entity}\.(?=\w)", f"+{entity}.", part.sql), part.params)


def _advised(entity: str, given: Sequence[Term], leads: Callable[[Term], bool]) -> Part:
    return joined(
        (term.first or term.part) if leads(term) else held_back(entity, term.part) for term in given
    )
