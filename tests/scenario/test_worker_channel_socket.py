"""The worker channel as bytes on a socket: the upgrade, and how a stopping server says goodbye."""

import base64
import json
import os
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.channel import hello, path
from tests.server_process import ServerProcess
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as running:
        for name in ("local", "two words"):
            make_pool(running, name)
        yield running


def make_pool(server: ServerProcess, name: str) -> None:
    body = json.dumps({"name": name, "type": "process"}).encode()
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(
        urllib.request.Request(server.api + "/work_pools/", body, headers)
    ).close()


def upgrade(port: int, *lines: str) -> tuple[int, dict[str, str]]:
    """Status and headers with which the server answers a request to upgrade."""
    key = base64.b64encode(os.urandom(16)).decode()
    head = [
        f"GET {path()} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        *lines,
        "",
        "",
    ]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall("\r\n".join(head).encode())
        answer = b""
        while b"\r\n\r\n" not in answer and (data := raw.recv(4096)):
            answer += data
    first, *rest = answer.decode().split("\r\n\r\n")[0].split("\r\n")
    headers = dict(line.split(": ", 1) for line in rest)
    return int(first.split()[1]), {name.lower(): value for name, value in headers.items()}


@pytest.mark.parametrize(
    "lines",
    [
        ["Sec-WebSocket-Protocol: prefect"],
        ["Sec-WebSocket-Protocol: other, prefect"],
        ["Sec-WebSocket-Protocol: other", "Sec-WebSocket-Protocol: prefect"],
    ],
)
def test_the_subprotocol_is_echoed_however_it_is_offered(server: ServerProcess, lines: list[str]):
    status, headers = upgrade(server.port, *lines)
    assert (status, headers["sec-websocket-protocol"]) == (101, "prefect")


@pytest.mark.parametrize("lines", [[], ["Sec-WebSocket-Protocol: other"]])
def test_without_the_subprotocol_the_upgrade_is_refused(server: ServerProcess, lines: list[str]):
    assert upgrade(server.port, *lines)[0] == 403


@contextmanager
def worker(server: ServerProcess, pool: str) -> Iterator[ClientConnection]:
    url = server.api.replace("http", "ws").removesuffix("/api") + path(pool)
    with connect(url, subprotocols=[Subprotocol("prefect")]) as connection:
        connection.send(json.dumps({"type": "auth", "token": None}))
        connection.recv(10)
        connection.send(json.dumps(hello()))
        assert json.loads(connection.recv(10))["type"] == "worker.ready.v1"
        yield connection


def test_a_percent_encoded_name_finds_its_pool(server: ServerProcess):
    with worker(server, "two%20words"):
        pass


def test_a_server_that_stops_sends_its_workers_elsewhere(tmp_path: Path):
    with ServerProcess(tmp_path) as server, ExitStack() as closing:
        make_pool(server, "local")
        connections = [closing.enter_context(worker(server, "local")) for _ in range(3)]
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        for connection in connections:
            with pytest.raises(ConnectionClosed) as caught:
                connection.recv(10)
            closed = caught.value.rcvd
            assert closed is not None
            assert (closed.code, closed.reason) == (1011, "transient_server_error")
        stopping.join(20)
