"""Events over a socket: all good ones are stored, bad ones hurt nobody, acks mean committed."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from tests.unit.server.api.apps import with_app
from tests.unit.server.api.asgi import Closed, WebSocket, request

from penstock.schemas.errors import ServiceUnavailable
from penstock.server.api.ws import events_in
from penstock.server.api.ws.protocol import EXTENSION, PingGate
from penstock.server.app import App

PROTOCOL = "penstock.events.v1"


def event(**changes: Any) -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "occurred": "2026-11-25T00:00:00Z",
        "event": "happened",
        "resource": {"prefect.resource.id": "thing.1"},
        **changes,
    }


async def stored(app: App) -> set[str]:
    """Ids of all events the server has."""
    found: set[str] = set()
    page = (await request(app, "POST", "/api/events/filter", {})).json
    while True:
        found |= {one["id"] for one in page["events"]}
        if page["next_page"] is None:
            return found
        target = page["next_page"].removeprefix("http://testserver")
        page = (await request(app, "GET", target)).json


async def acknowledged(socket: WebSocket, through: int) -> list[dict[str, Any]]:
    """The rejects that came before the ack through `through`."""
    rejects = []
    while True:
        frame = await socket.receive()
        if frame["type"] == "ack":
            assert frame["through"] <= through
            if frame["through"] == through:
                return rejects
        else:
            rejects.append(frame)


BAD: list[Any] = [
    "not json",
    "",
    "[]",
    '"text"',
    "[" * 100_000,
    '{"a": ' * 5_000,
    event(event="x" * 1_025),
    event(resource={}),
    event(resource={"prefect.resource.id": 7}),
    event(related=[{"prefect.resource.id": "a"}]),
    event(related=[{"prefect.resource.id": "a", "prefect.resource.role": "b"}] * 101),
    event(resource={"prefect.resource.id": "a"} | {str(n): "x" for n in range(501)}),
    event(payload={"text": "x" * 1_500_001}),
    event(id="7"),
    event(occurred="yesterday"),
    {"event": "without the rest"},
]


def test_a_bad_frame_between_good_ones_with_the_peers_protocol():
    async def test(app: App) -> None:
        good = [event() for _ in range(len(BAD) + 1)]
        async with WebSocket(app, "/api/events/in", subprotocols=["prefect"]) as socket:
            await socket.login()
            socket.send(good[0])
            for bad, following in zip(BAD, good[1:], strict=True):
                socket.send(bad)
                socket.send(following)
            socket.send_bytes(b"\xff\xfe")
        assert await stored(app) == {one["id"] for one in good}
        assert sum(app.edge.counters.events_rejected.values()) == len(BAD) + 1
        assert socket.nothing_received()

    with_app(test)


def test_a_bad_frame_between_good_ones_with_acks():
    async def test(app: App) -> None:
        good = [event() for _ in range(len(BAD) + 1)]
        async with WebSocket(app, "/api/events/in", subprotocols=[PROTOCOL]) as socket:
            await socket.login()
            socket.send(good[0])
            for bad, following in zip(BAD, good[1:], strict=True):
                if bad != "[]":
                    socket.send(bad)
                socket.send(following)
            sent = len(good) + len(BAD) - 1
            rejects = await acknowledged(socket, sent)
            assert len(rejects) == len(BAD) - 1
            assert all(reject["reason"] for reject in rejects)
            named = {reject["id"] for reject in rejects}
            assert BAD[7]["id"] in named
            assert await stored(app) == {one["id"] for one in good}

    with_app(test)


def test_an_array_frame_counts_each_of_its_events():
    async def test(app: App) -> None:
        good = [event() for _ in range(3)]
        async with WebSocket(app, "/api/events/in", subprotocols=[PROTOCOL]) as socket:
            await socket.login()
            socket.send([good[0], {"id": "bad-1"}, good[1]])
            rejects = await acknowledged(socket, 3)
            assert [reject["id"] for reject in rejects] == ["bad-1"]
            socket.send([good[2]])
            assert await acknowledged(socket, 4) == []
            assert await stored(app) == {one["id"] for one in good}

    with_app(test)


def test_sending_again_changes_nothing():
    async def test(app: App) -> None:
        one = event()
        for _ in range(2):
            async with WebSocket(app, "/api/events/in", subprotocols=[PROTOCOL]) as socket:
                await socket.login()
                socket.send(one)
                socket.send(one)
                await acknowledged(socket, 2)
        assert await stored(app) == {one["id"]}

    with_app(test)


def test_what_arrived_before_the_peer_left_is_stored():
    async def test(app: App) -> None:
        sent = [event() for _ in range(2_000)]
        async with WebSocket(app, "/api/events/in", subprotocols=["prefect"]) as socket:
            await socket.login()
            for one in sent:
                socket.send(one)
        assert await stored(app) == {one["id"] for one in sent}

    with_app(test)


def test_waiting_frames_share_a_transaction():
    async def test(app: App) -> None:
        async with WebSocket(app, "/api/events/in", subprotocols=[PROTOCOL]) as socket:
            await socket.login()
            before = app.store.statistics.snapshot()[0]
            for _ in range(1_000):
                socket.send(event())
            await acknowledged(socket, 1_000)
            assert app.store.statistics.snapshot()[0] - before <= 10

    with_app(test)


def test_an_event_the_store_cannot_take_is_found_and_left_out(monkeypatch: pytest.MonkeyPatch):
    async def test(app: App) -> None:
        original = events_in.ops.ingest

        def ingest(tx: Any, context: Any, events: Any) -> int:
            if any(one.event == "poison" for one in events):
                raise ArithmeticError("cannot be stored")
            return original(tx, context, events)

        monkeypatch.setattr(events_in.ops, "ingest", ingest)
        good = [event() for _ in range(20)]
        poison = event(event="poison")
        async with WebSocket(app, "/api/events/in", subprotocols=[PROTOCOL]) as socket:
            await socket.login()
            socket.send([*good[:13], poison, *good[13:]])
            rejects = await acknowledged(socket, 21)
            assert [reject["id"] for reject in rejects] == [poison["id"]]
            assert await stored(app) == {one["id"] for one in good}

    with_app(test)


def test_nothing_is_acknowledged_while_the_database_is_away():
    async def test(app: App) -> None:
        original = app.edge.store.write
        outcomes: list[str] = []

        async def write(op: Any, *arguments: Any, **keywords: Any) -> Any:
            if len(outcomes) < 2:
                outcomes.append("refused")
                raise ServiceUnavailable("the database is locked")
            outcomes.append("written")
            return await original(op, *arguments, **keywords)

        app.edge.store.write = write
        async with WebSocket(app, "/api/events/in", subprotocols=[PROTOCOL]) as socket:
            await socket.login()
            socket.send(event())
            assert await acknowledged(socket, 1) == []
        assert outcomes == ["refused", "refused", "written"]

    with_app(test)


def test_a_database_that_stays_away_closes_with_1013(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events_in, "RETRY_SECONDS", -1.0)

    async def test(app: App) -> None:
        async def write(*arguments: Any, **keywords: Any) -> Any:
            raise ServiceUnavailable("the database is locked")

        app.edge.store.write = write
        with pytest.raises(Closed) as closed:
            async with WebSocket(app, "/api/events/in", subprotocols=[PROTOCOL]) as socket:
                await socket.login()
                socket.send(event())
                await socket.receive()
        assert closed.value.code == 1013

    with_app(test)


def test_a_frame_flood_is_held_back(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events_in, "FRAMES_HELD", 10)
    monkeypatch.setattr(events_in, "BATCH", 4)

    async def test(app: App) -> None:
        sent = [event() for _ in range(200)]
        async with WebSocket(app, "/api/events/in", subprotocols=[PROTOCOL]) as socket:
            await socket.login()
            for one in sent:
                socket.send(one)
            await acknowledged(socket, 200)
        assert await stored(app) == {one["id"] for one in sent}

    with_app(test)


# --- pings ----------------------------------------------------------------------------------------


def test_a_ping_is_answered_when_the_frames_before_it_are_dealt_with():
    async def test() -> None:
        answers: list[bytes] = []
        gate = PingGate(answers.append)
        gate.ping(b"before guard")
        gate.guard()
        gate.received = 1
        gate.confirm(1)
        gate.ping(b"nothing waits")
        gate.received = 3
        gate.ping(b"after three")
        gate.received = 5
        gate.ping(b"after five")
        assert answers == [b"before guard", b"nothing waits"]
        gate.confirm(2)
        assert len(answers) == 2
        gate.confirm(4)
        assert answers[2:] == [b"after three"]
        gate.confirm(5)
        assert answers[3:] == [b"after five"]
        gate.ping(b"again")
        assert answers[4:] == [b"again"]

    asyncio.run(test())


def test_a_ping_is_answered_after_two_seconds_at_the_latest(monkeypatch: pytest.MonkeyPatch):
    async def test() -> None:
        monkeypatch.setattr("penstock.server.api.ws.protocol.LONGEST_WAIT", 0.01)
        answered = asyncio.Event()
        gate = PingGate(lambda answer: answered.set())
        gate.guard()
        gate.received = 1
        gate.ping(b"x")
        await asyncio.wait_for(answered.wait(), 5)
        gate.ping(b"y")
        gate.close()

    asyncio.run(test())


def test_the_endpoint_confirms_what_it_committed():
    async def test(app: App) -> None:
        gate = PingGate(lambda answer: None)
        confirmed: list[int] = []
        original = gate.confirm

        def confirm(frames: int) -> None:
            confirmed.append(frames)
            original(frames)

        gate.confirm = confirm
        socket = WebSocket(app, "/api/events/in", subprotocols=["prefect"])
        socket.extend(EXTENSION, gate)
        async with socket:
            await socket.login()
            for _ in range(3):
                socket.send(event())
            socket.send("bad")
        assert confirmed[0] == 1
        assert confirmed[-1] == 5

    with_app(test)
