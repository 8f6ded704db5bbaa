"""Locks between processes that share a directory."""

import asyncio
import json
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.base.clock import ManualClock
from penstock.locking.filesystem import FileSystemLockManager
from penstock.locking.protocol import LockManager
from penstock.results import ResultStore


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def locks(tmp_path, clock):
    return FileSystemLockManager(tmp_path / "locks", clock=clock)


def test_a_lock_has_one_holder(locks, tmp_path):
    assert isinstance(locks, LockManager)
    assert locks.acquire_lock("k", "a")
    assert locks.acquire_lock("k", "a")
    other = FileSystemLockManager(tmp_path / "locks")
    assert other == locks
    assert not other.acquire_lock("k", "b", acquire_timeout=0)
    assert other.is_locked("k")
    assert other.is_lock_holder("k", "a")
    assert not other.is_lock_holder("k", "b")
    locks.release_lock("k", "a")
    assert not other.is_locked("k")
    assert other.acquire_lock("k", "b", acquire_timeout=0)


def test_the_file_says_who_holds_it_and_until_when(locks, tmp_path):
    locks.acquire_lock("k", "a", hold_timeout=5)
    content = json.loads((tmp_path / "locks" / "k.lock").read_text())
    assert content["holder"] == "a"
    assert content["expiration"] == "2026-01-01T00:00:05+00:00"


def test_only_the_holder_releases(locks):
    with pytest.raises(ValueError, match="not held by 'a'"):
        locks.release_lock("k", "a")
    locks.acquire_lock("k", "a")
    with pytest.raises(ValueError, match="not held by 'b'"):
        locks.release_lock("k", "b")


def test_a_lock_frees_itself_after_its_hold_timeout(locks, clock):
    locks.acquire_lock("k", "a", hold_timeout=10)
    clock.advance(9)
    assert locks.is_locked("k")
    clock.advance(1)
    assert not locks.is_locked("k", use_cache=True)
    assert locks.acquire_lock("k", "b", acquire_timeout=0)
    with pytest.raises(ValueError, match="not held by 'a'"):
        locks.release_lock("k", "a")
    assert locks.is_lock_holder("k", "b")


@pytest.mark.parametrize("key", ["../../escape", "/absolute/path", "a/b", "x" * 5000, "ü %", "."])
def test_any_text_is_a_key_and_no_key_leaves_the_directory(locks, tmp_path, key):
    assert locks.acquire_lock(key, "a")
    assert locks.is_lock_holder(key, "a")
    written = {path.parent for path in tmp_path.rglob("*.lock")}
    assert written == {tmp_path / "locks"}
    locks.release_lock(key, "a")
    assert not locks.is_locked(key)


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["acquire", "hold", "release", "advance"]),
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from(["k", "l"]),
        ),
        max_size=25,
    )
)
def test_it_behaves_like_a_table_of_holders(tmp_path, actions):
    clock = ManualClock()
    locks = FileSystemLockManager(tmp_path / "model", clock=clock)
    held: dict[str, tuple[str, float | None]] = {}
    for key in ("k", "l"):
        (tmp_path / "model" / f"{key}.lock").unlink(missing_ok=True)
    for action, holder, key in actions:
        now = clock.monotonic()
        live = {k: v for k, v in held.items() if v[1] is None or v[1] > now}
        held = live
        if action in ("acquire", "hold"):
            timeout = 3.0 if action == "hold" else None
            expected = key not in held or held[key][0] == holder
            assert locks.acquire_lock(key, holder, 0, timeout) is expected
            if expected:
                held[key] = (holder, None if timeout is None else now + timeout)
        elif action == "release":
            if key in held and held[key][0] == holder:
                locks.release_lock(key, holder)
                del held[key]
            else:
                with pytest.raises(ValueError, match="not held"):
                    locks.release_lock(key, holder)
        else:
            clock.advance(2.0)


def test_waiting_ends_when_the_lock_is_free(tmp_path):
    locks = FileSystemLockManager(tmp_path)

    async def main():
        assert await locks.aacquire_lock("k", "a")
        assert not await locks.aacquire_lock("k", "b", acquire_timeout=0)
        assert not await locks.await_for_lock("k", timeout=0)
        waiting = asyncio.create_task(locks.aacquire_lock("k", "b"))
        await asyncio.sleep(0)
        locks.release_lock("k", "a")
        assert await waiting
        locks.release_lock("k", "b")
        assert await locks.await_for_lock("k")

    asyncio.run(main())
    assert locks.wait_for_lock("k")
    locks.acquire_lock("k", "a")
    assert not locks.wait_for_lock("k", timeout=0.01)


