"""The worker channel: from owed to delivered, what a connected worker costs, what idling costs.

    python benchmarks/channel.py [--workers 1000] [--samples 300] [--postgres URL]

Servers run in processes of their own; the workers are sockets of this process. With `--postgres`
(an empty database) two servers share it, and messages are enqueued in the one that has no workers.
Prints what is promised beside what was seen. Needs about a minute, and no other load.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from penstock.base.clock import utc_now
from penstock.server.api.ws.protocol import GatedProtocol
from penstock.server.app import App, create_app
from penstock.server.config import LoopConfig, ServerConfig
from penstock.server.domain.cleanup import Message
from penstock.server.domain.cleanup_owed import id_of

KIND = "cancelling_timeout_teardown.v1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--idle", type=float, default=40.0, help="seconds of idling")
    parser.add_argument("--postgres", help="URL of an empty database")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--database", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(int(given.serve), given.database))
        return
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(one_process(Path(folder), given.workers, given.samples, given.idle))
    if given.postgres:
        asyncio.run(two_processes(given.postgres, given.samples))


def report(what: str, seen: str, promised: str = "") -> None:
    print(f"{what:<58} {seen:>16}   {promised}", flush=True)


# --- a server that is told what to enqueue -------------------------------------------------------


async def serve(port: int, database: str) -> None:
    """A server without background loops; each line on its input enqueues messages in a pool."""
    bus = "postgresql" if database.startswith("postgresql") else "memory"
    # The reconciler adds one statement every five seconds, whoever is connected.
    loops = LoopConfig(reconciler=False)
    app = create_app(ServerConfig(database_url=database, services=False, bus=bus, loops=loops))
    config = uvicorn.Config(
        app,
        port=port,
        loop="uvloop",
        http="httptools",
        ws=GatedProtocol,
        log_config=None,
        ws_per_message_deflate=False,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        await obey(app, line.split())
    server.should_exit = True
    await serving


async def obey(app: App, words: list[bytes]) -> None:
    match words:
        case [b"enqueue", pool]:
            began = time.monotonic()
            await app.queue.enqueue(owed(pool.decode()))
            print(json.dumps([began, time.monotonic()]), flush=True)
        case [b"statements"]:
            print(json.dumps(app.store.statistics.snapshot()), flush=True)


def owed(pool: str) -> Message:
    now, run = utc_now(), str(uuid4())
    key = f"{KIND}:{run}"
    return Message(
        id=id_of(key),
        work_pool_id=pool,
        kind=KIND,
        cause="manual",
        flow_run_id=run,
        target={"flow_run_id": run, "infrastructure_pid": "x"},
        data={},
        idempotency_key=key,
        available_at=now,
        created_at=now,
        updated_at=now,
        queued_at=now,
    )


class Served:
    """A server process and its pipe."""

    def __init__(self, port: int, database: str) -> None:
        self.port = port
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", str(port), "--database", database],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._wait()

    def _wait(self) -> None:
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/health"):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the server did not start")

    def ask(self, line: str) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def call(self, method: str, path: str, body: Any) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    @property
    def memory(self) -> int:
        """Resident bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(20)


# --- workers -------------------------------------------------------------------------------------


def frame(type: str, payload: Any) -> str:
    sent = datetime.now(UTC).isoformat()
    return json.dumps({"type": type, "id": str(uuid4()), "sent_at": sent, "payload": payload})


async def worker(port: int, name: str, limit: int) -> tuple[ClientConnection, float]:
    """A connected worker, and how long it took from its first word to ready."""
    url = f"ws://127.0.0.1:{port}/api/work_pools/bench/workers/connect"
    connection = await connect(
        url,
        subprotocols=[Subprotocol("prefect")],
        compression=None,
        ping_interval=None,
        open_timeout=60,
    )
    began = time.monotonic()
    await connection.send('{"type":"auth","token":null}')
    await connection.recv()
    payload = {
        "consumer_id": str(uuid4()),
        "worker_name": name,
        "worker_type": "bench",
        "heartbeat_interval_seconds": 3_600,
        "supported_channel_versions": ["work_pool_worker_channel.v1"],
        "requested_capabilities": [
            "worker_heartbeat.v1",
            "work_pool_snapshot.v1",
            "cleanup_delivery.v1",
        ],
        "handled_cleanup_kinds": [KIND],
        "max_cleanup_concurrency": limit,
    }
    await connection.send(frame("worker.hello.v1", payload))
    ready = json.loads(await connection.recv())
    assert ready["type"] == "worker.ready.v1", ready
    return connection, time.monotonic() - began


