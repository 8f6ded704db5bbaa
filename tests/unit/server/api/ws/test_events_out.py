"""Following events: what is stored, then what comes, in order and complete."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from tests.unit.server.api.apps import with_app
from tests.unit.server.api.asgi import Closed, WebSocket, request

from penstock.server.app import App
from penstock.server.config import EventLimits


def event(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": f"number.{number}",
        "resource": {"prefect.resource.id": f"thing.{number % 2}"},
        **changes,
    }


async def post(app: App, *events: dict[str, Any]) -> None:
    assert (await request(app, "POST", "/api/events", list(events))).status == 204


async def following(app: App, request_frame: dict[str, Any]) -> WebSocket:
    socket = WebSocket(app, "/api/events/out", subprotocols=["prefect"])
    await socket.__aenter__()
    await socket.login()
    socket.send(request_frame)
    return socket


async def names(socket: WebSocket, count: int) -> list[str]:
    return [(await socket.receive())["event"]["event"] for _ in range(count)]


def subscribe(filter: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    return {"type": "filter", "filter": filter or {}, **members}


def test_stored_events_then_live_ones_in_order_without_a_gap():
    async def test(app: App) -> None:
        await post(app, *(event(number) for number in range(600)))
        socket = await following(app, subscribe())
        await post(app, *(event(number) for number in range(600, 1_200)))
        assert await names(socket, 1_200) == [f"number.{number}" for number in range(1_200)]
        await post(app, event(1_200))
        frame = await socket.receive()
        assert frame["type"] == "event"
        assert frame["event"]["event"] == "number.1200"
        assert frame["event"]["seq"] > 0
        assert set(frame["event"]) >= {
            "id",
            "occurred",
            "received",
            "resource",
            "related",
            "payload",
        }
        await socket.__aexit__()

    with_app(test)


def test_a_burst_reaches_a_subscriber_that_reads_nothing_meanwhile():
    async def test(app: App) -> None:
        socket = await following(app, subscribe())
        for start in range(0, 3_000, 500):
            await post(app, *(event(number) for number in range(start, start + 500)))
        assert await names(socket, 3_000) == [f"number.{number}" for number in range(3_000)]
        await socket.__aexit__()

    with_app(test)


def test_without_backfill_only_what_comes():
    async def test(app: App) -> None:
        await post(app, event(1))
        socket = await following(app, subscribe(backfill=False))
        hearing = asyncio.create_task(names(socket, 1))
        while not hearing.done():
            # Where the subscriber began cannot be seen from outside: speak until it hears.
            await post(app, event(2))
        assert await hearing == ["number.2"]
        await socket.__aexit__()


def test_a_stop_closes_the_sockets_with_1012():
    async def test(app: App) -> None:
        await post(app, event(1))
        socket = await following(app, subscribe())
        intake = WebSocket(app, "/api/events/in", subprotocols=["prefect"])
        await intake.__aenter__()
        await intake.login()
        assert await names(socket, 1) == ["number.1"]
        await app.stop()
        for one in (socket, intake):
            with pytest.raises(Closed) as closed:
                await one.receive()
            assert closed.value.code == 1012
            await one.__aexit__()

    with_app(test)


@pytest.mark.parametrize(
    "filter",
    [
        {"event": {"prefix": ["number."], "exclude_name": ["number.2"]}},
        {"resource": {"id": ["thing.1"]}},
        {"related": {"role": ["flow"]}},
        {"any_resource": {"id_prefix": ["flow."]}},
        {"text": {"query": "needle"}},
    ],
)
def test_filters_hold_for_stored_and_for_live_events(filter: dict[str, Any]):
    related = [{"prefect.resource.id": "flow.1", "prefect.resource.role": "flow"}]
    payload = {"find": "the needle"}

    async def test(app: App) -> None:
        both = [
            event(1, related=related, payload=payload),
            event(2),
            event(3, related=related, payload=payload),
        ]
        await post(app, *both[:2])
        socket = await following(app, subscribe(filter))
        assert await names(socket, 1) == ["number.1"]
        await post(app, *both[1:], event(2))
        assert await names(socket, 1) == ["number.3"]
        await socket.__aexit__()
        assert socket.nothing_received()

    with_app(test)


def test_backfill_goes_back_a_quarter_of_an_hour_at_most():
    async def test(app: App) -> None:
        old = (datetime.now(UTC) - timedelta(minutes=20)).isoformat()
        recent = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()
        await post(app, event(1, occurred=old), event(2, occurred=recent), event(3))
        socket = await following(app, subscribe({"occurred": {"since": "2020-01-01T00:00:00Z"}}))
        assert await names(socket, 2) == ["number.2", "number.3"]
        since = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
        later = await following(app, subscribe({"occurred": {"since": since}}))
        assert await names(later, 1) == ["number.3"]
        await socket.__aexit__()
        await later.__aexit__()

    with_app(test)


def test_a_subscriber_goes_on_where_it_stopped():
    async def test(app: App) -> None:
        await post(app, *(event(number) for number in range(4)))
        socket = await following(app, subscribe())
        frames = [await socket.receive() for _ in range(2)]
        await socket.__aexit__()
        after = frames[-1]["event"]["seq"]
        resumed = await following(app, subscribe(after_seq=after))
        assert await names(resumed, 2) == ["number.2", "number.3"]
        await resumed.__aexit__()

    with_app(test)


def test_a_subscriber_too_far_behind_is_closed_with_1013():
    async def test(app: App) -> None:
        await post(app, *(event(number) for number in range(20)))
        with pytest.raises(Closed) as closed:
            socket = await following(app, subscribe(after_seq=0))
            await socket.receive()
        assert (closed.value.code, closed.value.reason) == (1013, "Subscriber too slow")
        fine = await following(app, subscribe(after_seq=10))
        assert len(await names(fine, 10)) == 10
        await fine.__aexit__()

    with_app(test, event_limits=EventLimits(maximum_lag=10))


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ({"type": "subscribe"}, "Expected 'filter' message"),
        ("not json", "Expected 'filter' message"),
        ({"type": "filter"}, "Invalid filter: filter Expected `object`"),
        ({"type": "filter", "filter": None}, "Invalid filter: filter Expected `object`"),
        ({"type": "filter", "filter": {"evnt": {}}}, "Invalid filter: evnt Extra inputs"),
        ({"type": "filter", "filter": {"occurred": 7}}, "Invalid filter: occurred"),
        ({"type": "filter", "filter": {}, "after_seq": "x"}, "Invalid filter: after_seq"),
        ({"type": "filter", "filter": {"x" * 1_000: {}}}, "Invalid filter: xxxx"),
    ],
)
def test_a_wrong_filter_closes_with_1002(frame: Any, reason: str):
    async def test(app: App) -> None:
        with pytest.raises(Closed) as closed:
            socket = await following(app, frame)
            await socket.receive()
        assert closed.value.code == 1002
        assert closed.value.reason.startswith(reason)
        assert len(closed.value.reason.encode()) <= 123

    with_app(test)


def test_the_stream_can_be_switched_off():
    async def test(app: App) -> None:
        with pytest.raises(Closed) as closed:
            socket = await following(app, subscribe())
            await socket.receive()
        assert closed.value.code == 1008
        assert "disabled" in closed.value.reason

    with_app(test, events_stream_enabled=False)
