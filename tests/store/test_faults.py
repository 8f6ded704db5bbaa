"""What the database can do to an operation, and what its caller then sees."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from penstock.schemas.errors import ObjectConflict, ServiceUnavailable
from penstock.server.store import Store, open_store
from penstock.server.store import sqlite as sqlite_store
from penstock.server.store.postgresql import ATTEMPTS
from penstock.server.store.transaction import Tx


def set_timer(tx: Tx, key: str) -> str:
    tx.run("timer.set", kind="test", key=key, due=tx.now, payload={})
    tx.wake("timers")
    return key


def keys(tx: Tx) -> list[str]:
    return [row["key"] for row in tx.fetch("SELECT key FROM timer ORDER BY key", ())]


def orphan(tx: Tx) -> None:
    """A run of a flow that is not there, which is noticed only by the commit."""
    tx.fetch("PRAGMA defer_foreign_keys = ON", ())
    tx.fetch(
        "INSERT INTO flow_run (id, flow_id, name, created, updated)"
        " VALUES (?, 'none', 'run', 0, 0) RETURNING id",
        (str(uuid4()),),
    )


# --- SQLite --------------------------------------------------------------------------------------


@pytest.fixture
def file_store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    store.start()
    yield store
    store.stop()


def together(store: Store, ops: list[Any]) -> list[Any]:
    """Outcomes of operations that the writer finds waiting at the same time."""
    entered, leave = threading.Event(), threading.Event()

    def hold(tx: Tx) -> None:
        entered.set()
        assert leave.wait(30)

    async def story() -> list[Any]:
        holding = asyncio.create_task(store.write(hold))
        await asyncio.to_thread(entered.wait, 30)
        waiting = [asyncio.create_task(store.write(*op)) for op in ops]
        await asyncio.sleep(0)
        leave.set()
        outcomes = await asyncio.gather(holding, *waiting, return_exceptions=True)
        return outcomes[1:]

    return asyncio.run(story())


def test_a_commit_that_fails_fails_everybody_in_it(
    file_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the machine is, the operations share one commit.
    monkeypatch.setattr(sqlite_store, "GROUP_SECONDS", 60)
    woken: list[Any] = []
    file_store.on_wake = woken.append
    outcomes = together(file_store, [(set_timer, "a"), (orphan,), (set_timer, "b")])
    assert all(isinstance(outcome, ObjectConflict) for outcome in outcomes)
    assert file_store.read_sync(keys) == []
    assert woken == []
    assert file_store.write_sync(set_timer, "c") == "c"
    assert file_store.read_sync(keys) == ["c"]


def test_what_an_operation_wrote_before_it_failed_is_undone_and_its_neighbours_stay(
    file_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(tx: Tx) -> None:
        set_timer(tx, "undone")
        raise ValueError("no")

    monkeypatch.setattr(sqlite_store, "GROUP_SECONDS", 60)
    woken: list[Any] = []
    file_store.on_wake = woken.append
    before = file_store.statistics.commits
    outcomes = together(file_store, [(set_timer, "a"), (fail,), (set_timer, "b")])
    assert outcomes[0] == "a" and isinstance(outcomes[1], ValueError) and outcomes[2] == "b"
    assert file_store.read_sync(keys) == ["a", "b"]
    assert file_store.statistics.commits - before == 1
    assert woken == [frozenset({"timers"})]


def test_nobody_is_refused_whose_change_was_kept(
    file_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite undoes the whole transaction by itself when the disk is full."""

    def fill(tx: Tx) -> None:
        [size] = tx.fetch("PRAGMA page_count", ())
        tx.fetch(f"PRAGMA max_page_count = {size['page_count'] + 2}", ())
        tx.run("timer.set", kind="test", key="big", due=tx.now, payload={"x": "y" * 500_000})

    monkeypatch.setattr(sqlite_store, "GROUP_SECONDS", 60)
    outcomes = together(file_store, [(set_timer, "a"), (fill,), (set_timer, "b")])
    assert isinstance(outcomes[1], ServiceUnavailable)
    told = [name for name in outcomes if isinstance(name, str)]
    assert file_store.read_sync(keys) == told


