"""Filters on events as SQL; `domain/event_matching.py` is the same on an event in memory.

A label's value may hold `*` (any run of characters) and `?` (one character); a leading `!` asks
for another value. A label that a resource does not have matches nothing, not even that.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from penstock.base.json import text as json_text
from penstock.schemas.events import (
    RESOURCE_ID,
    RESOURCE_ROLE,
    EventAnyResourceFilter,
    EventFilter,
    EventRelatedFilter,
    EventResourceFilter,
    Specification,
)
from penstock.schemas.shapes import Operator
from penstock.server.domain.text_query import parse
from penstock.server.store.selection.conditions import (
    FALSE,
    Part,
    among,
    begins_with,
    joined,
    text_matches,
)
from penstock.server.store.transaction import Dialect

T = TypeVar("T")


def leading_resource(given: EventFilter) -> str | None:
    """A resource that every event of the filter has in some role, if one is named.

    Its events are found, in order of time, in the index of resources.
    """
    lists = [given.resource.id if given.resource else None]
    lists += [element.id for element in _elements(given.related)]
    lists += [element.id for element in _elements(given.any_resource)]
    return next((ids[0] for ids in lists if ids and len(ids) == 1), None)


def only_leads(given: EventFilter) -> bool:
    """Whether the filter asks for nothing but a time range and its leading resource."""
    rest = (given.id.id, given.event, given.resource, given.related, given.text)
    elements = _elements(given.any_resource)
    return (
        not any(rest)
        and len(elements) == 1
        and leading_resource(given) is not None
        and not elements[0].id_prefix
        and not elements[0].labels
    )


def leading_conditions(given: EventFilter) -> Part:
    """The part of a filter that its entries in the index of resources, `found`, can answer."""
    return Part(
        "found.resource_id = ? AND found.occurred >= ? AND found.occurred <= ?",
        (leading_resource(given), given.occurred.since, given.occurred.until),
    )


def event_conditions(given: EventFilter, dialect: Dialect) -> Part:
    """What a filter asks of a row of `event`, apart from `order` and `resource.distinct`.

    With a leading resource the row is joined to its entry in the index of resources, `found`.
    """
    indexed = leading_resource(given) is None
    if indexed:
        bounds = (given.occurred.since, given.occurred.until)
        parts = [Part("event.occurred >= ? AND event.occurred <= ?", bounds)]
    else:
        parts = [leading_conditions(given), Part("event.seq = found.seq")]
    if given.id.id:
        parts.append(among("event.id", list(given.id.id), dialect))
    parts.extend(_name_parts(given, dialect))
    if given.resource is not None:
        parts.append(_primary(given.resource, dialect, indexed))
    for related in _elements(given.related):
        parts.append(_related(related, dialect, indexed))
    for resource in _elements(given.any_resource):
        parts.append(_any_resource(resource, dialect, indexed))
    if given.text is not None:
        parts.append(_text(given.text.query, dialect))
    return joined(parts)


def _elements(given: T | list[T] | None) -> list[T]:
    if given is None:
        return []
    return given if isinstance(given, list) else [given]


def _name_parts(given: EventFilter, dialect: Dialect) -> Iterable[Part]:
    names = given.event
    if names is None:
        return
    if names.name:
        yield among("event.event", names.name, dialect)
    if names.prefix:
        yield begins_with("event.event", names.prefix)
    if names.exclude_name:
        yield _negated(among("event.event", names.exclude_name, dialect))
    if names.exclude_prefix:
        yield _negated(begins_with("event.event", names.exclude_prefix))


def _negated(part: Part) -> Part:
    return Part(f"NOT ({part.sql})", part.params) if part.sql else FALSE


# --- one resource --------------------------------------------------------------------------------


def _label(resource: str, label: str, dialect: Dialect, test: Callable[[str], Part]) -> Part:
    """`test` holds for the value of a label, which must be there."""
    inner = test("label.value")
    if dialect == "sqlite":
        source = f"json_each({resource}) AS label WHERE label.key = ? AND"
    else:
        source = f"(SELECT {resource}::json ->> ?::text AS value) AS label WHERE"
    return Part(f"EXISTS (SELECT 1 FROM {source} {inner.sql})", (label, *inner.params))


def _value_matches(value: str, pattern: str, dialect: Dialect) -> Part:
    negative = pattern.startswith("!")
    wanted = pattern[1:] if negative else pattern
    if "*" not in wanted and "?" not in wanted:
        part = Part(f"{value} = ?", (wanted,))
    elif dialect == "sqlite":
        part = Part(f"{value} GLOB ?", (wanted.replace("[", "[[]"),))
    else:
        escaped = wanted.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        part = Part(f"{value} LIKE ?", (escaped.replace("*", "%").replace("?", "_"),))
    return _negated(part) if negative else part


def _labels(resource: str, wanted: Specification | None, dialect: Dialect) -> Iterable[Part]:
    for label, given in (wanted or {}).items():
        patterns = [given] if isinstance(given, str) else given
        if not patterns:
            yield FALSE
        elif label == RESOURCE_ROLE:
            yield _label(
                resource, label, dialect, lambda value, p=patterns: among(value, p, dialect)
            )
        else:
            yield _label(
                resource,
                label,
                dialect,
                lambda value, p=patterns: joined(
                    (_value_matches(value, pattern, dialect) for pattern in p), Operator.OR
                ),
            )


def _indexed(ids: list[str], dialect: Dialect) -> Part:
    """The event has one of these ids in some role, as the narrow index of resources tells."""
    wanted = among("resource_id", ids, dialect)
    return Part(f"event.seq IN (SELECT seq FROM event_resource WHERE {wanted.sql})", wanted.params)


def _primary(
    given: EventResourceFilter | EventAnyResourceFilter, dialect: Dialect, indexed: bool
) -> Part:
    """Conditions on the resource the event is about."""
    parts = []
    if given.id:
        if indexed:
            parts.append(_indexed(given.id, dialect))
        parts.append(among("event.resource_id", given.id, dialect))
    if given.id_prefix:
        parts.append(begins_with("event.resource_id", given.id_prefix))
    parts.extend(_labels("event.resource", given.labels, dialect))
    return joined(parts)


# --- related resources ---------------------------------------------------------------------------


def _member(label: str, dialect: Dialect) -> str:
    """The value of a well-known label of the related resource at hand."""
    if dialect == "sqlite":
        return f"json_extract(related.value, '$.\"{label}\"')"
    return f"(related.value ->> '{label}')"


def _some_related(parts: Sequence[Part], dialect: Dialect) -> Part:
    """One related resource satisfies all the parts."""
    inner = joined(parts)
    source = (
        "json_each(event.related)"
        if dialect == "sqlite"
        else "json_array_elements(event.related::json)"
    )
    alias = "related" if dialect == "sqlite" else "related(value)"
    return Part(f"EXISTS (SELECT 1 FROM {source} AS {alias} WHERE {inner.sql})", inner.params)


def _related(given: EventRelatedFilter, dialect: Dialect, indexed: bool) -> Part:
    identity, role = _member(RESOURCE_ID, dialect), _member(RESOURCE_ROLE, dialect)
    parts = []
    if given.id:
        parts.append(among(identity, given.id, dialect))
    if given.role:
        parts.append(among(role, given.role, dialect))
    if given.resources_in_roles:
        parts.append(
            joined(
                (
                    Part(f"({identity} = ? AND {role} = ?)", (wanted, wanted_role))
                    for wanted, wanted_role in given.resources_in_roles
                ),
                Operator.OR,
            )
        )
    parts.extend(_labels("related.value", given.labels, dialect))
    if not parts:
        return joined(())
    named = [id for id, _ in given.resources_in_roles or ()]
    lists = (given.id, named) if indexed else ()
    found = [_indexed(ids, dialect) for ids in lists if ids]
    return joined([*found, _some_related(parts, dialect)])


def _any_resource(given: EventAnyResourceFilter, dialect: Dialect, indexed: bool) -> Part:
    primary = _primary(given, dialect, indexed=False)
    if not primary.sql:
        return primary
    identity = _member(RESOURCE_ID, dialect)
    parts = []
    if given.id:
        parts.append(among(identity, given.id, dialect))
    if given.id_prefix:
        parts.append(begins_with(identity, given.id_prefix))
    parts.extend(_labels("related.value", given.labels, dialect))
    found = joined([primary, _some_related(parts, dialect)], Operator.OR)
    if not given.id or not indexed:
        return found
    return joined([_indexed(given.id, dialect), found])


# --- text ----------------------------------------------------------------------------------------


def in_json(term: str) -> str:
    """How a term is spelled inside JSON text."""
    return json_text(term)[1:-1]


def _text(query: str, dialect: Dialect) -> Part:
    return text_matches(
        parse(query),
        dialect,
        [
            ("event.event", str),
            ("event.resource", in_json),
            ("event.related", in_json),
            ("event.payload", in_json),
        ],
    )
