"""The event log grows in an order that readers can follow without missing anything (EV2)."""

import asyncio
import random
import threading
from contextlib import closing
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest

from penstock.base.clock import ManualClock
from penstock.schemas.events import RESOURCE_ID
from penstock.server.store import Store
from penstock.server.store.transaction import Tx


def emit(tx: Tx, name: str) -> str:
    id = str(uuid4())
    tx.run(
        "event.ingest",
        id=id,
        occurred=tx.now,
        received=tx.now,
        event=name,
        resource_id=f"thing.{name}",
        resource={RESOURCE_ID: f"thing.{name}"},
        related=[{RESOURCE_ID: "thing.other", "prefect.resource.role": "other"}],
        payload={},
        follows=None,
    )
    tx.wake("events")
    return id


def after(tx: Tx, seq: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
    return tx.all("event.after", seq=seq, limit=limit)


def names_after(tx: Tx, seq: int = 0) -> list[str]:
    return [row["event"] for row in after(tx, seq)]


def consume(tx: Tx, name: str, limit: int) -> list[tuple[int, str]]:
    """One step of a consumer: what is new since its cursor, which moves in the same commit."""
    seq = tx.one("consumer.claim", name=name, seq=0, now=tx.now)["seq"]  # type: ignore[index]
    rows = after(tx, seq, limit)
    if rows:
        tx.run("consumer.advance", name=name, seq=rows[-1]["seq"], now=tx.now)
    return [(row["seq"], row["id"]) for row in rows]


def test_events_of_one_transaction_are_in_order(store: Store) -> None:
    store.write_sync(lambda tx: [emit(tx, f"{number:03}") for number in range(100)])
    store.write_sync(emit, "100")
    rows = store.read_sync(after)
    assert [row["event"] for row in rows] == [f"{number:03}" for number in range(101)]
    numbers = [row["seq"] for row in rows]
    assert numbers == sorted(set(numbers))
    assert store.read_sync(names_after, numbers[98]) == ["099", "100"]
    assert store.read_sync(lambda tx: tx.one("event.last")) == {"seq": numbers[-1]}


def test_an_undone_operation_leaves_no_event(store: Store) -> None:
    def fail(tx: Tx) -> None:
        emit(tx, "lost")
        raise ValueError("undone")

    with pytest.raises(ValueError, match="undone"):
        store.write_sync(fail)
    store.write_sync(emit, "kept")
    assert store.read_sync(names_after) == ["kept"]


def test_numbers_do_not_come_back_after_the_newest_events_were_deleted(store: Store) -> None:
    store.write_sync(emit, "old")
    [old] = store.read_sync(after)
    store.write_sync(lambda tx: tx.fetch("DELETE FROM event RETURNING seq", ()))
    store.write_sync(emit, "new")
    [new] = store.read_sync(after)
    assert new["seq"] > old["seq"]


def test_an_event_is_not_shown_before_an_earlier_transaction_ended(store: Store) -> None:
    if store.dialect == "sqlite":
        pytest.skip("2026-11-25: SQLite has one writer, so no two transactions overlap")
    begun, finish = threading.Event(), threading.Event()

    def slow(tx: Tx) -> None:
        tx.run("timer.set", kind="test", key="slow", due=tx.now, payload={})
        begun.set()
        assert finish.wait(30)
        emit(tx, "slow")

    async def story() -> None:
        first = asyncio.create_task(store.write(slow))
        await asyncio.to_thread(begun.wait, 30)
        await store.write(emit, "fast")
        assert await store.read(names_after) == []
        assert await store.read(lambda tx: tx.one("event.last")) == {"seq": 0}
        finish.set()
        await first
        assert await store.read(names_after) == ["slow", "fast"]

    asyncio.run(story())


def test_a_transaction_of_another_database_holds_up_nobody(
    store: Store, postgres_database: str
) -> None:
    if store.dialect == "sqlite":
        pytest.skip("2026-11-25: an SQLite file is one database")
    elsewhere = urlunsplit(urlsplit(postgres_database)._replace(path="/postgres"))
    with closing(psycopg.connect(elsewhere)) as other:
        other.execute("SELECT pg_current_xact_id()")
        store.write_sync(emit, "a")
        assert store.read_sync(names_after) == ["a"]
        assert store.read_sync(lambda tx: tx.one("event.last")) != {"seq": 0}


def test_no_consumer_skips_or_repeats_an_event_under_concurrent_writers(store: Store) -> None:
    writers, rounds = 8, 40
    chance = random.Random(7)
    plans = [
        [(chance.randrange(4), chance.random() < 0.1) for _ in range(rounds)]
        for _ in range(writers)
    ]
    committed: set[str] = set()
    consumed: dict[str, list[tuple[int, str]]] = {"one": [], "two": []}

    def change(tx: Tx, events: int, fail: bool) -> list[str]:
        tx.run("timer.set", kind="test", key=str(uuid4()), due=tx.now, payload={})
        ids = [emit(tx, "busy") for _ in range(events)]
        if fail:
            raise ValueError("undone")
        return ids

    async def write(plan: list[tuple[int, bool]]) -> None:
        for events, fail in plan:
            try:
                committed.update(await store.write(change, events, fail))
            except ValueError:
                continue

    async def read(name: str, stopping: asyncio.Event) -> None:
        # Finding nothing is not the end: the other consumer's transaction may be older than the
        # newest events and hide them for as long as it runs.
        fruitless = 0
        while len(consumed[name]) < len(committed) or not stopping.is_set():
            found = await store.write(consume, name, 25)
            consumed[name] += found
            fruitless = fruitless + 1 if stopping.is_set() and not found else 0
            assert fruitless < 1_000, "events are missing for good"

    async def story() -> None:
        stopping = asyncio.Event()
        readers = [asyncio.create_task(read(name, stopping)) for name in consumed]
        await asyncio.gather(*map(write, plans))
        stopping.set()
        await asyncio.gather(*readers)

    asyncio.run(story())
    for found in consumed.values():
        numbers = [seq for seq, _ in found]
        assert numbers == sorted(set(numbers))
        assert {id for _, id in found} == committed
        assert len(found) == len(committed)


def test_every_resource_of_an_event_leads_to_it(store: Store) -> None:
    store.write_sync(emit, "a")
    sql = "SELECT seq FROM event_resource WHERE resource_id = ?"
    [event] = store.read_sync(after)
    for resource in ("thing.a", "thing.other"):
        assert store.read_sync(lambda tx, of: tx.fetch(sql, (of,)), resource) == [
            {"seq": event["seq"]}
        ]


def test_events_stay_in_order_after_a_move_to_a_server_with_lower_numbers(store: Store) -> None:
    """As after a dump and restore: the stored numbers are above what the new server would make."""
    store.write_sync(emit, "old")
    store.stop()
    if store.dialect == "postgresql":
        with closing(psycopg.connect(store._conninfo, autocommit=True)) as connection:  # type: ignore[attr-defined]
            connection.execute("UPDATE event SET seq = seq + (1000000::bigint << 20)")
    store.start()
    store.write_sync(emit, "new")
    assert store.read_sync(names_after) == ["old", "new"]


# --- cursors, leases, timers ---------------------------------------------------------------------


def test_a_cursor_never_moves_back(store: Store) -> None:
    def advance(tx: Tx, seq: int) -> int:
        tx.run("consumer.advance", name="c", seq=seq, now=tx.now)
        return tx.one("consumer.get", name="c")["seq"]  # type: ignore[index]

    claimed = store.write_sync(lambda tx: tx.one("consumer.claim", name="c", seq=3, now=tx.now))
    assert claimed is not None
    assert claimed["seq"] == 3
    assert store.write_sync(advance, 9) == 9
    assert store.write_sync(advance, 5) == 9
    again = store.write_sync(lambda tx: tx.one("consumer.claim", name="c", seq=0, now=tx.now))
    assert again is not None
    assert again["seq"] == 9


def acquire(tx: Tx, holder: str, seconds: float = 10) -> int | None:
    row = tx.one(
        "lease.acquire",
        name="loop",
        holder=holder,
        expires=tx.now + timedelta(seconds=seconds),
        now=tx.now,
    )
    return row["fence"] if row else None


def test_a_lease_has_one_holder_and_a_fence_that_grows(store: Store, clock: ManualClock) -> None:
    def keep(tx: Tx, holder: str, fence: int, name: str) -> int:
        if name == "lease.renew":
            return tx.run(name, name="loop", holder=holder, fence=fence, expires=tx.now)
        return tx.run(name, name="loop", holder=holder, fence=fence)

    assert store.write_sync(acquire, "a") == 1
    assert store.write_sync(acquire, "b") is None
    assert store.write_sync(acquire, "a") == 1
    clock.advance(10)
    assert store.write_sync(acquire, "b") == 2
    assert store.write_sync(keep, "a", 1, "lease.renew") == 0
    assert store.write_sync(keep, "a", 1, "lease.release") == 0
    assert store.write_sync(keep, "b", 2, "lease.release") == 1
    assert store.write_sync(acquire, "a") == 3


def test_a_lease_is_taken_once_by_many_at_once(store: Store) -> None:
    async def story() -> list[int | None]:
        return await asyncio.gather(*(store.write(acquire, f"holder {n}") for n in range(20)))

    assert sorted(asyncio.run(story()), key=str) == [1] + [None] * 19


def test_timers_come_in_order_when_they_are_due(store: Store, clock: ManualClock) -> None:
    def set_at(tx: Tx, key: str, seconds: int) -> None:
        tx.run("timer.set", kind="t", key=key, due=tx.now + timedelta(seconds=seconds), payload={})

    def due(tx: Tx) -> list[str]:
        return [row["key"] for row in tx.all("timer.due", now=tx.now, limit=10)]

    for key, seconds in (("b", 20), ("a", 10), ("c", 30)):
        store.write_sync(set_at, key, seconds)
    assert store.write_sync(due) == []
    clock.advance(20)
    assert store.write_sync(due) == ["a", "b"]
    store.write_sync(set_at, "a", 60)
    assert store.write_sync(due) == ["b"]
    taken = [store.write_sync(take, "b", clock) for _ in range(2)]
    assert taken == [1, 0]
    next_due = store.read_sync(lambda tx: tx.one("timer.next"))
    assert next_due == {"due": clock.now() + timedelta(seconds=10)}


def take(tx: Tx, key: str, clock: ManualClock) -> int:
    return tx.run("timer.take", kind="t", key=key, due=clock.now())
