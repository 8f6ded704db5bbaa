"""Events on their way to a server: the socket with and without acknowledgement, refusal, HTTP."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.scripted_api import Answer, ScriptedApi
from tests.server_process import ServerProcess
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

from penstock.base import json as wire
from penstock.base.clock import utc_now
from penstock.client import SyncPenstockClient
from penstock.client.endpoint import reset
from penstock.client.outbox import Bounds
from penstock.client.sockets import EventStream
from penstock.client.target import Target
from penstock.schemas.events import Event, EventFilter, EventNameFilter

LONG = 30.0


def event(name: str, **payload: Any) -> bytes:
    resource = {"prefect.resource.id": "demo.1"}
    return wire.encode(Event(occurred=utc_now(), event=name, resource=resource, payload=payload))


def names(frames: list[Any]) -> list[str]:
    return [one["event"] for one in frames]


@pytest.fixture(autouse=True)
def _fresh_endpoints() -> Iterator[None]:
    reset()
    yield
    reset()


class Listener:
    """A real WebSocket server with a script: what it heard, how it answers."""

    def __init__(self, protocol: str, talk: Callable[["Listener", ServerConnection], None]) -> None:
        self.heard: list[Any] = []
        self.tokens: list[Any] = []
        self.connections = 0
        self._talk = talk
        self._server: Server = serve(
            self._handle, "127.0.0.1", 0, subprotocols=[Subprotocol(protocol)], logger=_silent()
        )
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.socket.getsockname()[1]}/api"

    def _handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        assert connection.request.path == "/api/events/in"
        self.connections += 1
        self.tokens.append(json.loads(connection.recv())["token"])
        try:
            connection.send('{"type":"auth_success"}')
            self._talk(self, connection)
        except ConnectionClosed:
            pass

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()


def _silent() -> logging.Logger:
    logger = logging.getLogger("tests.websockets")
    logger.disabled = True
    return logger


def acknowledging(listener: Listener, connection: ServerConnection) -> None:
    through = 0
    for frame in connection:
        batch = json.loads(frame)
        listener.heard.append(batch)
        through += len(batch)
        connection.send(json.dumps({"type": "ack", "through": through}))


@pytest.fixture
def streams() -> Iterator[list[EventStream]]:
    made: list[EventStream] = []
    yield made
    for stream in made:
        stream.close()


def stream_to(url: str, streams: list[EventStream], **target: Any) -> EventStream:
    made = EventStream(Target(url=url, version_check=False, **target), bounds=Bounds(interval=LONG))
    streams.append(made)
    return made


def test_a_batch_is_one_frame_and_done_when_acknowledged(streams: list[EventStream]):
    listener = Listener("penstock.events.v1", acknowledging)
    stream = stream_to(listener.url, streams, auth_string="user:pass")
    for number in range(5):
        stream.send(event(f"demo.{number}"))
    assert stream.flush(LONG) == 0
    stream.send(event("demo.5"))
    assert stream.flush(LONG) == 0
    assert [len(batch) for batch in listener.heard] == [5, 1]
    assert names(listener.heard[0] + listener.heard[1]) == [f"demo.{n}" for n in range(6)]
    assert (listener.connections, listener.tokens) == (1, ["user:pass"])
    stream.close()
    listener.close()


def test_a_connection_lost_before_the_acknowledgement_sends_again(streams: list[EventStream]):
    def talk(listener: Listener, connection: ServerConnection) -> None:
        if listener.connections == 1:
            listener.heard.append(json.loads(connection.recv()))
            connection.close(1011, "going down")
            return
        acknowledging(listener, connection)

    listener = Listener("penstock.events.v1", talk)
    stream = stream_to(listener.url, streams)
    stream.send(event("demo.kept"))
    assert stream.flush(LONG) == 0
    assert [names(batch) for batch in listener.heard] == [["demo.kept"], ["demo.kept"]]
    assert listener.heard[0][0]["id"] == listener.heard[1][0]["id"], "the id makes it one event"
    stream.close()
    listener.close()


def test_a_refused_event_is_told_and_the_rest_goes_on(
    streams: list[EventStream], caplog: pytest.LogCaptureFixture
):
    def talk(listener: Listener, connection: ServerConnection) -> None:
        batch = json.loads(connection.recv())
        for one in batch:
            reject = {"type": "reject", "id": one["id"], "reason": "name too long"}
            connection.send(json.dumps(reject))
        connection.send(json.dumps({"type": "ack", "through": len(batch)}))
        acknowledging(listener, connection)

    listener = Listener("penstock.events.v1", talk)
    stream = stream_to(listener.url, streams)
    for _ in range(3):
        stream.send(event("demo.bad"))
    assert stream.flush(LONG) == 0
    told = [record.getMessage() for record in caplog.records]
    assert sum("name too long" in text for text in told) == 1, "once per reason"
    stream.close()
    listener.close()


def test_without_acknowledgement_each_event_is_a_frame_and_a_ping_confirms(
    streams: list[EventStream],
):
    def talk(listener: Listener, connection: ServerConnection) -> None:
        for frame in connection:
            listener.heard.append(json.loads(frame))

    listener = Listener("prefect", talk)
    stream = stream_to(listener.url, streams)
    for number in range(3):
        stream.send(event(f"demo.{number}"))
    assert stream.flush(LONG) == 0
    stream.close()
    listener.close()
    assert names(listener.heard) == ["demo.0", "demo.1", "demo.2"]


def test_a_socket_that_refuses_the_credentials_is_told_and_http_takes_over(
    streams: list[EventStream], caplog: pytest.LogCaptureFixture
):
    with ScriptedApi({("POST", "/events"): Answer(204)}) as api:
        # An HTTP server that knows no sockets answers the upgrade with 404.
        stream = stream_to(api.url, streams)
        for number in range(3):
            stream.send(event(f"demo.{number}"))
        assert stream.flush(LONG) == 0
        stream.send(event("demo.3"))
        assert stream.flush(LONG) == 0
        posts = [one for one in api.heard if one.method == "POST"]
        assert [names(post.body) for post in posts] == [["demo.0", "demo.1", "demo.2"], ["demo.3"]]
        errors = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert len(errors) == 1, "said once"
        assert "PENSTOCK_API_AUTH_STRING" in errors[0].getMessage()
        stream.close()


def test_one_wrong_event_does_not_take_its_neighbours_along(
    streams: list[EventStream], caplog: pytest.LogCaptureFixture
):
    class Picky(ScriptedApi):
        def _answer(self, handler: Any) -> Answer:
            answer = super()._answer(handler)
            body = self.heard[-1].body
            wrong = body is not None and any(one["event"] == "demo.wrong" for one in body)
            return Answer(422, {"detail": "no"}) if wrong else answer

    with Picky({("POST", "/events"): Answer(204)}) as api:
        stream = stream_to(api.url, streams)
        for name in ("a", "b", "wrong", "c", "d"):
            stream.send(event(f"demo.{name}"))
        assert stream.flush(LONG) == 0
        taken = [
            one["event"]
            for heard in api.heard
            if heard.body and all(one["event"] != "demo.wrong" for one in heard.body)
            for one in heard.body
        ]
        assert sorted(taken) == ["demo.a", "demo.b", "demo.c", "demo.d"]
        assert any("one item was refused" in record.getMessage() for record in caplog.records)
        stream.close()


# --- a real server -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    home: Path = tmp_path_factory.mktemp("server")
    with ServerProcess(home, PENSTOCK_SERVER_API_AUTH_STRING="admin:pass") as running:
        yield running


def stored(server: ServerProcess, name: str) -> int:
    client = SyncPenstockClient(server.api, auth_string="admin:pass")
    return client.read_events(EventFilter(event=EventNameFilter(name=[name]))).total


def test_flushed_events_are_in_the_database(server: ServerProcess, streams: list[EventStream]):
    stream = stream_to(server.api, streams, auth_string="admin:pass")
    for number in range(2_500):
        stream.send(event("demo.stored", number=number))
    assert stream.flush(LONG) == 0
    assert stored(server, "demo.stored") == 2_500


def test_wrong_credentials_are_told_and_nothing_is_dropped_silently(
    server: ServerProcess, streams: list[EventStream], caplog: pytest.LogCaptureFixture
):
    stream = stream_to(server.api, streams, auth_string="admin:wrong")
    stream.send(event("demo.unauthorized"))
    assert stream.flush(1.0) == 1
    assert any("refused this client" in record.getMessage() for record in caplog.records)
    assert stored(server, "demo.unauthorized") == 0
    assert stream.pending == 1


def test_an_event_the_server_refuses_leaves_the_socket_open(
    server: ServerProcess, streams: list[EventStream], caplog: pytest.LogCaptureFixture
):
    stream = stream_to(server.api, streams, auth_string="admin:pass")
    stream.send(event("demo.before"))
    stream.send(event("x" * 1025))
    stream.send(event("demo.after"))
    assert stream.flush(LONG) == 0
    assert stored(server, "demo.before") == stored(server, "demo.after") == 1
    assert any("refused the event" in record.getMessage() for record in caplog.records)
