"""A pool of threads that grows when work waits and nobody is idle."""

import threading
from collections import deque
from collections.abc import Callable
from itertools import count

Job = Callable[[], object]


class ThreadPool:
    """Runs jobs, each in one of at most `max_workers` threads (None: as many as wait).

    An idle thread is used before a new one is made. Jobs must not raise. `stop` lets running and
    queued jobs end and joins the threads; `drop_queued` takes out what has not started.
    """

    def __init__(self, max_workers: int | None = None, name: str = "penstock-task") -> None:
        if max_workers is not None and max_workers < 1:
            raise ValueError(f"max_workers is {max_workers}; give at least 1, or None for no limit")
        self.max_workers = max_workers
        self._name = name
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._idle = 0
        self._threads: list[threading.Thread] = []
        self._numbers = count(1)
        self._stopping = False
        self._waking = False
        """Whether a thread is on its way to the queue. One at a time is enough: the one that
        arrives wakes the next if more waits. Short jobs then cost few thread switches."""

    @property
    def size(self) -> int:
        """Threads made so far."""
        return len(self._threads)

    def submit(self, job: Job) -> None:
        """Run `job` as soon as a thread is free. Raises `RuntimeError` after `stop`."""
        with self._changed:
            if self._stopping:
                raise RuntimeError("the task runner has stopped and takes no more tasks")
            self._jobs.append(job)
            thread = self._wake()
        if thread is not None:
            thread.start()

    def _wake(self) -> threading.Thread | None:
        """Send one more thread to the queue, where that helps; a new one is to be started."""
        if self._waking:
            return None
        if self._idle:
            self._waking = True
            self._changed.notify()
            return None
        if self.max_workers is not None and len(self._threads) >= self.max_workers:
            return None
        self._waking = True
        name = f"{self._name}-{next(self._numbers)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        return thread

    def drop_queued(self) -> list[Job]:
        """Take out the jobs that have not started and return them."""
        with self._changed:
            dropped = list(self._jobs)
            self._jobs.clear()
        return dropped

    def stop(self) -> None:
        """Wait for every job and end the threads."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        self._threads.clear()

    def _work(self) -> None:
        changed, jobs = self._changed, self._jobs
        arriving = True
        while True:
            with changed:
                if arriving:
                    self._waking = arriving = False
                while not jobs:
                    if self._stopping:
                        return
                    self._idle += 1
                    changed.wait()
                    self._idle -= 1
                    self._waking = False
                job = jobs.popleft()
                thread = self._wake() if jobs else None
            if thread is not None:
                thread.start()
            job()
