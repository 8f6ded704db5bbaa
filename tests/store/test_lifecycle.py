"""Opening, migrating, stopping, emptying: from any thread, any process, any number of times."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from penstock.base.clock import ManualClock
from penstock.schemas.errors import ConfigurationError, ServiceUnavailable
from penstock.server.store import Store, open_store
from penstock.server.store.migration import migrations
from penstock.server.store.transaction import Tx

PROCESS = Path(__file__).parent / "starting_process.py"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without any table, which is what these tests are about."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return request.getfixturevalue("postgres_url")


def versions(tx: Tx) -> list[int]:
    return [row["version"] for row in tx.fetch("SELECT version FROM migration", ())]


def set_timer(tx: Tx, key: str) -> None:
    tx.run("timer.set", kind="test", key=key, due=tx.now, payload={})


def keys(tx: Tx) -> list[str]:
    return [row["key"] for row in tx.fetch("SELECT key FROM timer ORDER BY key", ())]


def threads_of_stores(others: Collection[threading.Thread] = ()) -> list[str]:
    """Names of our threads, without `others`: those that tests before this one left."""
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith("penstock-") and thread not in others
    ]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.enumerate()
    yield
    assert threads_of_stores(before) == []


def test_a_second_start_changes_nothing(database_url: str) -> None:
    for _ in range(3):
        store = open_store(database_url)
        store.start()
        store.start()
        store.write_sync(set_timer, "a")
        assert store.read_sync(versions) == [
            migration.version for migration in migrations(store.dialect)
        ]
        assert store.read_sync(keys) == ["a"]
        store.stop()
        store.stop()


def test_processes_that_start_together_migrate_once(database_url: str) -> None:
    dialect = open_store(database_url).dialect
    expected = str(len(migrations(dialect)))
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, str(PROCESS), database_url],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(3)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=60) for process in processes]
    assert [(found.strip(), complaint) for found, complaint in answers] == [(expected, "")] * 3


def test_threads_may_start_and_stop_it_at_will(database_url: str) -> None:
    """Ten threads, fifty rounds: every operation is done or refused, and none hangs."""
    store = open_store(database_url)
    store.start()
    rounds, surprises = 50, []
    done = threading.Semaphore(0)
    line = threading.Barrier(10)

    def work(number: int) -> None:
        try:
            for turn in range(rounds):
                line.wait(60)
                if number == 0:
                    store.stop()
                elif number == 1:
                    store.start()
                else:
                    use(turn * 10 + number)
        except BaseException as error:
            surprises.append(error)
            line.abort()
        finally:
            done.release()

    def use(number: int) -> None:
        try:
            store.write_sync(set_timer, f"{number:04}")
            assert f"{number:04}" in store.read_sync(keys)
        except ServiceUnavailable:
            return

    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.start()
    store.write_sync(set_timer, "end")
    assert store.read_sync(keys)[-1] == "end"
    store.stop()
    assert surprises == []


def test_stop_finishes_what_was_accepted(store: Store) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(tx: Tx) -> None:
        entered.set()
        assert leave.wait(30)
        set_timer(tx, "slow")

    async def story() -> None:
        writes = [asyncio.create_task(store.write(slow))]
        await asyncio.to_thread(entered.wait, 30)
        writes += [asyncio.create_task(store.write(set_timer, f"{n}")) for n in range(5)]
        await asyncio.sleep(0)
        stopping = asyncio.create_task(asyncio.to_thread(store.stop))
        leave.set()
        await stopping
        await asyncio.gather(*writes)

    asyncio.run(story())
    store.start()
    assert store.read_sync(keys) == ["0", "1", "2", "3", "4", "slow"]


@pytest.mark.parametrize("running", [True, False])
def test_reset_leaves_an_empty_database_of_the_present_schema(store: Store, running: bool) -> None:
    store.write_sync(set_timer, "a")
    before = store.read_sync(versions)
    if not running:
        store.stop()
    store.reset()
    assert store.running is running
    store.start()
    assert store.read_sync(keys) == []
    assert store.read_sync(versions) == before
    store.write_sync(set_timer, "b")
    assert store.read_sync(keys) == ["b"]


def test_ping_tells_whether_the_database_answers(store: Store) -> None:
    asyncio.run(store.ping())
    store.ping_sync()
    store.stop()
    with pytest.raises(ServiceUnavailable):
        store.ping_sync()


def test_a_database_of_a_newer_release_is_refused(store: Store, database_url: str) -> None:
    sql = "INSERT INTO migration VALUES (9999, 'future', 'x', 0) RETURNING version"
    store.write_sync(lambda tx: tx.fetch(sql, ()))
    with pytest.raises(ConfigurationError, match=r"9999.*at least as new"):
        open_store(database_url).start()


def test_a_changed_migration_is_refused(store: Store, database_url: str) -> None:
    sql = "UPDATE migration SET checksum = 'other' WHERE version = 1 RETURNING version"
    store.write_sync(lambda tx: tx.fetch(sql, ()))
    with pytest.raises(ConfigurationError, match=r"0001.*reset the database"):
        open_store(database_url).start()


def test_a_memory_database_ends_with_its_store(clock: ManualClock) -> None:
    store = open_store("sqlite:///:memory:", clock=clock)
    store.start()
    store.write_sync(set_timer, "a")
    assert store.read_sync(keys) == ["a"]
    store.stop()
    store.start()
    assert store.read_sync(keys) == []
    store.stop()


def test_two_stores_of_one_database_see_each_other(store: Store, database_url: str) -> None:
    other = open_store(database_url)
    other.start()
    store.write_sync(set_timer, "a")
    other.write_sync(set_timer, "b")
    assert store.read_sync(keys) == other.read_sync(keys) == ["a", "b"]
    other.stop()


def test_an_unreachable_database_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "not.db").write_text("this is no database file, and long enough to be seen as one")
    with pytest.raises(ServiceUnavailable, match="cannot be opened"):
        open_store(f"sqlite:///{tmp_path}/file/store.db").start()
    with pytest.raises(ServiceUnavailable, match="not a database"):
        open_store(f"sqlite:///{tmp_path}/not.db").start()
    with pytest.raises(ServiceUnavailable, match="cannot be used now"):
        open_store("postgresql://postgres@127.0.0.1:1/none").start()
