"""SQLite's log reaches the disk before anybody is told that a change is kept."""

import errno
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.base.clock import SYSTEM_CLOCK
from penstock.schemas.errors import ServiceUnavailable
from penstock.server.store import flushing
from penstock.server.store.sqlite import SqliteStore
from penstock.server.store.transaction import Tx


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "penstock.db"


@pytest.fixture
def store(file: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(file, SYSTEM_CLOCK)
    store.start()
    yield store
    store.stop()


def note(tx: Tx, key: str) -> str:
    tx.run("timer.set", kind="test", key=key, due=tx.now, payload={})
    tx.wake("noted")
    return key


def keys(tx: Tx) -> list[str]:
    return [row["key"] for row in tx.fetch("SELECT key FROM timer ORDER BY key", ())]


def test_nobody_is_told_of_a_change_before_it_is_on_disk(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushing_now, finish = threading.Event(), threading.Event()

    def slow(file: int) -> None:
        flushing_now.set()
        assert finish.wait(30)

    monkeypatch.setattr(flushing, "sync_file", slow)
    woken: list[frozenset[str]] = []
    store.on_wake = woken.append
    answers: list[str] = []
    caller = threading.Thread(target=lambda: answers.append(store.write_sync(note, "a")))
    caller.start()
    assert flushing_now.wait(30)
    assert store.statistics.commits == 1 and not answers and not woken
    finish.set()
    caller.join(30)
    assert answers == ["a"] and woken == [frozenset({"noted"})]


def test_the_writer_goes_on_while_the_log_is_flushed(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    second_ran = threading.Event()
    flushed: list[int] = []

    def until_the_second_ran(file: int) -> None:
        assert second_ran.wait(30)
        flushed.append(file)

    def second(tx: Tx) -> None:
        second_ran.set()

    monkeypatch.setattr(flushing, "sync_file", until_the_second_ran)
    first = threading.Thread(target=store.write_sync, args=(note, "a"))
    first.start()
    store.write_sync(second)
    first.join(30)
    assert flushed


def test_a_change_that_did_not_reach_the_disk_is_not_acknowledged(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    woken: list[frozenset[str]] = []
    store.on_wake = woken.append
    with monkeypatch.context() as broken:
        broken.setattr(flushing, "sync_file", full)
        with pytest.raises(ServiceUnavailable, match=r"not written to disk .*No space left"):
            store.write_sync(note, "a")
    assert woken == []


def test_after_a_failed_flush_the_log_is_started_anew_before_anything_is_acknowledged(
    store: SqliteStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    lengths: list[int] = []
    log = file.with_name("penstock.db-wal")
    with monkeypatch.context() as patched:
        patched.setattr(flushing, "sync_file", broken)
        with pytest.raises(ServiceUnavailable):
            store.write_sync(note, "a")
        patched.setattr(flushing, "sync_file", lambda file: lengths.append(log.stat().st_size))
        store.write_sync(note, "b")
    assert lengths == [0], "everything is in the database file, behind no gap of the log"
    assert store.read_sync(keys) == ["a", "b"]