def test_operations_that_wait_share_a_commit(
    file_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "GROUP_SECONDS", 60)
    before = file_store.statistics.commits
    together(file_store, [(set_timer, f"{number:02}") for number in range(40)])
    assert file_store.statistics.commits - before == 1
    assert len(file_store.read_sync(keys)) == 40


def test_a_group_is_bounded(file_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_store, "GROUP_SECONDS", 60)
    monkeypatch.setattr(sqlite_store, "GROUP", 10)
    before = file_store.statistics.commits
    together(file_store, [(set_timer, f"{number:02}") for number in range(39)])
    assert file_store.statistics.commits - before == 4


def test_another_writer_is_waited_for(file_store: Store, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        result: list[str] = []
        thread = threading.Thread(
            target=lambda: result.append(file_store.write_sync(set_timer, "a"))
        )
        thread.start()
        assert file_store.read_sync(keys) == []
        assert result == []
        other.execute("COMMIT")
        thread.join(30)
    assert result == ["a"]


def test_another_writer_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "BUSY_SECONDS", 0.05)
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    store.start()
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ServiceUnavailable, match=r"locked.*try again"):
            store.write_sync(set_timer, "a")
        other.execute("COMMIT")
    assert store.write_sync(set_timer, "b") == "b"
    assert store.read_sync(keys) == ["b"]
    store.stop()


def test_a_full_disk_refuses_and_leaves_a_working_store(file_store: Store) -> None:
    def fill(tx: Tx) -> None:
        [size] = tx.fetch("PRAGMA page_count", ())
        tx.fetch(f"PRAGMA max_page_count = {size['page_count'] + 2}", ())
        tx.run("timer.set", kind="test", key="big", due=tx.now, payload={"x": "y" * 500_000})

    def make_room(tx: Tx) -> None:
        tx.fetch("PRAGMA max_page_count = 1000000", ())

    file_store.write_sync(set_timer, "a")
    with pytest.raises(ServiceUnavailable, match="full"):
        file_store.write_sync(fill)
    file_store.write_sync(make_room)
    assert file_store.write_sync(set_timer, "b") == "b"
    assert file_store.read_sync(keys) == ["a", "b"]


