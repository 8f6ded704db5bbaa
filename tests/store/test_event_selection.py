"""Finding stored events and choosing live ones is the same question (wanted test F1, EV12)."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import event as note_coverage
from hypothesis import strategies as st

from penstock.base.json import text as json_text
from penstock.schemas.events import (
    RESOURCE_ID,
    RESOURCE_ROLE,
    Event,
    EventAnyResourceFilter,
    EventFilter,
    EventIdFilter,
    EventNameFilter,
    EventOccurredFilter,
    EventOrder,
    EventRelatedFilter,
    EventResourceFilter,
    EventTextFilter,
)
from penstock.server.domain.event_matching import matcher
from penstock.server.store import Store
from penstock.server.store.selection import count, select
from penstock.server.store.transaction import Tx

START = datetime(2026, 1, 1, tzinfo=UTC)
SPACE = UUID("5b4f6f3e-3f0b-4b52-9f0e-0d6f3a2c9c11")

# Few letters, so that filters and events often meet; every sign that means something somewhere.
letters = st.sampled_from(list("aAb._%\\*?![]\"'é\u00df\u03a3\u03c3 \n$#"))
words = st.one_of(
    st.sampled_from(["a", "ab", "a_b", "aXb", "a*", "!a", "?", "!a*", "*b", "[a]", "A", "é"]),
    st.text(letters, max_size=3),
)
some_words = st.one_of(st.none(), st.lists(words, max_size=2))
labels = st.sampled_from(["name", "a_b", "a%b", 'q"k', "b\\k", "$", "", "Name", "é", RESOURCE_ROLE])
resources = st.builds(
    lambda identity, role, rest: {**rest, RESOURCE_ID: identity, **role},
    words.filter(bool),
    st.one_of(st.just({}), st.builds(lambda role: {RESOURCE_ROLE: role}, words)),
    st.dictionaries(labels.filter(lambda label: label != RESOURCE_ROLE), words, max_size=2),
)
payloads = st.dictionaries(words, st.one_of(words, st.integers(-3, 3), st.none()), max_size=2)
moments = st.integers(0, 4).map(lambda hours: START + timedelta(hours=hours))
specifications = st.one_of(
    st.none(),
    st.dictionaries(
        st.one_of(labels, st.just(RESOURCE_ID)),
        st.one_of(words, st.lists(words, max_size=2)),
        max_size=2,
    ),
)

EVENT_IDS = [uuid5(SPACE, str(number)) for number in range(8)]

events = st.lists(
    st.builds(
        lambda occurred, event, resource, related, payload: (
            occurred,
            event,
            resource,
            related,
            payload,
        ),
        moments,
        words,
        resources,
        st.lists(resources, max_size=3),
        payloads,
    ),
    min_size=1,
    max_size=6,
).map(
    lambda found: [
        Event(id=id, occurred=at, event=name, resource=resource, related=related, payload=payload)
        for id, (at, name, resource, related, payload) in zip(EVENT_IDS, found, strict=False)
    ]
)


def one_or_many(element: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), element, st.lists(element, max_size=2))


queries = st.lists(
    st.builds(
        lambda sign, word, quoted: (
            sign + ('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' if quoted else word)
        ),
        st.sampled_from(["", "+", "-", "!"]),
        words,
        st.booleans(),
    ),
    max_size=3,
).map(" ".join)

always = EventOccurredFilter(since=START, until=START + timedelta(days=1))
members: dict[str, st.SearchStrategy[Any]] = {
    "occurred": st.builds(EventOccurredFilter, since=moments, until=moments),
    "event": st.builds(
        EventNameFilter,
        name=some_words,
        prefix=some_words,
        exclude_name=some_words,
        exclude_prefix=some_words,
    ),
    "id": st.builds(EventIdFilter, id=st.lists(st.sampled_from(EVENT_IDS), max_size=3)),
    "resource": st.builds(
        EventResourceFilter, id=some_words, id_prefix=some_words, labels=specifications
    ),
    "related": one_or_many(
        st.builds(
            EventRelatedFilter,
            id=some_words,
            role=some_words,
            resources_in_roles=st.one_of(st.none(), st.lists(st.tuples(words, words), max_size=2)),
            labels=specifications,
        )
    ),
    "any_resource": one_or_many(
        st.builds(
            EventAnyResourceFilter, id=some_words, id_prefix=some_words, labels=specifications
        )
    ),
    "text": st.builds(EventTextFilter, query=queries),
}
# Mostly one member, so that a filter finds something and what it finds is due to that member.
filters = st.lists(st.sampled_from(sorted(members)), min_size=1, max_size=2, unique=True).flatmap(
    lambda names: st.builds(
        EventFilter, **{"occurred": st.just(always), **{name: members[name] for name in names}}
    )
)


class Undo(Exception):
    """Carries a result out of a transaction that is not to be kept."""

    def __init__(self, result: Any) -> None:
        self.result = result


def insert(tx: Tx, event: Event) -> None:
    tx.many(
        "event.ingest",
        [
            {
                "id": event.id,
                "occurred": event.occurred,
                "received": event.occurred,
                "event": event.event,
                "resource_id": event.resource[RESOURCE_ID],
                "resource": event.resource,
                "related": event.related,
                "payload": event.payload,
                "follows": event.follows,
            }
        ],
    )


def found_ids(tx: Tx, wanted: EventFilter) -> list[UUID]:
    sql, params = select("event", {"event": wanted}, dialect=tx.dialect)
    return [UUID(row["id"]) for row in tx.fetch(sql, params)]


def counted(tx: Tx, wanted: EventFilter) -> int:
    sql, params = count("event", {"event": wanted}, dialect=tx.dialect)
    return tx.fetch(sql, params)[0]["count"]


def probe(tx: Tx, stored: list[Event], wanted: list[EventFilter]) -> None:
    """Answers to all filters from a database that holds just these events, then undone."""
    for event in stored:
        insert(tx, event)
    raise Undo([(found_ids(tx, one), counted(tx, one)) for one in wanted])


def answers(store: Store, stored: list[Event], wanted: list[EventFilter]) -> Any:
    with pytest.raises(Undo) as undone:
        store.write_sync(probe, stored, wanted)
    return undone.value.result


@given(stored=events, wanted=st.lists(filters, min_size=1, max_size=4))
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_the_database_and_the_predicate_choose_the_same_events(
    store: Store, stored: list[Event], wanted: list[EventFilter]
) -> None:
    for one, (ids, total) in zip(wanted, answers(store, stored, wanted), strict=True):
        matches = matcher(one)
        newest_first = sorted(stored, key=lambda event: (event.occurred, str(event.id)))[::-1]
        expected = [event.id for event in newest_first if matches(event)]
        note_coverage(f"found some, not all: {0 < len(expected) < len(stored)}")
        assert ids == expected, json_text(one)
        assert total == len(expected)


@given(
    stored=events,
    wanted=filters,
    order=st.sampled_from(EventOrder),
    leading=st.booleans(),
    size=st.integers(1, 3),
)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_pages_behind_each_other_make_the_whole_list(
    store: Store,
    stored: list[Event],
    wanted: EventFilter,
    order: EventOrder,
    leading: bool,
    size: int,
) -> None:
    changes: dict[str, Any] = {"order": order}
    if leading:
        # One named resource is found through the index of resources.
        changes["any_resource"] = EventAnyResourceFilter(id=[stored[0].resource[RESOURCE_ID]])
    wanted = msgspec.structs.replace(wanted, **changes)

    def page_through(tx: Tx) -> None:
        for event in stored:
            insert(tx, event)
        pages: list[UUID] = []
        after = None
        while True:
            sql, params = select(
                "event", {"event": wanted}, after=after, limit=size, dialect=tx.dialect
            )
            rows = tx.fetch(sql, params)
            pages += [UUID(row["id"]) for row in rows]
            if len(rows) < size:
                raise Undo((found_ids(tx, wanted), pages))
            after = (rows[-1]["occurred"], rows[-1]["id"])

    with pytest.raises(Undo) as undone:
        store.write_sync(page_through)
    whole, pages = undone.value.result
    assert pages == whole
    matches = matcher(wanted)
    expected = sorted(
        (event for event in stored if matches(event)),
        key=lambda event: (event.occurred, str(event.id)),
        reverse=order is EventOrder.DESC,
    )
    assert whole == [event.id for event in expected]


@given(stored=events, wanted=filters, order=st.sampled_from(EventOrder))
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_distinct_keeps_the_first_event_of_each_resource(
    store: Store, stored: list[Event], wanted: EventFilter, order: EventOrder
) -> None:
    resource = msgspec.structs.replace(wanted.resource or EventResourceFilter(), distinct=True)
    distinct = msgspec.structs.replace(wanted, resource=resource, order=order)
    plain = msgspec.structs.replace(distinct, resource=wanted.resource)
    (every, _), (ids, total) = answers(store, stored, [plain, distinct])
    resource_of = {event.id: event.resource[RESOURCE_ID] for event in stored}
    firsts = {}
    for id in every:
        firsts.setdefault(resource_of[id], id)
    assert ids == list(firsts.values())
    assert total == len(firsts)
