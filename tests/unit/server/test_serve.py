"""A served process: start, address file, sockets, graceful stop, exposure."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.unit.server.served import Served
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from penstock.schemas.errors import ConfigurationError
from penstock.server.config import ServerConfig
from penstock.server.serve import SERVER_FILE, announced, check_exposure, listen


def call(api: str, path: str, body: object = None, method: str = "POST") -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{api}{path}", data, {"Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        content = answer.read()
        return json.loads(content) if content else None


@contextmanager
def socket_to(api: str, path: str, protocol: str = "prefect") -> Iterator[ClientConnection]:
    """An authenticated socket."""
    url = api.replace("http", "ws", 1) + path
    with connect(url, subprotocols=[Subprotocol(protocol)], max_size=None) as connection:
        connection.send(json.dumps({"type": "auth", "token": None}))
        assert json.loads(connection.recv(10)) == {"type": "auth_success"}
        yield connection


def upgrade_status(api: str, path: str) -> int:
    """The status a WebSocket without a subprotocol is answered with."""
    host = api.split("/")[2]
    name, _, port = host.partition(":")
    lines = [
        f"GET /api{path} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
    with socket.create_connection((name, int(port)), timeout=10) as raw:
        raw.sendall("\r\n".join([*lines, "", ""]).encode())
        return int(raw.recv(4096).split()[1])


def event() -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "occurred": "2026-11-25T00:00:00Z",
        "event": "happened",
        "resource": {"prefect.resource.id": "thing.1"},
    }


def test_a_server_says_where_it_is_while_it_runs(tmp_path: Path):
    with Served(tmp_path) as server:
        file = tmp_path / SERVER_FILE
        content = json.loads(file.read_text())
        assert server.process is not None
        assert content["pid"] == server.process.pid
        assert content["url"] == server.api
        assert content["database_url"] == f"sqlite:///{tmp_path / 'penstock.db'}"
        assert content["started"]
        assert file.stat().st_mode & 0o777 == 0o600
        assert call(server.api, "/health", method="GET") is True
        assert server.end(signal.SIGTERM) == 0
    assert not file.exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_interrupt_ends_it_in_good_order_with_sockets_open(tmp_path: Path):
    with Served(tmp_path) as server, socket_to(server.api, "/events/out") as following:
        following.send(json.dumps({"type": "filter", "filter": {}}))
        with socket_to(server.api, "/events/in"):
            began = time.perf_counter()
            server.end(signal.SIGINT)
            assert time.perf_counter() - began < 5
        with pytest.raises(ConnectionClosed) as closed:
            following.recv(5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert "Traceback" not in server.output()
        assert "ERROR" not in server.output()


def test_a_ping_of_the_peers_client_is_answered_after_the_commit(tmp_path: Path):
    with Served(tmp_path) as server, socket_to(server.api, "/events/in") as intake:
        sent = 0
        for _ in range(20):
            for _ in range(50):
                intake.send(json.dumps(event()))
            sent += 50
            assert intake.ping().wait(10)
            page = call(server.api, "/events/filter", {"limit": 0})
            assert page["total"] == sent


def test_events_of_several_connections_arrive_at_a_follower(tmp_path: Path):
    with Served(tmp_path) as server, socket_to(server.api, "/events/out") as following:
        following.send(json.dumps({"type": "filter", "filter": {}}))
        sent = set()
        with (
            socket_to(server.api, "/events/in") as one,
            socket_to(server.api, "/events/in", "penstock.events.v1") as two,
        ):
            for _ in range(200):
                for intake in (one, two):
                    body = event()
                    sent.add(body["id"])
                    intake.send(json.dumps(body))
            received = [json.loads(following.recv(10))["event"] for _ in range(400)]
        assert {body["id"] for body in received} == sent
        positions = [body["seq"] for body in received]
        assert positions == sorted(set(positions))


def test_a_socket_without_credentials_is_refused_before_it_opens(tmp_path: Path):
    with Served(tmp_path, auth_string="me:pass") as server:
        assert upgrade_status(server.api, "/events/in") == 403
        with pytest.raises(urllib.error.HTTPError) as unauthorized:
            call(server.api, "/version", method="GET")
        assert unauthorized.value.code == 401
        assert "www-authenticate" not in unauthorized.value.headers
        unauthorized.value.close()


def test_an_oversized_body_is_refused_and_the_server_goes_on(tmp_path: Path):
    with Served(tmp_path, maximum_body_bytes=100_000) as server:
        host, _, port = server.api.split("/")[2].partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as raw:
            raw.sendall(
                b"POST /api/flows/ HTTP/1.1\r\nHost: localhost\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
            )
            answer = b""
            for _ in range(50):
                raw.sendall(b"2710\r\n" + b" " * 10_000 + b"\r\n")
            raw.sendall(b"0\r\n\r\n")
            while piece := raw.recv(4096):
                answer += piece
        assert b" 413 " in answer.partition(b"\r\n")[0]
        assert call(server.api, "/flows/", {"name": "f"})["name"] == "f"


def test_other_names_for_this_machine_are_not_answered(tmp_path: Path):
    with Served(tmp_path) as server:
        for path, status in (("/flows/name/x", 403), ("/health", 200)):
            request = urllib.request.Request(
                f"{server.api}{path}", headers={"Host": "evil.example"}
            )
            if status == 200:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    assert answer.status == 200
            else:
                with pytest.raises(urllib.error.HTTPError) as refused:
                    urllib.request.urlopen(request, timeout=10)
                assert refused.value.code == status
                refused.value.close()


def test_a_database_that_cannot_be_opened_ends_the_start_with_its_reason(tmp_path: Path):
    server = Served(tmp_path, database_url="postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(AssertionError):
        server.start()
    assert server.process is not None
    assert server.process.wait(30) != 0
    assert server.process.stdout is not None
    server.process.stdout.close()
    assert "127.0.0.1" in server.output()
    assert not (tmp_path / SERVER_FILE).exists()


def test_memory_stays_within_its_budget(tmp_path: Path):
    """Below 80 MiB when idle. How long a start takes is measured by `benchmarks/compare.py`."""
    with Served(tmp_path) as server:
        assert server.process is not None
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        assert int(status.partition("VmRSS:")[2].split()[0]) / 1024 < 80


# --- pieces ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_a_local_server_needs_no_credentials_and_answers_local_names_only(host: str):
    checked = check_exposure(ServerConfig(), host, insecure=False)
    assert "localhost" in checked.allowed_hosts
    named = ServerConfig(allowed_hosts=("flows.internal",))
    assert check_exposure(named, host, insecure=False) is named


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "flows.example.com", ""])
def test_an_open_address_needs_credentials_or_a_clear_word(host: str):
    with pytest.raises(ConfigurationError, match="no credentials are configured"):
        check_exposure(ServerConfig(), host, insecure=False)
    guarded = ServerConfig(auth_string="me:pass")
    assert check_exposure(guarded, host, insecure=False) is guarded
    plain = ServerConfig()
    assert check_exposure(plain, host, insecure=True) is plain


def test_a_port_that_is_taken_is_named():
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    with pytest.raises(ConfigurationError, match=f"port {port}"):
        listen("127.0.0.1", port)
    listener.close()


def test_the_address_file_of_another_server_is_left_alone(tmp_path: Path):
    config = ServerConfig(home=tmp_path, database_url="postgresql://me:hunter2@db/x")
    with announced(config, "http://127.0.0.1:1/api"):
        assert "hunter2" not in (tmp_path / SERVER_FILE).read_text()
        assert "postgresql://me@db/x" in (tmp_path / SERVER_FILE).read_text()
        (tmp_path / SERVER_FILE).write_text(json.dumps({"pid": 1}))
    assert json.loads((tmp_path / SERVER_FILE).read_text()) == {"pid": 1}
    with announced(ServerConfig(home=None), "http://127.0.0.1:1/api"):
        pass


def test_importing_the_server_does_not_import_what_start_does_not_need():
    program = (
        "import sys, penstock.server.serve\n"
        "heavy = {'pydantic', 'psycopg', 'redis', 'rich', 'starlette', 'jinja2', 'urllib3'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