def test_a_file_that_cannot_be_opened_refuses_until_it_can(
    file_store: Store, tmp_path: Path
) -> None:
    # The threads open their connections with their first operation.
    for name in ("store.db", "store.db-wal", "store.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "store.db").mkdir()
    with pytest.raises(ServiceUnavailable):
        file_store.write_sync(set_timer, "a")
    with pytest.raises(ServiceUnavailable):
        file_store.read_sync(keys)
    (tmp_path / "store.db").rmdir()
    file_store.reset()
    assert file_store.write_sync(set_timer, "b") == "b"
    assert file_store.read_sync(keys) == ["b"]


def test_the_log_does_not_grow_without_bound(
    file_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "CHECKPOINT_COMMITS", 10)
    monkeypatch.setattr(sqlite_store, "LOG_FRAMES", 200)
    written = 0
    for number in range(600):
        file_store.write_sync(
            lambda tx, n: tx.run(
                "timer.set", kind="test", key=str(n % 7), due=tx.now, payload={"x": "y" * 9_000}
            ),
            number,
        )
        written += 9_000
    size = (tmp_path / "store.db-wal").stat().st_size
    assert size < written / 2


# --- PostgreSQL ----------------------------------------------------------------------------------


@pytest.fixture
def pg_store(postgres_url: str) -> Iterator[Store]:
    store = open_store(f"{postgres_url}%20-c%20lock_timeout%3D200ms")
    store.start()
    yield store
    store.stop()


def backend(tx: Tx) -> int:
    return tx.fetch("SELECT pg_backend_pid() AS pid", ())[0]["pid"]


def terminate(url: str, pid: int) -> None:
    """End a server process and wait until it is gone."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        [gone] = connection.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,)).fetchone()  # type: ignore[misc]
        assert gone


def test_a_connection_lost_while_idle_is_replaced(pg_store: Store, postgres_url: str) -> None:
    for crew in (pg_store.write_sync, pg_store.read_sync):
        terminate(postgres_url, crew(backend))
        assert crew(keys) == []


def test_an_operation_is_repeated_after_its_connection_was_lost(
    pg_store: Store, postgres_url: str
) -> None:
    attempts: list[int] = []

    def lose(tx: Tx, key: str) -> str:
        set_timer(tx, key)
        attempts.append(backend(tx))
        if len(attempts) == 1:
            terminate(postgres_url, attempts[0])
        return set_timer(tx, f"{key} again")

    woken: list[Any] = []
    pg_store.on_wake = woken.append
    assert pg_store.write_sync(lose, "a") == "a again"
    assert len(set(attempts)) == 2
    assert pg_store.read_sync(keys) == ["a", "a again"]
    assert woken == [frozenset({"timers"})]


def test_an_operation_is_not_repeated_for_ever(pg_store: Store, postgres_url: str) -> None:
    attempts: list[int] = []

    def lose(tx: Tx) -> None:
        attempts.append(backend(tx))
        terminate(postgres_url, attempts[-1])
        set_timer(tx, "a")

    with pytest.raises(ServiceUnavailable):
        pg_store.write_sync(lose)
    assert len(attempts) == ATTEMPTS
    assert pg_store.read_sync(keys) == []


def test_a_connection_lost_at_the_commit_is_not_taken_for_success(
    pg_store: Store, postgres_url: str
) -> None:
    attempts: list[int] = []

    def lose(tx: Tx) -> None:
        set_timer(tx, "a")
        attempts.append(backend(tx))
        terminate(postgres_url, attempts[-1])

    with pytest.raises(ServiceUnavailable, match="may or may not"):
        pg_store.write_sync(lose)
    assert len(attempts) == 1
    assert pg_store.write_sync(set_timer, "b") == "b"


def test_operations_that_block_each_other_both_succeed(postgres_url: str) -> None:
    """A deadlock: the server ends one of the two, which is run again."""
    pg_store = open_store(f"{postgres_url}%20-c%20deadlock_timeout%3D20ms")
    pg_store.start()
    pg_store.write_sync(set_timer, "a")
    pg_store.write_sync(set_timer, "b")
    meeting = threading.Barrier(2)
    attempts: list[str] = []

    def touch(tx: Tx, first: str, second: str) -> None:
        attempts.append(first)
        set_timer(tx, first)
        if len(attempts) <= 2:
            meeting.wait(30)
        set_timer(tx, second)

    async def story() -> None:
        await asyncio.gather(pg_store.write(touch, "a", "b"), pg_store.write(touch, "b", "a"))

    asyncio.run(story())
    pg_store.stop()
    # The server may end one of the two or both.
    assert 3 <= len(attempts) <= 2 * ATTEMPTS


def test_a_lock_is_not_waited_for_without_end(pg_store: Store, postgres_url: str) -> None:
    pg_store.write_sync(set_timer, "a")
    with closing(psycopg.connect(postgres_url)) as other:
        other.execute("UPDATE timer SET due = 0")
        with pytest.raises(ServiceUnavailable, match=r"lock timeout.*try again"):
            pg_store.write_sync(set_timer, "a")
        other.rollback()
    assert pg_store.write_sync(set_timer, "a") == "a"


def test_many_statements_do_not_fill_the_server(pg_store: Store) -> None:
    """Statements of every shape come and go; only a bounded number stays prepared."""

    def shapes(tx: Tx) -> int:
        for number in range(300):
            tx.fetch(f"SELECT {number} AS n WHERE ? = 1", (1,))
        prepared = tx.fetch("SELECT count(*) AS n FROM pg_prepared_statements", ())
        return prepared[0]["n"]

    assert 1 < pg_store.read_sync(shapes) <= 257