CONTENDER = """
import os, sys
from pathlib import Path
import penstock.locking.filesystem as filesystem
filesystem.POLL_SECONDS = 0.001
locks = filesystem.FileSystemLockManager(Path(sys.argv[1]) / "locks")
counter, inside = Path(sys.argv[1]) / "counter", Path(sys.argv[1]) / "inside"
name = f"p{os.getpid()}"
for _ in range(int(sys.argv[2])):
    assert locks.acquire_lock("k", name, acquire_timeout=60, hold_timeout=60)
    os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # raises when somebody else is inside
    counter.write_text(str(int(counter.read_text()) + 1))
    inside.unlink()
    locks.release_lock("k", name)
"""


def test_processes_exclude_each_other(tmp_path):
    (tmp_path / "counter").write_text("0")
    processes = [
        subprocess.Popen([sys.executable, "-c", CONTENDER, str(tmp_path), "60"]) for _ in range(4)
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert (tmp_path / "counter").read_text() == "240"


EXPIRED = """
import sys
from pathlib import Path
from penstock.locking.filesystem import FileSystemLockManager
locks = FileSystemLockManager(sys.argv[1])
sys.stdin.readline()
print(locks.acquire_lock("k", sys.argv[2], acquire_timeout=0))
"""


def test_one_process_alone_takes_over_an_expired_lock(tmp_path):
    """Several that see the same expired lock at the same moment must not all get it."""
    past = ManualClock()  # its instants lie before the machine's
    for _ in range(3):
        FileSystemLockManager(tmp_path, clock=past).acquire_lock("k", "dead", hold_timeout=1)
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", EXPIRED, str(tmp_path), f"p{i}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for i in range(4)
        ]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.communicate()[0].strip() for process in processes]
        assert sorted(answers) == ["False", "False", "False", "True"]
        (tmp_path / "k.lock").unlink()


def test_a_process_that_dies_inside_the_guard_blocks_nobody(tmp_path):
    code = (
        "import os, sys\n"
        "from penstock.locking.filesystem import FileSystemLockManager\n"
        "locks = FileSystemLockManager(sys.argv[1])\n"
        "with locks._guard():\n"
        "    os._exit(1)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert FileSystemLockManager(tmp_path).acquire_lock("k", "a", acquire_timeout=0)


@pytest.mark.parametrize("content", ["", '{"holder": "a', "\0\0\0"])
def test_half_a_file_after_a_power_cut_is_no_lock(tmp_path, content):
    locks = FileSystemLockManager(tmp_path)
    (tmp_path / "k.lock").write_text(content)
    assert not locks.is_locked("k")
    assert locks.acquire_lock("k", "me", acquire_timeout=0)
    assert locks.is_lock_holder("k", "me")


KILLED = """
import os, signal, sys
from penstock.locking.filesystem import FileSystemLockManager
from penstock.results import ResultStore
holder = ResultStore.generate_default_holder() if sys.argv[2] == "default" else sys.argv[2]
assert FileSystemLockManager(sys.argv[1]).acquire_lock("k", holder)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    locks = FileSystemLockManager(tmp_path)
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), "default"], check=False)
    assert (tmp_path / "k.lock").exists()
    assert not locks.is_locked("k")
    assert locks.acquire_lock("k", "me", acquire_timeout=0)


def test_a_holder_with_a_name_of_its_own_may_outlive_its_process(tmp_path):
    locks = FileSystemLockManager(tmp_path)
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), "handed over"], check=False)
    assert locks.is_lock_holder("k", "handed over")
    locks.release_lock("k", "handed over")


def test_the_lock_of_a_living_process_is_held(tmp_path):
    locks = FileSystemLockManager(tmp_path)
    holder = ResultStore.generate_default_holder()
    locks.acquire_lock("k", holder)
    assert locks.is_lock_holder("k", holder)
    assert not locks.acquire_lock("k", "other", acquire_timeout=0)
