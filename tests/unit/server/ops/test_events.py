"""Events: taken in once, found in pages, counted."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.databases import World, wire

from penstock.base import json
from penstock.schemas.errors import BodyTooLarge, Forbidden, RequestInvalid, ServiceUnavailable
from penstock.schemas.events import (
    Countable,
    Event,
    EventFilter,
    EventNameFilter,
    EventOccurredFilter,
    EventOrder,
    EventPage,
    EventResourceFilter,
    EventsCountBody,
    EventsFilterBody,
    TimeUnit,
)
from penstock.server.ops import events

# Filters without bounds of their own end at the present of the machine.
ALWAYS = EventOccurredFilter(
    since=datetime(2025, 12, 1, tzinfo=UTC), until=datetime(2026, 3, 1, tzinfo=UTC)
)


def event(world: World, name: str = "e", resource: str = "r", **fields: Any) -> Event:
    labels = {"prefect.resource.id": resource, **fields.pop("labels", {})}
    return Event(**{"occurred": world.now, "event": name, "resource": labels, **fields})


def put(world: World, *batch: Event) -> None:
    world.write(events.create_events, body=list(batch))


def page(world: World, limit: int = 50, **fields: Any) -> EventPage:
    filter = EventFilter(**{"occurred": ALWAYS, **fields})
    return world.read(events.read_events, body=EventsFilterBody(filter=filter, limit=limit))


def following(world: World, url: str) -> EventPage:
    (token,) = parse_qs(urlsplit(url).query)["page-token"]
    return world.read(events.read_account_events_page, page_token=token)


def test_a_long_batch_is_stored_as_single_events_are(world: World) -> None:
    label = 'quote " and \\ and \u00e9'
    batch = [
        event(
            world,
            name=f"e{number}",
            labels={"l": label},
            related=[{"prefect.resource.id": f"x{number}", "prefect.resource.role": "y"}],
            payload={"n": number, "nested": {"text": label, "none": None}},
        )
        for number in range(6)
    ]
    assert world.write(events.ingest, [*batch, batch[0]]) == 6
    assert world.write(events.ingest, batch) == 0
    rows = world.rows("SELECT * FROM event ORDER BY seq")
    assert [row["event"] for row in rows] == [one.event for one in batch]
    assert [json.decode(row["payload"]) for row in rows] == [one.payload for one in batch]
    assert [json.decode(row["resource"]) for row in rows] == [one.resource for one in batch]
    assert {row["occurred"] for row in rows} == {world.now}
    found = world.rows("SELECT count(*) AS entries FROM event_resource")
    assert found == [{"entries": 12}]


def test_a_long_batch_may_hold_what_the_database_cannot_read(world: World) -> None:
    batch = [event(world, payload={"text": "a\0b"}) for _ in range(6)]
    assert world.write(events.ingest, batch[:1]) == 1
    assert world.write(events.ingest, batch) == 5
    stored = wire(page(world))["events"]
    assert [one["payload"] for one in stored] == [stored[0]["payload"]] * 6


def test_an_event_is_stored_once(world: World) -> None:
    woken: list[str] = []
    world.store.on_wake = woken.extend
    first = event(world, related=[{"prefect.resource.id": "x", "prefect.resource.role": "y"}])
    assert world.write(events.ingest, [first]) == 1
    assert woken == ["events"]
    other = event(world, payload={"a": [1, {"b": None}]})
    assert world.write(events.ingest, [first, other, other]) == 1
    stored = wire(page(world, order=EventOrder.ASC))["events"]
    assert [each["id"] for each in stored] == sorted([str(first.id), str(other.id)])
    assert wire(first).items() <= next(e for e in stored if e["id"] == str(first.id)).items()
    assert list(stored[0]) == [
        "occurred",
        "event",
        "resource",
        "related",
        "payload",
        "id",
        "follows",
        "received",
        "seq",
    ]
    assert world.write(events.ingest, []) == 0


def test_received_is_the_servers_time(world: World) -> None:
    put(world, event(world, occurred=world.now - timedelta(days=1)))
    (stored,) = wire(page(world))["events"]
    assert stored["received"] == wire(world.now)


def test_one_wrong_event_refuses_the_batch(world: World) -> None:
    wrong = event(world, "e" * 1025)
    with pytest.raises(RequestInvalid, match=str(wrong.id)):
        put(world, event(world), wrong)
    assert page(world).total == 0


def test_oversized_events_are_left_out(world: World) -> None:
    big = event(world, payload={"text": "x" * 1_500_000})
    put(world, event(world), big)
    assert page(world).total == 1
    with pytest.raises(BodyTooLarge, match=str(big.id)):
        put(world, big)
    put(world)


def test_nul_is_replaced(world: World) -> None:
    put(world, event(world, "a\0b", payload={"k": "x\0", "n\0": ["\0"]}))
    (stored,) = wire(page(world))["events"]
    assert stored["event"] == "a\ufffdb"
    assert stored["payload"] == {"k": "x\ufffd", "n\ufffd": ["\ufffd"]}


@pytest.mark.parametrize("order", EventOrder)
def test_pages_neither_repeat_nor_skip(world: World, order: EventOrder) -> None:
    # Many events of one instant: only the id tells them apart.
    batch = [event(world, str(n)) for n in range(7)]
    world.clock.advance(1)
    batch += [event(world, str(n)) for n in range(7, 10)]
    put(world, *batch)
    found = page(world, limit=3, order=order)
    ids = [each.id for each in found.events]
    while found.next_page:
        assert found.next_page.startswith("http://server/api/events/filter/next?page-token=")
        found = following(world, found.next_page)
        assert found.total == 10
        ids += [each.id for each in found.events]
        # A new event before the place of the page shifts nothing.
        put(world, event(world, occurred=world.now + timedelta(days=order == EventOrder.DESC)))
    expected = sorted((each.occurred, str(each.id)) for each in batch)
    if order == EventOrder.DESC:
        expected.reverse()
        assert ids == [id for _, id in expected]
    else:
        assert ids[: len(expected)] == [id for _, id in expected]


def test_a_page_that_ends_the_list_has_no_next(world: World) -> None:
    put(world, event(world), event(world))
    assert page(world, limit=2).next_page is None
    empty = page(world, limit=0)
    assert (empty.events, empty.total, empty.next_page) == ([], 2, None)
    assert world.read(events.read_events).events == [], "the default ends at the machine's present"


def test_a_token_keeps_the_filter(world: World) -> None:
    put(world, event(world, "a"), event(world, "b"), event(world, "a"))
    first = page(world, limit=1, event=EventNameFilter(name=["a"]))
    assert first.next_page
    second = following(world, first.next_page)
    assert [each.event for each in second.events] == ["a"]
    assert second.next_page is None


def test_forged_tokens_are_refused(world: World) -> None:
    put(world, event(world), event(world))
    url = page(world, limit=1).next_page
    assert url is not None
    (token,) = parse_qs(urlsplit(url).query)["page-token"]
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[-2] ^= 1
    forged = base64.urlsafe_b64encode(bytes(raw)).decode()
    for bad in (forged, "", "é", "a", token[:-4], base64.b64encode(b"{}" * 40).decode()):
        with pytest.raises(Forbidden):
            world.read(events.read_account_events_page, page_token=bad)
    world.store.write_sync(lambda tx: tx.run("configuration.delete", key="page_token_key"))
    with pytest.raises(ServiceUnavailable):
        page(world, limit=1)


def test_one_event_for_each_distinct_resource(world: World) -> None:
    for name in ("a", "b", "c"):
        put(world, event(world, name, "r1"), event(world, name, "r2"))
        world.clock.advance(1)
    found = page(world, limit=1, resource=EventResourceFilter(distinct=True))
    assert found.total == 2
    assert found.next_page
    (other,) = following(world, found.next_page).events
    assert {(found.events[0].event, "r1"), (other.event, "r2")} == {("c", "r1"), ("c", "r2")}


def counts(world: World, countable: Countable, **fields: Any) -> list[dict[str, Any]]:
    filter = EventFilter(occurred=fields.pop("occurred", ALWAYS))
    body = EventsCountBody(filter=filter, **fields)
    return wire(world.read(events.count_account_events, countable, body=body))


def test_counting_names(world: World) -> None:
    start = world.now
    put(world, event(world, "b"), event(world, "a"))
    world.clock.advance(5)
    put(world, event(world, "b"), event(world, "c"))
    found = counts(world, Countable.EVENT)
    assert [(each["value"], each["label"], each["count"]) for each in found] == [
        ("b", "b", 2),
        ("a", "a", 1),
        ("c", "c", 1),
    ]
    assert found[0]["start_time"] == wire(start)
    assert found[0]["end_time"] == wire(world.now)


def test_counting_resources_under_their_newest_name(world: World) -> None:
    put(world, event(world, resource="r", labels={"prefect.resource.name": "old"}))
    world.clock.advance(1)
    put(
        world,
        event(world, resource="r", labels={"prefect.resource.name": "new"}),
        event(world, resource="s", labels={"prefect.name": "other"}),
        event(world, resource="t"),
    )
    found = counts(world, Countable.RESOURCE)
    assert [(each["value"], each["label"], each["count"]) for each in found] == [
        ("r", "new", 2),
        ("s", "other", 1),
        ("t", "t", 1),
    ]


def test_counting_over_time_fills_gaps(world: World) -> None:
    start = world.now
    put(world, event(world), event(world, occurred=start + timedelta(hours=2, minutes=59)))
    # Beyond the present: counted nowhere, an error nowhere.
    put(world, event(world, occurred=start + timedelta(days=20)))
    world.clock.advance(3 * 3600)
    bounds = EventOccurredFilter(since=start, until=start + timedelta(days=30))
    found = counts(world, Countable.TIME, time_unit=TimeUnit.HOUR, occurred=bounds)
    assert [each["count"] for each in found] == [1, 0, 1, 0]
    assert [each["value"] for each in found] == ["0", "1", "2", "3"]
    assert found[0]["label"] == start.isoformat()
    assert found[0]["end_time"] == wire(start + timedelta(hours=1) - timedelta(microseconds=1))


def test_counting_days_ignores_the_unit(world: World) -> None:
    put(world, event(world))
    bounds = EventOccurredFilter(since=world.now - timedelta(days=2), until=world.now)
    found = counts(
        world, Countable.DAY, time_unit=TimeUnit.SECOND, time_interval=0.01, occurred=bounds
    )
    assert [each["count"] for each in found] == [0, 0, 1]


def test_too_many_intervals_are_refused_where_there_are_intervals(world: World) -> None:
    put(world, event(world))
    with pytest.raises(RequestInvalid, match="limit is 1000"):
        counts(world, Countable.TIME, time_unit=TimeUnit.SECOND)
    assert counts(world, Countable.EVENT, time_unit=TimeUnit.SECOND)
    with pytest.raises(RequestInvalid, match="longer than time"):
        counts(world, Countable.TIME, time_interval=1e300)
    ended = EventOccurredFilter(since=world.now, until=world.now - timedelta(days=1))
    assert counts(world, Countable.TIME, occurred=ended) == []
