"""Who gets onto a socket, and with which close code the others leave. The same for every path."""

import asyncio
from typing import Any

import pytest
from tests.unit.server.api.apps import with_app
from tests.unit.server.api.asgi import Closed, WebSocket

from penstock.server.app import App

PATHS = ["/api/events/in", "/api/events/out", "/api/logs/out"]
EVENTS_PROTOCOL = "penstock.events.v1"


def closed_by(app: App, path: str, *frames: Any, **options: Any) -> Any:
    """The way a socket is closed after these frames."""

    async def run() -> Closed:
        options.setdefault("subprotocols", ["prefect"])
        with pytest.raises(Closed) as caught:
            async with WebSocket(app, path, **options) as socket:
                for frame in frames:
                    socket.send(frame)
                while True:
                    await socket.receive()
        return caught.value

    return run()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ({"type": "auth", "token": None}, "Auth required but no token provided"),
        ({"type": "auth", "token": ""}, "Auth required but no token provided"),
        ({"type": "auth"}, "Auth required but no token provided"),
        ({"type": "auth", "token": "me:wrong"}, "Invalid token"),
        ({"type": "auth", "token": ["me:pass"]}, "Invalid token"),
        ({"type": "hello"}, "Expected 'auth' message"),
        ("not json", "Expected 'auth' message"),
        ("[]", "Expected 'auth' message"),
        ("[" * 100_000, "Expected 'auth' message"),
    ],
)
def test_a_wrong_first_frame_closes_with_1008(path: str, frame: Any, reason: str):
    async def test(app: App) -> None:
        closed = await closed_by(app, path, frame)
        assert (closed.code, closed.reason, closed.accepted) == (1008, reason, True)

    with_app(test, auth_string="me:pass")


@pytest.mark.parametrize("path", PATHS)
def test_the_right_token_is_welcome(path: str):
    async def test(app: App) -> None:
        async with WebSocket(app, path, subprotocols=["prefect"]) as socket:
            assert socket.subprotocol == "prefect"
            await socket.login("me:pass")

    with_app(test, auth_string="me:pass", logs_stream_enabled=True)


@pytest.mark.parametrize("path", PATHS)
def test_without_a_subprotocol_credentials_cannot_be_given(path: str):
    async def test(app: App) -> None:
        closed = await closed_by(app, path, subprotocols=[])
        assert not closed.accepted

    with_app(test, auth_string="me:pass")


def test_without_credentials_any_token_is_welcome():
    async def test(app: App) -> None:
        for token in (None, "", "anything"):
            async with WebSocket(app, "/api/events/in", subprotocols=["prefect"]) as socket:
                await socket.login(token)

    with_app(test)


def test_a_legacy_client_is_accepted_without_a_handshake():
    async def test(app: App) -> None:
        async with WebSocket(app, "/api/events/in") as socket:
            assert socket.subprotocol is None
            assert socket.nothing_received()

    with_app(test)


def test_the_events_protocol_wins_where_both_are_offered():
    async def test(app: App) -> None:
        offered = ["prefect", EVENTS_PROTOCOL]
        async with WebSocket(app, "/api/events/in", subprotocols=offered) as socket:
            assert socket.subprotocol == EVENTS_PROTOCOL
            await socket.login()

    with_app(test)


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"host": "evil.example"}])
def test_pages_of_other_sites_are_refused(headers: dict[str, str]):
    async def test(app: App) -> None:
        for path in PATHS:
            closed = await closed_by(app, path, headers=headers)
            assert not closed.accepted

    with_app(test, allowed_hosts=("testserver",))


def test_an_unknown_path_is_refused():
    async def test(app: App) -> None:
        for path in ("/api/events/sideways", "/events/in", "/"):
            assert not (await closed_by(app, path)).accepted

    with_app(test)


def test_a_peer_that_leaves_before_the_handshake_is_over():
    async def test(app: App) -> None:
        before = asyncio.all_tasks()
        async with WebSocket(app, "/api/events/out", subprotocols=["prefect"]):
            pass
        assert asyncio.all_tasks() <= before

    with_app(test)
