"""What Redis does to the queue of owed teardowns, and that nothing is lost by it.

Every test has a Redis server of its own, which it empties, kills, pauses or makes refuse writes.
"""

import asyncio
import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from tests.queue.conftest import Bench
from tests.server_process import free_port

from penstock.schemas.cleanup import CleanupFilter, CleanupState
from penstock.server.queue.redis import RedisQueue
from penstock.server.store import open_store

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


class RedisServer:
    """A Redis server without files."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                "redis-server",
                *("--port", str(self.port), "--save", "", "--appendonly", "no"),
                *("--enable-debug-command", "yes", "--enable-protected-configs", "yes"),
                *("--dir", str(self.folder)),
            ],
            stdout=subprocess.DEVNULL,
        )
        with self.client() as client:
            for _ in range(200):
                with contextlib.suppress(redis.RedisError):
                    client.ping()
                    return
                time.sleep(0.02)
        raise AssertionError("the Redis server did not start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def client(self) -> "redis.Redis":
        return redis.Redis.from_url(self.url)

    def run(self, *command: Any) -> Any:
        with self.client() as client:
            return client.execute_command(*command)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path)
    try:
        made.start()
    except FileNotFoundError:
        pytest.skip("2026-11-25: there is no redis-server on this machine")
    yield made
    made.kill()


@pytest.fixture
def bench(server: RedisServer) -> Iterator[Bench]:
    store = open_store("sqlite:///:memory:")
    store.start()
    loop = asyncio.new_event_loop()
    made = Bench("redis", store, loop)
    made.queue = RedisQueue(
        store,
        made.bus,
        url=server.url,
        prefix="fault",
        socket_timeout=0.3,
        socket_connect_timeout=0.3,
    )
    made.run(made.bus.start())
    made.run(made.queue.start())
    store.on_wake = made._wake
    made.run(made.queue.reconcile(100))
    yield made
    made.close()
    loop.close()
    store.stop()


def counts(bench: Bench) -> dict[str, int]:
    return bench.run(bench.queue.count(CleanupFilter()))


def drain(bench: Bench) -> list[str]:
    """Tear down whatever is delivered, until nothing is; the ids."""
    done = []
    while (held := bench.reserve()) is not None:
        assert bench.ack(held).status == "accepted"
        done.append(held.message_id)
    return done


class Population:
    """Messages in every state."""

    def __init__(self, bench: Bench) -> None:
        self.dead = {bench.kill().message_id for _ in range(2)}
        finished = [bench.leased() for _ in range(3)]
        for held in finished:
            bench.ack(held)
        self.done = {held.message_id for held in finished}
        self.leased = [bench.leased() for _ in range(4)]
        self.ready = {bench.enqueue() for _ in range(10)}
        bench.settle()

    def check(self, bench: Bench) -> None:
        """Whoever holds one may end it; what waits is delivered; nothing else is."""
        first = self.leased[0]
        assert bench.ack(first).status == "accepted"
        assert bench.renew(self.leased[1]).status == "accepted"
        bench.run(bench.queue.reconcile(100))
        assert set(drain(bench)) == self.ready
        for held in self.leased[1:]:
            assert bench.ack(held).status == "accepted"
        bench.settle()
        total = len(self.done) + len(self.leased) + len(self.ready)
        assert counts(bench) == {"done": total, "dead": len(self.dead)}
        wanted = CleanupFilter(state=[CleanupState.DEAD])
        requeued = bench.run(bench.queue.requeue_many(wanted))
        bench.settle()
        assert set(requeued) == self.dead == set(drain(bench))


def test_flushed(server: RedisServer, bench: Bench) -> None:
    population = Population(bench)
    server.run("FLUSHALL")
    population.check(bench)


def test_flushed_and_found_by_the_reconciler(server: RedisServer, bench: Bench) -> None:
    population = Population(bench)
    server.run("FLUSHALL")
    bench.run(bench.queue.reconcile(100))
    assert len(bench.run(bench.queue.leases_of(bench.consumer))) == len(population.leased)
    population.check(bench)


def test_killed_and_restarted_empty(server: RedisServer, bench: Bench) -> None:
    population = Population(bench)
    server.kill()
    held = population.leased[0]
    assert bench.ack(held).status == "error"
    server.start()
    population.check(bench)


def test_what_is_owed_meanwhile_arrives(server: RedisServer, bench: Bench) -> None:
    server.kill()
    made = bench.run(bench.queue.enqueue(bench.message()))
    server.start()
    bench.run(bench.queue.reconcile(100))
    assert drain(bench) == [str(made.id)]


def test_a_failover_that_lost_the_last_writes(server: RedisServer, bench: Bench) -> None:
    held = bench.leased()
    waiting = bench.enqueue()
    bench.settle()
    with server.client() as client:
        before = {key: client.dump(key) for key in client.keys("fault:*")}
        bench.ack(held)
        taken = bench.reserve()
        assert taken is not None and taken.message_id == waiting
        bench.settle()
        client.flushall()
        for key, value in before.items():
            client.restore(key, 0, value or b"")
    bench.run(bench.queue.reconcile(100))
    assert bench.reserve() is None
    assert bench.ack(taken).status == "accepted"
    bench.settle()
    assert counts(bench) == {"done": 2}


Refuse = Callable[[RedisServer], None]


def read_only(server: RedisServer) -> None:
    server.run("REPLICAOF", "127.0.0.1", str(free_port()))


def writable(server: RedisServer) -> None:
    server.run("REPLICAOF", "NO", "ONE")


def misconfigured(server: RedisServer) -> None:
    """A snapshot that cannot be written makes Redis refuse to write at all."""
    server.run("CONFIG", "SET", "save", "3600 1")
    server.run("CONFIG", "SET", "dir", "/proc")
    with contextlib.suppress(redis.RedisError):
        server.run("BGSAVE")
    for _ in range(100):
        if b"rdb_last_bgsave_status:err" in server.run("INFO", "persistence"):
            return
        if server.run("INFO", "persistence").get("rdb_last_bgsave_status") == "err":
            return
        time.sleep(0.02)
    raise AssertionError("the snapshot did not fail")


def configured(server: RedisServer) -> None:
    server.run("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")


@pytest.mark.parametrize(
    ("refuse", "allow"),
    [(read_only, writable), (misconfigured, configured)],
    ids=lambda f: f.__name__,
)
def test_writes_are_refused(
    server: RedisServer, bench: Bench, refuse: Refuse, allow: Refuse
) -> None:
    population = Population(bench)
    attempts = bench.get(population.leased[0].message_id).attempts
    refuse(server)
    for held in population.leased:
        assert bench.ack(held).status == "error"
        assert bench.release(held).status == "error"
    owed = bench.run(bench.queue.enqueue(bench.message()))
    allow(server)
    assert bench.get(population.leased[0].message_id).attempts == attempts
    population.ready.add(str(owed.id))
    population.check(bench)


def test_paused(server: RedisServer, bench: Bench) -> None:
    population = Population(bench)
    server.run("CLIENT", "PAUSE", "1200", "ALL")
    assert bench.ack(population.leased[0]).status == "error"
    owed = bench.run(bench.queue.enqueue(bench.message()))
    population.ready.add(str(owed.id))
    time.sleep(1.2)
    population.check(bench)


def test_loading(server: RedisServer, bench: Bench) -> None:
    population = Population(bench)
    with server.client() as client:
        client.mset({f"filler:{number}": "x" * 200 for number in range(3_000)})
    server.run("CONFIG", "SET", "key-load-delay", "300")
    server.run("CONFIG", "SET", "loading-process-events-interval-bytes", "1024")
    loading = threading.Thread(target=lambda: server.run("DEBUG", "RELOAD"))
    loading.start()
    seen = set()
    while loading.is_alive():
        answer = bench.renew(population.leased[0])
        seen.add((answer.status.value, "loading" in (answer.detail or "").lower()))
    loading.join()
    assert ("error", True) in seen
    population.check(bench)
