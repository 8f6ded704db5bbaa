"""Whether an event matches a filter: the rule for live subscribers.

`store/selection/events.py` says the same as SQL, and a test holds the two together. All members
of a filter must match; the elements of a list of related filters each find a related resource of
their own choice. A label's value may hold `*` (any run of characters) and `?` (one character); a
leading `!` asks for another value. A label that a resource lacks matches nothing.
"""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from penstock.base.json import text as json_text
from penstock.schemas.events import (
    RESOURCE_ID,
    RESOURCE_ROLE,
    Event,
    EventAnyResourceFilter,
    EventFilter,
    EventNameFilter,
    EventRelatedFilter,
    Resource,
    Specification,
)
from penstock.server.domain.text_query import TextTerms, folded, parse

T = TypeVar("T")
Test = Callable[[Event], bool]
ResourceTest = Callable[[Resource], bool]


def matcher(given: EventFilter) -> Test:
    """The filter as a predicate; made once for a subscriber, then asked for every event.

    `order` and `resource.distinct` are about lists and say nothing about one event.
    """
    tests: list[Test] = [_occurred(given)]
    if given.id.id:
        ids = frozenset(given.id.id)
        tests.append(lambda event: event.id in ids)
    if given.event is not None:
        tests.append(_named(given.event))
    if given.resource is not None:
        primary = _all_of(
            _identity_tests(given.resource.id, given.resource.id_prefix)
            + _label_tests(given.resource.labels)
        )
        tests.append(lambda event: primary(event.resource))
    tests.extend(map(_related, _elements(given.related)))
    tests.extend(map(_any_resource, _elements(given.any_resource)))
    if given.text is not None:
        tests.append(_text(parse(given.text.query)))
    return lambda event: all(test(event) for test in tests)


def matches(given: EventFilter, event: Event) -> bool:
    """Whether one event matches; for many events make a `matcher`."""
    return matcher(given)(event)


def _elements(given: T | list[T] | None) -> list[T]:
    if given is None:
        return []
    return given if isinstance(given, list) else [given]


def _occurred(given: EventFilter) -> Test:
    since, until = given.occurred.since, given.occurred.until
    return lambda event: since <= event.occurred <= until


def _named(given: EventNameFilter) -> Test:
    names, prefixes = given.name or (), tuple(given.prefix or ())
    unwanted, unwanted_prefixes = given.exclude_name or (), tuple(given.exclude_prefix or ())

    def test(event: Event) -> bool:
        name = event.event
        return not (
            (names and name not in names)
            or (prefixes and not name.startswith(prefixes))
            or name in unwanted
            or name.startswith(unwanted_prefixes)
        )

    return test


# --- resources -----------------------------------------------------------------------------------


def _all_of(tests: Sequence[ResourceTest]) -> ResourceTest:
    return lambda resource: all(test(resource) for test in tests)


def _identity_tests(
    ids: Sequence[str] | None, prefixes: Sequence[str] | None = None
) -> list[ResourceTest]:
    tests: list[ResourceTest] = []
    if ids:
        wanted = frozenset(ids)
        tests.append(lambda resource: resource.get(RESOURCE_ID) in wanted)
    if prefixes:
        starts = tuple(prefixes)
        tests.append(lambda resource: resource.get(RESOURCE_ID, "").startswith(starts))
    return tests


def _label_tests(wanted: Specification | None) -> list[ResourceTest]:
    return [_label(label, given) for label, given in (wanted or {}).items()]


def _label(label: str, given: str | list[str]) -> ResourceTest:
    patterns = [given] if isinstance(given, str) else given
    if label == RESOURCE_ROLE:
        return lambda resource: resource.get(label) in patterns
    tests = [_value(pattern) for pattern in patterns]

    def test(resource: Resource) -> bool:
        value = resource.get(label)
        return value is not None and any(test(value) for test in tests)

    return test


def _value(pattern: str) -> Callable[[str], bool]:
    if pattern.startswith("!"):
        inner = _value_of(pattern[1:])
        return lambda value: not inner(value)
    return _value_of(pattern)


def _value_of(pattern: str) -> Callable[[str], bool]:
    if "*" not in pattern:
        if "?" not in pattern:
            return lambda value: value == pattern
        whole = _piece(pattern)
        return lambda value: whole.fullmatch(value) is not None
    texts = pattern.split("*")
    first, *middle, last = map(_piece, texts)
    width = len(texts[-1])

    def test(value: str) -> bool:
        # Each piece takes the first place it can, as a later one would leave less for the rest.
        # So the work is bounded by the length of the value times that of the pattern.
        found = first.match(value)
        for piece in middle:
            if found is None:
                return False
            found = piece.search(value, found.end())
        if found is None:
            return False
        end = len(value) - width
        return found.end() <= end and last.fullmatch(value, end) is not None

    return test


def _piece(text: str) -> re.Pattern[str]:
    """A stretch of a pattern between two stars."""
    return re.compile("".join("." if sign == "?" else re.escape(sign) for sign in text), re.DOTALL)


def _related(given: EventRelatedFilter) -> Test:
    tests = _identity_tests(given.id)
    if given.role:
        roles = frozenset(given.role)
        tests.append(lambda resource: resource.get(RESOURCE_ROLE) in roles)
    if given.resources_in_roles:
        pairs = frozenset(given.resources_in_roles)
        tests.append(
            lambda resource: (resource.get(RESOURCE_ID), resource.get(RESOURCE_ROLE)) in pairs
        )
    tests += _label_tests(given.labels)
    if not tests:
        return lambda event: True
    one = _all_of(tests)
    return lambda event: any(one(resource) for resource in event.related)


def _any_resource(given: EventAnyResourceFilter) -> Test:
    tests = _identity_tests(given.id, given.id_prefix) + _label_tests(given.labels)
    one = _all_of(tests)
    return lambda event: one(event.resource) or any(one(related) for related in event.related)


# --- text ----------------------------------------------------------------------------------------


def _text(terms: TextTerms) -> Test:
    """The terms are looked for in the name and in the JSON text of the rest."""

    def spelled(group: Sequence[str]) -> list[tuple[str, str]]:
        return [(term, json_text(term)[1:-1]) for term in group]

    required, excluded = spelled(terms.required), spelled(terms.excluded)
    alternatives = spelled(terms.alternatives)

    def test(event: Event) -> bool:
        name = folded(event.event)
        documents = [folded(json_text(it)) for it in (event.resource, event.related, event.payload)]

        def found(term: tuple[str, str]) -> bool:
            plain, quoted = term
            return plain in name or any(quoted in document for document in documents)

        return (
            all(map(found, required))
            and not any(map(found, excluded))
            and (not alternatives or any(map(found, alternatives)))
        )

    return test