async def acknowledge(connection: ClientConnection, held: dict[str, Any]) -> None:
    names = ("message_id", "reservation_token")
    await connection.send(frame("cleanup.ack.v1", {name: held[name] for name in names}))
    result = json.loads(await connection.recv())
    assert result["payload"]["status"] == "accepted", result


@asynccontextmanager
async def one_worker(port: int) -> AsyncIterator[ClientConnection]:
    connection, _ = await worker(port, "latency", 1)
    yield connection
    await connection.close()


async def latencies(enqueue: Served, serve: Served, pool: str, samples: int) -> list[float]:
    """Milliseconds from the call that enqueues to the frame in the worker's hands.

    The call returns when the message is committed: `committed` is that part of it.
    """
    seen, committed = [], []
    async with one_worker(serve.port) as connection:
        for _ in range(samples):
            asking = asyncio.to_thread(enqueue.ask, f"enqueue {pool}")
            waiting = asyncio.create_task(arrival(connection))
            began, done = await asking
            committed.append(1_000 * (done - began))
            arrived, held = await waiting
            seen.append(1_000 * (arrived - began))
            await acknowledge(connection, held)
    report(
        "  of which until the message is committed, p50", f"{statistics.median(committed):.1f} ms"
    )
    return sorted(seen)


async def arrival(connection: ClientConnection) -> tuple[float, dict[str, Any]]:
    text = await connection.recv()
    return time.monotonic(), json.loads(text)["payload"]


def report_latency(where: str, seen: list[float], p50: int, p99: int) -> None:
    middle, late = statistics.median(seen), seen[int(0.99 * len(seen))]
    report(f"enqueue to frame, {where}, p50", f"{middle:.1f} ms", f"<= {p50} ms")
    report(f"enqueue to frame, {where}, p99", f"{late:.1f} ms", f"<= {p99} ms")


# --- what is measured ----------------------------------------------------------------------------


async def one_process(folder: Path, workers: int, samples: int, idle: float) -> None:
    server = Served(4_790, f"sqlite:///{folder}/channel.db")
    try:
        pool = server.call("POST", "/work_pools/", {"name": "bench", "type": "bench"})["id"]
        seen = await latencies(server, server, pool, samples)
        report_latency("one process, SQLite", seen, 5, 50)
        await connected(server, workers, idle)
    finally:
        server.close()


async def connected(server: Served, count: int, idle: float) -> None:
    warm = [await worker(server.port, f"warm-{number}", 1) for number in range(20)]
    before = server.memory
    connections: list[ClientConnection] = []
    setups: list[float] = []
    for start in range(0, count, 50):
        made = await asyncio.gather(
            *(worker(server.port, f"w{start + number}", 1) for number in range(50))
        )
        connections += [connection for connection, _ in made]
        setups += [took for _, took in made]
    each = (server.memory - before) / len(connections) / 1024
    report(f"{len(connections)} connected workers, memory each", f"{each:.1f} KiB", "<= 60 KiB")
    setups.sort()
    report(
        "channel setup, 50 at a time, p99",
        f"{1_000 * setups[int(0.99 * len(setups))]:.0f} ms",
        "<= 100 ms, one at a time",
    )
    await asyncio.sleep(1)
    _, first = server.ask("statements")
    await asyncio.sleep(idle)
    _, last = server.ask("statements")
    report(
        f"statements of {len(connections)} idle workers",
        f"{(last - first) / idle:.2f} /s",
        "<= 0.2 /s",
    )
    await asyncio.gather(*(one.close() for one in [*connections, *(one for one, _ in warm)]))


async def two_processes(database: str, samples: int) -> None:
    servers = [Served(4_791, database), Served(4_792, database)]
    try:
        pool = servers[0].call("POST", "/work_pools/", {"name": "bench", "type": "bench"})["id"]
        here = await latencies(servers[0], servers[0], pool, samples)
        report_latency("one process, PostgreSQL", here, 5, 50)
        seen = await latencies(servers[1], servers[0], pool, samples)
        report_latency("two processes, PostgreSQL", seen, 15, 100)
    finally:
        for server in servers:
            server.close()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).parents[1] / "src"))
    main()
