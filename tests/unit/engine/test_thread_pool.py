"""The pool of worker threads."""

import threading

import pytest

from penstock.engine.runners.thread import ThreadPool


def test_idle_threads_are_used_before_new_ones():
    pool = ThreadPool()
    try:
        for _ in range(20):
            done = threading.Event()
            pool.submit(done.set)
            assert done.wait(5)
            while pool._idle != pool.size:
                threading.Event().wait(0.001)
        assert pool.size == 1
    finally:
        pool.stop()


def test_as_many_threads_as_wait_when_there_is_no_limit():
    pool = ThreadPool()
    together = threading.Barrier(8)
    try:
        for _ in range(7):
            pool.submit(lambda: together.wait(5))
        together.wait(5)
        assert pool.size == 7
    finally:
        pool.stop()


def test_never_more_threads_than_allowed():
    pool = ThreadPool(2)
    lock = threading.Lock()
    running = most = 0

    def job():
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.002)
        with lock:
            running -= 1

    for _ in range(30):
        pool.submit(job)
    pool.stop()
    assert most == 2


def test_stop_runs_what_was_taken_and_refuses_more():
    pool = ThreadPool(1)
    done: list[int] = []
    for number in range(5):
        pool.submit(lambda number=number: done.append(number))
    pool.stop()
    assert done == [0, 1, 2, 3, 4]
    with pytest.raises(RuntimeError, match="stopped"):
        pool.submit(lambda: None)
    assert not [t for t in threading.enumerate() if t.name.startswith("penstock-task")]


def test_dropped_jobs_do_not_run():
    pool = ThreadPool(1)
    hold, started = threading.Event(), threading.Event()
    ran: list[str] = []
    pool.submit(lambda: (started.set(), hold.wait(5)))
    pool.submit(lambda: ran.append("second"))
    assert started.wait(5)
    assert len(pool.drop_queued()) == 1
    hold.set()
    pool.stop()
    assert ran == []


def test_no_pool_without_workers():
    with pytest.raises(ValueError, match="max_workers"):
        ThreadPool(0)


def test_a_blocked_job_holds_nobody_up():
    """Jobs queued behind one that blocks start all the same, however they were submitted."""
    for _ in range(50):
        pool = ThreadPool()
        release = threading.Event()
        left = threading.Semaphore(0)
        for number in range(6):
            if number % 2:
                pool.submit(lambda release=release: release.wait(10))
            else:
                pool.submit(lambda left=left: left.release())
        assert all(left.acquire(timeout=10) for _ in range(3))
        release.set()
        pool.stop()


def test_threads_that_became_idle_take_a_later_burst():
    pool = ThreadPool()
    try:
        for _ in range(20):
            together = threading.Barrier(5)
            for _ in range(4):
                pool.submit(lambda together=together: together.wait(10))
            together.wait(10)
    finally:
        pool.stop()
