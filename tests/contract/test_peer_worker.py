"""Unmodified workers of the peer's package on Penstock's channel: connected, given teardowns.

Needs `PENSTOCK_TEST_PEER_PYTHON` (3.7.4) or `PENSTOCK_TEST_PEER_NEXT_PYTHON` (3.7.8): a Python
with that release installed. Two servers share one PostgreSQL database; the worker reaches them
through a relay that the test turns from one to the other.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.databases import database_url
from tests.server_process import ServerProcess

from penstock.base.clock import utc_now
from penstock.server.bus import Bus, open_bus
from penstock.server.config import CleanupConfig
from penstock.server.domain.cleanup import Message
from penstock.server.domain.cleanup_owed import id_of
from penstock.server.queue import open_queue
from penstock.server.store import open_store
from penstock.server.store.dsn import conninfo

KIND = "cancelling_timeout_teardown.v1"
PEERS = [
    pytest.param(os.environ.get(name), id=release)
    for name, release in (
        ("PENSTOCK_TEST_PEER_PYTHON", "3.7.4"),
        ("PENSTOCK_TEST_PEER_NEXT_PYTHON", "3.7.8"),
    )
    if os.environ.get(name)
]

pytestmark = [
    pytest.mark.skipif(
        not PEERS,
        reason="2026-11-25: set PENSTOCK_TEST_PEER_PYTHON to run the peer's worker (make contract)",
    ),
    pytest.mark.timeout(120),
]


class Relay:
    """A port that leads to a server, and to another one from one moment to the next."""

    def __init__(self, port: int) -> None:
        self.to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def turn(self, port: int) -> None:
        """Lead to another port, and break every connection that there is."""
        self.to = port
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.turn(0)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self.to))
                except OSError:
                    near.close()
                    continue
                self._open |= {near, far}
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class World:
    """Two servers on one database, a relay to the first, and a queue to put messages in."""

    def __init__(self, url: str, servers: list[ServerProcess], relay: Relay) -> None:
        self.servers = servers
        self.relay = relay
        self._url = url
        self.pool: str = ""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            self.servers[1].api + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def cancelled_run(self, pid: str) -> str:
        flow = self.call("POST", "/flows/", {"name": "etl"})
        body = {"name": "d", "flow_id": flow["id"], "work_pool_name": "peer", "entrypoint": "x:f"}
        deployment = self.call("POST", "/deployments/", body)
        path = f"/deployments/{deployment['id']}/create_flow_run"
        run = self.call("POST", path, {"state": {"type": "CANCELLED"}})
        self.call("PATCH", f"/flow_runs/{run['id']}", {"infrastructure_pid": pid})
        return run["id"]

    def enqueue(self, pid: str) -> str:
        """Owe the teardown of a run with this handle; the id of the message."""
        now, run = utc_now(), self.cancelled_run(pid)
        key = f"{KIND}:{run}:{uuid4()}"
        message = Message(
            id=id_of(key),
            work_pool_id=self.pool,
            kind=KIND,
            cause="cancelling_timeout",
            flow_run_id=run,
            target={"flow_run_id": run, "infrastructure_pid": pid},
            data={},
            idempotency_key=key,
            available_at=now,
            created_at=now,
            updated_at=now,
            queued_at=now,
        )

        async def put(queue: Any) -> None:
            await queue.enqueue(message)

        self._with_queue(put)
        return message.id

    def message(self, id: str) -> Any:
        """The message with its deliveries."""

        async def get(queue: Any) -> Any:
            return await queue.get(id)

        return self._with_queue(get)

    def until_done(self, id: str, seconds: float = 30.0) -> Any:
        deadline = time.monotonic() + seconds
        while (found := self.message(id)).message.state != "done":
            assert time.monotonic() < deadline, found
            time.sleep(0.2)
        return found

    def _with_queue(self, use: Callable[[Any], Any]) -> Any:
        async def whole() -> Any:
            store, bus = open_store(self._url), open_bus("postgresql", conninfo(self._url))
            store.on_wake = lambda topics: _wake(bus, topics)
            queue = open_queue(CleanupConfig(), store, bus)
            await asyncio.to_thread(store.start)
            await bus.start()
            await queue.start()
            try:
                return await use(queue)
            finally:
                await asyncio.sleep(0.05)  # what was woken goes out
                await queue.stop()
                await bus.stop()
                await asyncio.to_thread(store.stop)

        return asyncio.run(whole())


def _wake(bus: Bus, topics: frozenset[str]) -> None:
    for topic in topics:
        bus.wake(topic)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with database_url("postgresql", tmp_path_factory.mktemp("database")) as url:
        settings = {
            "PENSTOCK_SERVER_WORKER_CHANNEL_CLEANUP_LEASE_SECONDS": "7",
            "PENSTOCK_SERVER_SERVICES_CLEANUP_RECONCILER_LOOP_SECONDS": "1",
        }
        servers = [
            ServerProcess(tmp_path_factory.mktemp("server"), database_url=url, **settings)
            for _ in range(2)
        ]
        with servers[0], servers[1]:
            relay = Relay(servers[0].port)
            made = World(url, servers, relay)
            made.pool = made.call("POST", "/work_pools/", {"name": "peer", "type": "recorder"})[
                "id"
            ]
            yield made
            relay.close()


@contextmanager
def worker(python: str, world: World, folder: Path) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The peer's worker, connected; a function that reads what it has recorded."""
    world.relay.turn(world.servers[0].port)
    record, log = folder / "record", folder / "worker.log"
    record.touch()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_API_URL": f"http://127.0.0.1:{world.relay.port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_WORKER_QUERY_SECONDS": "60",
        "DO_NOT_TRACK": "1",
    }
    environment.pop("PYTHONPATH", None)
    script = Path(__file__).with_name("peer_worker.py")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [python, str(script), "peer", f"peer-{uuid4().hex[:6]}", str(record)],
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 30
        while "channel is healthy" not in log.read_text():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.1)
        yield lambda: [json.loads(line) for line in record.read_text().splitlines()]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def steps(record: list[dict[str, Any]], pid: str) -> list[str]:
    return [line["step"] for line in record if line["pid"] == pid]


@pytest.mark.parametrize("python", PEERS)
def test_a_worker_is_healthy_tears_down_renews_and_moves_between_servers(
    python: str, world: World, tmp_path: Path
):
    with worker(python, world, tmp_path) as record:
        quick = world.until_done(world.enqueue("quick:0"))
        assert steps(record(), "quick:0") == ["begin", "end"]
        assert (quick.message.deliveries, quick.message.attempts) == (1, 0)

        # Longer than a lease: the worker renews when five seconds of it are left.
        slow = world.until_done(world.enqueue("slow:9"))
        assert steps(record(), "slow:9") == ["begin", "end"]
        assert (slow.message.deliveries, slow.message.attempts) == (1, 0)
        assert slow.history[0].renewals >= 2

        # The connection breaks in the middle; the other server hears the acknowledgement.
        id = world.enqueue("moved:5")
        deadline = time.monotonic() + 15
        while not steps(record(), "moved:5"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        world.relay.turn(world.servers[1].port)
        moved = world.until_done(id)
        assert steps(record(), "moved:5") == ["begin", "end"]
        assert (moved.message.deliveries, moved.message.attempts) == (1, 0)
        assert moved.history[0].outcome == "acked"
