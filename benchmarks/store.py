"""Throughput and CPU of the store.

    python benchmarks/store.py [--writers 16] [--seconds 3] [URL ...]

Each write is one operation of four statements (a look-up, a timer set, an event inserted, the
timer deleted). Without a URL it measures a new SQLite file beside the current directory. CPU is
that of this process: a database server's own is not in it. PostgreSQL databases are emptied.
"""

import argparse
import asyncio
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from penstock.base.ids import uuid7
from penstock.schemas.events import RESOURCE_ID
from penstock.server.store import Store, open_store
from penstock.server.store.transaction import Tx

RELATED = [{RESOURCE_ID: "prefect.flow.1", "prefect.resource.role": "flow"}]
PAYLOAD = {"intended": {"from": "PENDING", "to": "RUNNING"}, "initial_state": {"type": "PENDING"}}


def four_statements(tx: Tx, key: str) -> None:
    tx.one("lease.get", name=key)
    tx.run("timer.set", kind="benchmark", key=key, due=tx.now, payload={})
    insert_event(tx, key)
    tx.run("timer.delete", kind="benchmark", key=key)
    tx.wake("events")


def insert_event(tx: Tx, key: str) -> None:
    tx.run(
        "event.ingest",
        id=key,
        occurred=tx.now,
        received=tx.now,
        event="prefect.flow-run.Running",
        resource_id=f"prefect.flow-run.{key}",
        resource={RESOURCE_ID: f"prefect.flow-run.{key}", "prefect.resource.name": "brave-otter"},
        related=RELATED,
        payload=PAYLOAD,
        follows=None,
    )


def many_events(tx: Tx, count: int) -> None:
    for _ in range(count):
        insert_event(tx, str(uuid7()))


def look(tx: Tx) -> Any:
    return tx.one("lease.get", name="none")


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def concurrent(store: Store, writers: int, seconds: float, read: bool = False) -> None:
    end = time.monotonic() + seconds
    done = 0

    async def writer() -> None:
        nonlocal done
        while time.monotonic() < end:
            if read:
                await store.read(look)
            else:
                await store.write(four_statements, str(uuid7()))
            done += 1

    commits, begun, spent = store.statistics.commits, time.monotonic(), cpu()
    await asyncio.gather(*(writer() for _ in range(writers)))
    took, used = time.monotonic() - begun, cpu() - spent
    commits = store.statistics.commits - commits
    what = "reads of 1 statement" if read else "writes of 4 statements"
    print(
        f"  {writers:3} at once, {what}: {done / took:8.0f}/s, {used / done * 1e6:6.1f} µs CPU"
        f" each, {done / commits if commits else 0:.1f} per commit"
    )


async def bulk(store: Store, batch: int, batches: int) -> None:
    begun, spent = time.monotonic(), cpu()
    for _ in range(batches):
        await store.write(many_events, batch)
    took, used, rows = time.monotonic() - begun, cpu() - spent, batch * batches
    print(
        f"  events in batches of {batch}: {rows / took:8.0f}/s,"
        f" {used / rows * 1e6:6.1f} µs CPU each"
    )


def measure(url: str, writers: int, seconds: float) -> None:
    store = open_store(url)
    store.reset()
    store.start()
    print(f"{store.dialect}:")
    try:
        asyncio.run(concurrent(store, writers, 0.5))
        asyncio.run(concurrent(store, 1, seconds))
        asyncio.run(concurrent(store, writers, seconds))
        asyncio.run(concurrent(store, 1, seconds, read=True))
        asyncio.run(concurrent(store, writers, seconds, read=True))
        asyncio.run(bulk(store, 500, 10))
    finally:
        store.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("urls", nargs="*")
    parser.add_argument("--writers", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".benchmark-") as directory:
        for url in args.urls or [f"sqlite:///{directory}/store.db"]:
            measure(url, args.writers, args.seconds)


if __name__ == "__main__":
    main()
