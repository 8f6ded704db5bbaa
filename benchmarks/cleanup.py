"""How fast owed teardowns go through the queue: enqueue, reserve, renew and acknowledge.

    python benchmarks/cleanup.py [--messages 1000] [--backends sqlite,postgresql,redis]
        [--postgres URL] [--redis URL] [--skip-idle] [--json]

For each backend, with 1 and with 32 consumers: whole cycles a second, the CPU time
of this process in one, the share of optimistic transactions that were aborted (Redis), and the
commands an idle process sends in 20 seconds. The
database of Redis's ledger is SQLite; every SQLite file here is synced to disk at each commit.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import redis
import uvloop

from penstock.base.clock import utc_now
from penstock.schemas.cleanup import CleanupKind
from penstock.server.bus import MemoryBus
from penstock.server.domain.cleanup import Message
from penstock.server.domain.cleanup_owed import id_of
from penstock.server.queue.database import DatabaseQueue
from penstock.server.queue.redis import RedisQueue
from penstock.server.store import Store, open_store

KIND = CleanupKind.CANCELLING_TIMEOUT.value
CONSUMERS = (1, 32)
IDLE_SECONDS = 20


def message(pool: str) -> Message:
    now, run = utc_now(), str(uuid4())
    key = f"{KIND}:{run}:{uuid4()}"
    return Message(
        id=id_of(key),
        work_pool_id=pool,
        kind=KIND,
        cause="manual",
        flow_run_id=run,
        target={"flow_run_id": run, "infrastructure_pid": f"host:{run}"},
        data={"cause": "manual"},
        idempotency_key=key,
        available_at=now,
        created_at=now,
        updated_at=now,
        queued_at=now,
    )


async def cycles(queue: Any, pool: str, consumer: str, left: list[int], waits: list[float]) -> None:
    """Whole cycles until nothing is left to begin; a message may be another consumer's."""
    while left[0] > 0:
        left[0] -= 1
        began = time.perf_counter()
        await queue.enqueue(message(pool))
        while True:
            held = await queue.reserve(pool, [KIND], consumer_id=consumer, worker_name=consumer)
            if held is not None:
                break
            await asyncio.sleep(0.002)
        await accepted(queue.renew, pool, held)
        await accepted(queue.ack, pool, held)
        waits.append(time.perf_counter() - began)


async def accepted(operation: Any, pool: str, held: Any) -> None:
    """As a worker does: an operation that could not be carried out is tried again."""
    while True:
        result = await operation(pool, held.message_id, held.token)
        if result.status == "accepted":
            return
        if result.status != "error":
            raise RuntimeError(f"{operation.__name__} was answered {result.status}")


async def measured(queue: Any, consumers: int, messages: int) -> dict[str, Any]:
    pool = str(uuid4())
    lines = getattr(queue, "lines", None)
    sent, aborted = (lines.transactions, lines.aborts) if lines else (0, 0)
    left, waits = [messages], []
    began, worked = time.perf_counter(), time.process_time()
    await asyncio.gather(
        *(cycles(queue, pool, str(uuid4()), left, waits) for _ in range(consumers))
    )
    took, worked = time.perf_counter() - began, time.process_time() - worked
    waits.sort()
    result: dict[str, Any] = {
        "consumers": consumers,
        "messages": messages,
        "per_second": round(messages / took, 1),
        "cpu_ms": round(1000 * worked / messages, 2),
        "cycle_p50_ms": round(1000 * waits[len(waits) // 2], 2),
        "cycle_p99_ms": round(1000 * waits[int(len(waits) * 0.99)], 2),
    }
    if lines:
        transactions = lines.transactions - sent
        result["aborts_percent"] = round(100 * (lines.aborts - aborted) / max(transactions, 1), 2)
    counts = {s.work_pool_id: s.counts for s in await settled(queue)}
    if counts.get(pool) != {"done": messages}:
        raise RuntimeError(f"{messages} messages ended as {counts.get(pool)}")
    return result


async def settled(queue: Any) -> Any:
    if hasattr(queue, "settled"):
        await queue.settled()
    return await queue.stats()


async def idle(queue: Any, store: Store) -> float:
    """Commands a second of a process with nothing to do: its reconciler and its safety poll."""
    lines = getattr(queue, "lines", None)
    before = store.statistics.transactions + (lines.commands if lines else 0)
    end = time.monotonic() + IDLE_SECONDS
    while time.monotonic() < end:
        await queue.reconcile(100)
        await asyncio.sleep(5)
    after = store.statistics.transactions + (lines.commands if lines else 0)
    return round((after - before) / IDLE_SECONDS, 2)


async def run(kind: str, store: Store, options: argparse.Namespace) -> dict[str, Any]:
    bus = MemoryBus()
    await bus.start()
    prefix = f"bench:{uuid4().hex}"
    if kind == "redis":
        queue: Any = RedisQueue(store, bus, url=options.redis, prefix=prefix, protocol=2)
    else:
        queue = DatabaseQueue(store, bus)
    await queue.start()

    def committed(topics: frozenset[str]) -> None:
        for topic in topics:
            bus.wake(topic)
        queue.committed(topics)

    store.on_wake = committed
    try:
        await queue.reconcile(100)
        await measured(queue, 4, 50)  # warm
        found = [await measured(queue, count, options.messages) for count in CONSUMERS]
        resting = None if options.skip_idle else await idle(queue, store)
        return {"backend": kind, "runs": found, "idle_per_second": resting}
    finally:
        await queue.stop()
        await bus.stop()
        if kind == "redis":
            with closing(redis.Redis.from_url(options.redis)) as client:
                for key in client.scan_iter(match=f"{prefix}:*", count=1000):
                    client.delete(key)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--backends", default="sqlite,postgresql,redis")
    parser.add_argument(
        "--postgres",
        default=os.environ.get(
            "PENSTOCK_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test"
        ),
    )
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/0")
    parser.add_argument("--skip-idle", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = []
    for kind in options.backends.split(","):
        with ExitStack() as closing_:
            if kind == "postgresql":
                schema = f"bench_{uuid4().hex}"
                connection = closing_.enter_context(
                    psycopg.connect(options.postgres, autocommit=True)
                )
                connection.execute(f"CREATE SCHEMA {schema}".encode())
                closing_.callback(connection.execute, f"DROP SCHEMA {schema} CASCADE".encode())
                separator = "&" if "?" in options.postgres else "?"
                url = f"{options.postgres}{separator}search_path={schema}"
            else:
                folder = closing_.enter_context(tempfile.TemporaryDirectory(dir=Path.cwd()))
                url = f"sqlite:///{folder}/bench.db"
            store = open_store(url)
            store.start()
            closing_.callback(store.stop)
            results.append(uvloop.run(run(kind, store, options)))
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for result in results:
        for one in result["runs"]:
            aborts = f", {one['aborts_percent']} % aborted" if "aborts_percent" in one else ""
            print(
                f"{result['backend']:11} {one['consumers']:3} consumers:"
                f" {one['per_second']:8} cycles/s, {one['cpu_ms']} ms of CPU each,"
                f" p50 {one['cycle_p50_ms']} ms,"
                f" p99 {one['cycle_p99_ms']} ms{aborts}"
            )
        if result["idle_per_second"] is not None:
            print(f"{result['backend']:11} idle: {result['idle_per_second']} commands/s")


if __name__ == "__main__":
    main()
