"""Task workers over their socket: one run at a time, and none is lost."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from tests.unit.server.api.apps import with_app
from tests.unit.server.api.asgi import Closed, WebSocket, request

from penstock.server.app import App

PATH = "/api/task_runs/subscriptions/scheduled"
SUBSCRIBE = {"type": "subscribe", "keys": ["work"], "client_id": "host-1"}
ACK = {"type": "ack"}


async def connected(app: App, frame: Any = SUBSCRIBE) -> WebSocket:
    socket = WebSocket(app, PATH, subprotocols=["prefect"])
    await socket.__aenter__()
    await socket.login()
    socket.send(frame)
    return socket


async def delay(app: App, key: str = "work") -> str:
    details = {"deferred": True, "task_parameters_id": str(uuid4())}
    body = {
        "task_key": key,
        "dynamic_key": str(uuid4()),
        "flow_run_id": None,
        "state": {"type": "SCHEDULED", "state_details": details},
    }
    reply = await request(app, "POST", "/api/task_runs/", body)
    assert reply.status == 201
    return reply.json["id"]


async def workers(app: App) -> list[str]:
    reply = await request(app, "POST", "/api/task_workers/filter", {})
    assert reply.status == 200
    return [one["identifier"] for one in reply.json]


def test_waiting_and_coming_runs_one_after_the_other():
    async def test(app: App) -> None:
        first, second = await delay(app), await delay(app)
        await delay(app, "other")
        socket = await connected(app)
        assert (await socket.receive())["id"] == first
        await request(app, "GET", "/api/health")
        assert socket.nothing_received()
        socket.send(ACK)
        assert (await socket.receive())["id"] == second
        socket.send(ACK)
        third = await delay(app)
        run = await socket.receive()
        assert run["id"] == third
        assert run["state"]["type"] == "SCHEDULED"
        assert run["state"]["state_details"]["deferred"] is True
        await socket.__aexit__()

    with_app(test)


def test_runs_of_a_worker_that_leaves_go_to_another_one():
    async def test(app: App) -> None:
        ids = [await delay(app) for _ in range(2)]
        one = await connected(app)
        assert (await one.receive())["id"] == ids[0]
        one.send(ACK)
        assert (await one.receive())["id"] == ids[1]
        two = await connected(app)
        await one.__aexit__()
        got = []
        for _ in ids:
            got.append((await two.receive())["id"])
            two.send(ACK)
        assert sorted(got) == sorted(ids)
        await two.__aexit__()

    with_app(test)


def test_a_worker_that_quits_is_let_go_and_forgotten():
    async def test(app: App) -> None:
        id = await delay(app)
        socket = await connected(app)
        assert (await socket.receive())["id"] == id
        assert await workers(app) == ["host-1"]
        socket.send(ACK)
        socket.send({"type": "quit"})
        with pytest.raises(Closed) as closed:
            await socket.receive()
        assert closed.value.code == 1000
        await socket.__aexit__()
        assert await workers(app) == []
        other = await connected(app)
        assert (await other.receive())["id"] == id
        await other.__aexit__()

    with_app(test)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ({"type": "ack"}, "expected 'subscribe' message"),
        ({"type": "subscribe", "client_id": "c"}, "expected 'keys'"),
        ({"type": "subscribe", "keys": [], "client_id": "c"}, "expected 'keys'"),
        ({"type": "subscribe", "keys": "work", "client_id": "c"}, "expected 'keys'"),
        ({"type": "subscribe", "keys": [1], "client_id": "c"}, "expected 'keys'"),
        ({"type": "subscribe", "keys": ["work"]}, "expected 'client_id'"),
        ({"type": "subscribe", "keys": ["work"], "client_id": ""}, "expected 'client_id'"),
    ],
)
def test_a_frame_that_is_no_subscription(frame: dict[str, Any], reason: str):
    async def test(app: App) -> None:
        socket = await connected(app, frame)
        with pytest.raises(Closed) as closed:
            await socket.receive()
        assert closed.value.code == 4001
        assert reason in closed.value.reason
        await socket.__aexit__()

    with_app(test)


def test_anything_but_an_acknowledgement_ends_the_connection_and_not_the_run():
    async def test(app: App) -> None:
        id = await delay(app)
        socket = await connected(app)
        assert (await socket.receive())["id"] == id
        socket.send({"type": "what"})
        with pytest.raises(Closed) as closed:
            await socket.receive()
        assert (closed.value.code, closed.value.reason) == (
            4001,
            "Protocol violation: expected 'ack' message",
        )
        await socket.__aexit__()
        other = await connected(app)
        assert (await other.receive())["id"] == id
        await other.__aexit__()

    with_app(test)


def test_a_worker_without_credentials_gets_nothing():
    async def test(app: App) -> None:
        socket = WebSocket(app, PATH, subprotocols=["prefect"])
        await socket.__aenter__()
        socket.send({"type": "auth", "token": "wrong"})
        with pytest.raises(Closed) as closed:
            await socket.receive()
        assert closed.value.code == 1008
        await socket.__aexit__()

    with_app(test, auth_string="user:secret")


def test_many_workers_share_the_runs():
    async def test(app: App) -> None:
        sockets = [await connected(app, {**SUBSCRIBE, "client_id": f"h-{n}"}) for n in range(4)]
        got: list[str] = []
        all_there = asyncio.Event()

        async def work(socket: WebSocket) -> None:
            while True:
                got.append((await socket.receive())["id"])
                if len(got) == 40:
                    all_there.set()
                socket.send(ACK)

        tasks = [asyncio.create_task(work(socket)) for socket in sockets]
        ids = [await delay(app) for _ in range(40)]
        await all_there.wait()
        assert sorted(got) == sorted(ids)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for socket in sockets:
            await socket.__aexit__()

    with_app(test)
