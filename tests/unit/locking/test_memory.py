"""Locks between threads and coroutines."""

import asyncio
import threading

import pytest

from penstock.base.clock import ManualClock
from penstock.locking.memory import MemoryLockManager
from penstock.locking.protocol import LockManager


def fresh(clock=None):
    """A manager of its own, so that tests do not see each other's locks."""
    manager = object.__new__(MemoryLockManager)
    manager._start(clock or ManualClock())
    return manager


def test_there_is_one_per_process():
    assert MemoryLockManager() is MemoryLockManager()
    assert isinstance(MemoryLockManager(), LockManager)


def test_making_it_again_keeps_its_locks():
    MemoryLockManager().acquire_lock("kept", "me")
    try:
        assert MemoryLockManager().is_lock_holder("kept", "me")
    finally:
        MemoryLockManager().release_lock("kept", "me")


def test_a_lock_has_one_holder():
    locks = fresh()
    assert locks.acquire_lock("k", "a")
    assert locks.acquire_lock("k", "a")
    assert not locks.acquire_lock("k", "b", acquire_timeout=0)
    assert locks.is_locked("k")
    assert locks.is_lock_holder("k", "a")
    assert not locks.is_lock_holder("k", "b")
    assert locks.acquire_lock("other", "b", acquire_timeout=0)
    locks.release_lock("k", "a")
    assert not locks.is_locked("k")
    assert locks.acquire_lock("k", "b", acquire_timeout=0)


def test_only_the_holder_releases():
    locks = fresh()
    with pytest.raises(ValueError, match="not held by 'a'"):
        locks.release_lock("k", "a")
    locks.acquire_lock("k", "a")
    with pytest.raises(ValueError, match="not held by 'b'"):
        locks.release_lock("k", "b")


def test_a_lock_frees_itself_after_its_hold_timeout():
    clock = ManualClock()
    locks = fresh(clock)
    locks.acquire_lock("k", "a", hold_timeout=10)
    clock.advance(9.9)
    assert locks.is_lock_holder("k", "a")
    clock.advance(0.1)
    assert not locks.is_locked("k")
    assert not locks.is_lock_holder("k", "a")
    assert locks.acquire_lock("k", "b", acquire_timeout=0)


def waits(locks, key, count):
    """Blocks until `count` waiters stand in line, without a poll of the lock itself."""
    while len(locks._waiters.get(key, ())) < count:
        threading.Event().wait(0.001)


def test_a_waiting_thread_gets_the_lock_when_it_is_released():
    locks = fresh()
    locks.acquire_lock("k", "a")
    got = []
    thread = threading.Thread(target=lambda: got.append(locks.acquire_lock("k", "b")))
    thread.start()
    waits(locks, "k", 1)
    assert not got
    locks.release_lock("k", "a")
    thread.join()
    assert got == [True]
    assert locks.is_lock_holder("k", "b")
    assert locks._waiters == {}


def test_wait_for_lock_waits_and_takes_nothing():
    locks = fresh()
    assert locks.wait_for_lock("k")
    locks.acquire_lock("k", "a")
    assert not locks.wait_for_lock("k", timeout=0)
    got = []
    thread = threading.Thread(target=lambda: got.append(locks.wait_for_lock("k")))
    thread.start()
    waits(locks, "k", 1)
    locks.release_lock("k", "a")
    thread.join()
    assert got == [True]
    assert not locks.is_locked("k")


def test_coroutines_wait_without_blocking_their_loop():
    locks = fresh()

    async def main():
        assert await locks.aacquire_lock("k", "a")
        assert not await locks.aacquire_lock("k", "b", acquire_timeout=0)
        assert not await locks.await_for_lock("k", timeout=0)
        waiting = asyncio.create_task(locks.aacquire_lock("k", "b"))
        free = asyncio.create_task(locks.await_for_lock("k"))
        await asyncio.sleep(0)
        assert len(locks._waiters["k"]) == 2
        locks.release_lock("k", "a")
        assert await waiting
        locks.release_lock("k", "b")
        assert await free

    asyncio.run(main())
    assert locks._waiters == {}


def test_a_cancelled_waiter_leaves_the_line():
    locks = fresh()
    locks.acquire_lock("k", "a")

    async def main():
        waiting = asyncio.create_task(locks.aacquire_lock("k", "b"))
        await asyncio.sleep(0)
        assert len(locks._waiters["k"]) == 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
    assert locks._waiters == {}
    assert locks.is_lock_holder("k", "a")


def test_threads_and_coroutines_exclude_each_other():
    locks = fresh()
    inside, worst, total = 0, 0, 0
    guard = threading.Lock()

    def enter():
        nonlocal inside, worst, total
        with guard:
            inside += 1
            worst = max(worst, inside)
            total += 1

    def leave():
        nonlocal inside
        with guard:
            inside -= 1

    def work(name):
        for _ in range(50):
            assert locks.acquire_lock("k", name)
            enter()
            leave()
            locks.release_lock("k", name)

    async def awork(name):
        for _ in range(50):
            assert await locks.aacquire_lock("k", name)
            enter()
            await asyncio.sleep(0)
            leave()
            locks.release_lock("k", name)

    async def amain():
        await asyncio.gather(*(awork(f"c{i}") for i in range(4)))

    threads = [threading.Thread(target=work, args=(f"t{i}",)) for i in range(4)]
    threads.append(threading.Thread(target=lambda: asyncio.run(amain())))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (worst, total) == (1, 400)
