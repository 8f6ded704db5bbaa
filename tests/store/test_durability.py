"""Acknowledged writes survive the death of the process, and no write survives in part (T1)."""

import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from penstock.server.store import Store, open_store
from penstock.server.store.transaction import Tx

PROCESS = Path(__file__).parent / "writing_process.py"
KILLS = 16
"""On each database, so that the suite kills more than thirty processes."""


def start_writer(url: str, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROCESS), url, name], stdout=subprocess.PIPE, text=True
    )


def kill_after(process: subprocess.Popen[str], acknowledgements: int) -> list[int]:
    """Kill the process once it has acknowledged so many writes; everything it acknowledged."""
    assert process.stdout is not None
    heard = [int(process.stdout.readline()) for _ in range(acknowledgements)]
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate(timeout=30)
    # The last line may have been cut off by the kill.
    complete = rest[: rest.rfind("\n") + 1]
    return heard + [int(line) for line in complete.splitlines()]


def rows_by_write(tx: Tx, name: str) -> Counter[int]:
    rows = tx.fetch("SELECT key FROM timer WHERE kind = ?", (name,))
    return Counter(int(row["key"][:8]) for row in rows)


def written(url: str, name: str) -> Counter[int]:
    store = open_store(url)
    store.start()
    try:
        return store.read_sync(rows_by_write, name)
    finally:
        store.stop()


@pytest.mark.parametrize("kill", range(KILLS))
def test_what_was_acknowledged_survives_a_kill(database_url: str, kill: int) -> None:
    moment = random.Random(kill).randrange(1, 400)
    acknowledged = kill_after(start_writer(database_url, "lone"), moment)
    found = written(database_url, "lone")
    assert len(acknowledged) >= moment
    assert set(acknowledged) <= set(found)
    assert set(found.values()) == {3}


def test_a_killed_process_does_not_hold_up_the_others(store: Store, database_url: str) -> None:
    processes = {name: start_writer(database_url, name) for name in ("first", "second", "third")}
    for name, process in processes.items():
        acknowledged = kill_after(process, 40)
        store.write_sync(lambda tx: tx.run("timer.delete", kind="none", key="none"))
        found = store.read_sync(rows_by_write, name)
        assert set(acknowledged) <= set(found)
        assert set(found.values()) == {3}
