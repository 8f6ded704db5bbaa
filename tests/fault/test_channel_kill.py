"""A server that dies at any step of a delivery loses no teardown and repeats none for long.

Messages are owed, a worker is connected, and the server kills itself at a named point; then it is
started again. The worker keeps a record of what it tore down: that, not the queue, is the oracle.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import pytest
from tests.fault.forked_server import CHANNEL_CRASH_POINTS, ForkedServers, quiet_port

from penstock.base.clock import utc_now
from penstock.client.target import Target
from penstock.schemas.channel import CANCELLING_TIMEOUT_TEARDOWN, CleanupMessage
from penstock.server.bus import MemoryBus
from penstock.server.config import CleanupConfig
from penstock.server.domain.cleanup import Message
from penstock.server.domain.cleanup_owed import id_of
from penstock.server.queue import CleanupQueue, open_queue
from penstock.server.store import open_store
from penstock.workers.channel import WorkerChannel, WorkerDescription
from penstock.workers.cleanup import CleanupExecutor

OWED = 6
EACH_TIME = ("after a claim, before its frame", "after an operation, before its answer")
"""Points of the regular suite; the others are among the slow tests."""
LEASE_SECONDS = 1.0
SEED = int(os.environ.get("PENSTOCK_TEST_SEED", "20261125"))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkedServers]:
    home = tmp_path_factory.mktemp("killed")
    options = {
        "cleanup": {"policy": {"lease_seconds": LEASE_SECONDS, "retry_base_seconds": 0.2}},
        "loops": {"reconciler_interval": 0.5},
    }
    with ForkedServers(home, quiet_port(), **options) as running:
        running.start()  # makes the database and the pool
        asyncio.run(_connected(running, [], 0.0))
        running.kill()
        yield running


class Queue:
    """The queue of the servers' database, seen from outside of them."""

    def __init__(self, home: Path) -> None:
        self._store = open_store(f"sqlite:///{home / 'penstock.db'}")
        self._queue: CleanupQueue = open_queue(CleanupConfig(), self._store, MemoryBus())

    async def owe(self, count: int) -> list[str]:
        pool = self._store.read_sync(lambda tx: tx.one("work_pool.stamp", name="local"))
        assert pool is not None
        return [await self._enqueue(pool["id"]) for _ in range(count)]

    async def _enqueue(self, pool: str) -> str:
        now, run = utc_now(), str(uuid4())
        key = f"{CANCELLING_TIMEOUT_TEARDOWN}:{run}"
        message = Message(
            id=id_of(key),
            work_pool_id=pool,
            kind=CANCELLING_TIMEOUT_TEARDOWN,
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
        return str((await self._queue.enqueue(message)).id)

    async def found(self, id: str) -> Any:
        found = await self._queue.get(id)
        assert found is not None, "a message is lost"
        return found

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._store.start)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await asyncio.to_thread(self._store.stop)


async def _connected(servers: ForkedServers, torn_down: list[str], seconds: float) -> WorkerChannel:
    """A worker that writes down what it tears down; with no `seconds` it leaves at once."""

    async def tear_down(message: CleanupMessage) -> None:
        await asyncio.sleep(0.02)
        torn_down.append(str(message.message_id))

    async def nothing() -> None:
        return None

    channel = WorkerChannel(
        Target(url=servers.api),
        "local",
        WorkerDescription(name="w", type="x", create_pool_if_not_found=True),
        rest_heartbeat=nothing,
        cleanups=CleanupExecutor({CANCELLING_TIMEOUT_TEARDOWN: tear_down}, limit=3),
        chance=lambda: 0.1,
    )
    await channel.start()
    await channel.settled(10)
    if not seconds:
        await channel.stop()
    return channel


@pytest.mark.parametrize(
    "point",
    [
        point if point in EACH_TIME else pytest.param(point, marks=pytest.mark.slow)
        for point in CHANNEL_CRASH_POINTS
    ],
)
def test_nothing_is_lost_where_the_server_dies(servers: ForkedServers, point: str):
    visits = random.Random(f"{SEED}{point}").randint(1, OWED)

    async def test() -> None:
        async with Queue(servers._home) as queue:
            ids = await queue.owe(OWED)
            torn_down: list[str] = []
            await asyncio.to_thread(servers.start)
            await asyncio.to_thread(servers.arm, point, visits)
            channel = await _connected(servers, torn_down, 1.0)
            assert await asyncio.to_thread(servers.wait), "the point was never reached"
            await asyncio.to_thread(servers.start)
            try:
                found = await asyncio.wait_for(_done(queue, ids), 30)
            finally:
                await channel.stop(0.1)
                await asyncio.to_thread(servers.kill)
        counts = Counter(torn_down)
        assert set(counts) == set(ids)
        assert max(counts.values()) <= 2
        for one in found:
            # Nobody knows yet that the server is dead when a lease as short as this one ends.
            assert one.message.attempts <= 1, one
            ends = [delivery.ended_at for delivery in one.history]
            begins = [delivery.reserved_at for delivery in one.history]
            assert all(end <= begin for end, begin in zip(ends, begins[1:], strict=False))

    asyncio.run(test())


async def _done(queue: Queue, ids: list[str]) -> list[Any]:
    while True:
        found = [await queue.found(id) for id in ids]
        if all(one.message.state == "done" for one in found):
            return found
        await asyncio.sleep(0.05)
