"""Following log records as they are stored."""

from typing import Any
from uuid import uuid4

import pytest
from tests.unit.server.api.apps import with_app
from tests.unit.server.api.asgi import Closed, WebSocket, request

from penstock.server.app import App


def log(message: str, **changes: Any) -> dict[str, Any]:
    return {
        "level": 20,
        "name": "n",
        "message": message,
        "timestamp": "2026-11-25T00:00:00Z",
        "flow_run_id": None,
        "task_run_id": None,
        **changes,
    }


async def following(app: App, frame: Any) -> WebSocket:
    socket = WebSocket(app, "/api/logs/out", subprotocols=["prefect"])
    await socket.__aenter__()
    await socket.login()
    socket.send(frame)
    return socket


RUN = str(uuid4())


@pytest.mark.parametrize(
    "filter",
    [
        {"level": {"ge_": 30}},
        {"level": {"ge_": 30, "le_": 40}},
        {"flow_run_id": {"any_": [RUN]}},
        {"task_run_id": {"is_null_": False}},
        {"text": {"query": "wanted -nothing"}},
        {"timestamp": {"after_": "2026-11-25T01:00:00Z"}},
        {"operator": "or_", "level": {"ge_": 50}, "flow_run_id": {"any_": [RUN]}},
    ],
)
def test_live_records_that_match(filter: dict[str, Any]):
    async def test(app: App) -> None:
        socket = await following(app, {"type": "filter", "filter": filter})
        wanted = log(
            "wanted",
            level=40,
            flow_run_id=RUN,
            task_run_id=str(uuid4()),
            timestamp="2026-11-25T02:00:00Z",
        )
        other = log("nothing")
        reply = await request(app, "POST", "/api/logs/", [other, wanted, other])
        assert reply.status == 201
        frame = await socket.receive()
        assert frame["type"] == "log"
        assert frame["log"]["message"] == "wanted"
        assert frame["log"]["flow_run_id"] == RUN
        await socket.__aexit__()
        assert socket.nothing_received()

    with_app(test, logs_stream_enabled=True)


def test_it_must_be_switched_on():
    async def test(app: App) -> None:
        with pytest.raises(Closed) as closed:
            socket = await following(app, {"type": "filter", "filter": {}})
            await socket.receive()
        assert closed.value.code == 1008
        assert "stream_out_enabled" in closed.value.reason

    with_app(test)


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "x"},
        "x",
        {"type": "filter", "filter": {"levl": 1}},
        {"type": "filter", "filter": 7},
    ],
)
def test_a_wrong_first_frame_closes_with_1002(frame: Any):
    async def test(app: App) -> None:
        with pytest.raises(Closed) as closed:
            socket = await following(app, frame)
            await socket.receive()
        assert closed.value.code == 1002

    with_app(test, logs_stream_enabled=True)
