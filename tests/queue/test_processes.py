"""Several server processes on one queue: whoever produces, every process hears of it."""

import asyncio
import time
from collections.abc import Callable
from uuid import uuid4

import pytest
from tests.databases import POSTGRES
from tests.queue.conftest import REDIS, Bench, forget, reachable

from penstock.server.bus import MemoryBus, open_bus
from penstock.server.queue import CleanupQueue
from penstock.server.queue.database import DatabaseQueue
from penstock.server.queue.redis import RedisQueue
from penstock.server.store import Store


@pytest.mark.parametrize("kind", ["redis", "postgresql"])
def test_a_message_wakes_other_processes(kind: str, stores: Callable[[str], Store]) -> None:
    if kind == "redis" and not reachable(REDIS):
        pytest.skip("2026-11-25: no Redis server can be reached")
    loop = asyncio.new_event_loop()
    bench = Bench(kind, stores(kind), loop)
    prefix = f"test:{uuid4().hex}"

    def opened() -> CleanupQueue:
        if kind == "redis":
            return RedisQueue(bench.store, MemoryBus(), url=REDIS, prefix=prefix, protocol=2)
        return DatabaseQueue(bench.store, open_bus("postgresql", POSTGRES))

    async def test() -> float:
        here, there = opened(), opened()
        for queue in (here, there):
            await queue._bus.start()  # type: ignore[attr-defined]
            await queue.start()
        await asyncio.sleep(0.3)
        heard = asyncio.Event()
        there.on_wake(lambda pool: heard.set() if pool == bench.pool else None)

        def committed(topics: frozenset[str]) -> None:
            for topic in topics:
                here._bus.wake(topic)  # type: ignore[attr-defined]
            here.committed(topics)

        bench.store.on_wake = committed
        began = time.monotonic()
        await here.enqueue(bench.message())
        await asyncio.wait_for(heard.wait(), 5)
        took = time.monotonic() - began
        for queue in (here, there):
            await queue.stop()
            await queue._bus.stop()  # type: ignore[attr-defined]
        return took

    try:
        assert loop.run_until_complete(test()) < 2
    finally:
        loop.close()
        if kind == "redis":
            forget(prefix)
