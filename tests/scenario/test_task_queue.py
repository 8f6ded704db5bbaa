"""Background task runs outlive the server that they were given to."""

import json
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.unit.server.served import Served
from websockets import Subprotocol
from websockets.sync.client import ClientConnection, connect


def delay(api: str) -> str:
    details = {"deferred": True, "task_parameters_id": str(uuid4())}
    body = {
        "task_key": "work",
        "dynamic_key": str(uuid4()),
        "flow_run_id": None,
        "state": {"type": "SCHEDULED", "state_details": details},
    }
    return post(f"{api}/task_runs/", body)["id"]


def post(url: str, body: Any) -> Any:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@contextmanager
def subscribed(api: str) -> Iterator[ClientConnection]:
    address = api.replace("http", "ws", 1) + "/task_runs/subscriptions/scheduled"
    with connect(address, subprotocols=[Subprotocol("prefect")], open_timeout=30) as socket:
        say(socket, {"type": "auth", "token": None})
        assert hear(socket) == {"type": "auth_success"}
        say(socket, {"type": "subscribe", "keys": ["work"], "client_id": "host-1"})
        yield socket


def say(socket: ClientConnection, value: Any) -> None:
    socket.send(json.dumps(value))


def hear(socket: ClientConnection) -> Any:
    return json.loads(socket.recv(timeout=30))


def test_what_waits_is_there_after_the_server_was_killed(tmp_path: Path):
    with Served(tmp_path) as server:
        ids = [delay(server.api) for _ in range(3)]
        with subscribed(server.api) as socket:
            assert hear(socket)["id"] == ids[0]
            say(socket, {"type": "ack"})
            pending = {"state": {"type": "PENDING"}}
            answer = post(f"{server.api}/task_runs/{ids[0]}/set_state", pending)
            assert answer["status"] == "ACCEPT"
            assert hear(socket)["id"] == ids[1]
            server.end(signal.SIGKILL)
        server.start()
        with subscribed(server.api) as socket:
            # The second one was lent when the server died, and comes when the loan is over.
            assert hear(socket)["id"] == ids[2]


def test_a_server_that_stops_takes_back_what_it_lent(tmp_path: Path):
    with Served(tmp_path) as server:
        ids = [delay(server.api) for _ in range(2)]
        with subscribed(server.api) as socket:
            assert hear(socket)["id"] == ids[0]
            server.end(signal.SIGTERM)
        server.start()
        got = []
        with subscribed(server.api) as socket:
            for _ in ids:
                got.append(hear(socket)["id"])
                say(socket, {"type": "ack"})
    assert sorted(got) == sorted(ids)
