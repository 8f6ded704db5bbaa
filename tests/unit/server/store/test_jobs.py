import threading

import pytest

from penstock.schemas.errors import ServiceUnavailable
from penstock.server.store.jobs import Crew, Hand, Job, ThreadJob, settle


def served(hand: Hand) -> None:
    while (job := hand.take()) is not None:
        job.result = job.op()
        settle((job,))


def test_a_thread_is_started_only_when_all_are_busy() -> None:
    crew = Crew("test-crew", 2, served)
    crew.start()
    for _ in range(20):
        job = ThreadJob(threading.current_thread, (), {})
        crew.submit(job)
        assert job.wait() is not threading.current_thread()
    # The first thread may not yet have come back when the next job arrives, so one more at most.
    assert len(crew._threads) <= 2
    gate = threading.Barrier(3)
    jobs = [ThreadJob(gate.wait, (), {}) for _ in range(2)]
    for job in jobs:
        crew.submit(job)
    gate.wait(30)
    assert sorted(job.wait() for job in jobs) != [0, 0]
    assert len(crew._threads) == 2
    crew.stop()


def test_accepted_jobs_are_served_before_the_end_and_later_ones_refused() -> None:
    crew = Crew("test-crew", 3, served)
    with pytest.raises(ServiceUnavailable):
        crew.submit(Job(int, (), {}))
    crew.start()
    jobs = [ThreadJob(int, (), {}) for _ in range(50)]
    for job in jobs:
        crew.submit(job)
    crew.stop()
    assert all(job.result == 0 for job in jobs)
    with pytest.raises(ServiceUnavailable):
        crew.submit(Job(int, (), {}))


def test_a_hand_takes_what_waits_and_stops_after_it() -> None:
    groups: list[int] = []
    ready = threading.Event()

    def grouped(hand: Hand) -> None:
        assert ready.wait(30)
        while (job := hand.take()) is not None:
            group = [job]
            while (further := hand.more()) is not None:
                group.append(further)
            groups.append(len(group))
            settle(group)

    crew = Crew("test-crew", 1, grouped)
    crew.start()
    jobs = [ThreadJob(int, (), {}) for _ in range(5)]
    for job in jobs:
        crew.submit(job)
    ready.set()
    crew.stop()
    assert groups == [5]
