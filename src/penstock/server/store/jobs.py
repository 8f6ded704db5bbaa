"""Operations waiting for a database thread, and how their outcome gets back to who asked.

An asking coroutine is resumed with one call into its loop for all the outcomes it gets at once;
an asking thread waits on a lock.
"""

import threading
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Iterable, Mapping
from queue import Empty, SimpleQueue
from typing import Any

from penstock.schemas.errors import ServiceUnavailable


class Job:
    """One operation with its arguments; subclasses know who waits for it."""

    __slots__ = ("args", "error", "kwargs", "op", "result")

    def __init__(
        self, op: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        self.op = op
        self.args = args
        self.kwargs = kwargs
        self.result: Any = None
        self.error: BaseException | None = None

    def abandoned(self) -> bool:
        """Whether nobody waits any more, so that the operation need not be started."""
        return False

    def fail(self, error: BaseException) -> None:
        """Keep the outcome; a `StopIteration` would be lost on its way through a future."""
        if isinstance(error, StopIteration):
            wrapped = RuntimeError(f"operation {self.op!r} raised StopIteration")
            wrapped.__cause__ = error
            error = wrapped
        self.result = None
        self.error = error


class LoopJob(Job):
    """A job whose outcome goes to a future of an event loop."""

    __slots__ = ("future", "loop")

    def __init__(
        self,
        op: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        loop: AbstractEventLoop,
    ) -> None:
        super().__init__(op, args, kwargs)
        self.loop = loop
        self.future: Future[Any] = loop.create_future()

    def abandoned(self) -> bool:
        return self.future.cancelled()


class ThreadJob(Job):
    """A job whose outcome a thread waits for."""

    __slots__ = ("_done",)

    def __init__(
        self, op: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        super().__init__(op, args, kwargs)
        self._done = threading.Lock()
        self._done.acquire()

    def wait(self) -> Any:
        self._done.acquire()
        if self.error is not None:
            raise self.error
        return self.result

    def settle(self) -> None:
        self._done.release()


def settle(jobs: Iterable[Job]) -> None:
    """Hand every outcome to who waits for it; callable from any thread."""
    by_loop: dict[AbstractEventLoop, list[LoopJob]] = {}
    for job in jobs:
        if isinstance(job, LoopJob):
            by_loop.setdefault(job.loop, []).append(job)
        elif isinstance(job, ThreadJob):
            job.settle()
    for loop, waiting in by_loop.items():
        try:
            loop.call_soon_threadsafe(_deliver, waiting)
        except RuntimeError:
            # The loop was closed while the operation ran: nobody is left to be told.
            continue


def _deliver(jobs: list[LoopJob]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)


class Hand:
    """One thread's access to the queue of its crew."""

    __slots__ = ("_crew", "_holding", "_stopping")

    def __init__(self, crew: "Crew") -> None:
        self._crew = crew
        self._holding = 0
        self._stopping = False

    def take(self) -> Job | None:
        """The next job, however long it takes to come; None when the thread must end.

        Taking means that the jobs taken before are finished.
        """
        if self._holding:
            self._crew.finished(self._holding)
            self._holding = 0
        if self._stopping:
            return None
        job = self._crew.queue.get()
        self._holding = 0 if job is None else 1
        return job

    def more(self) -> Job | None:
        """A further job if one waits now."""
        if self._stopping:
            return None
        try:
            job = self._crew.queue.get_nowait()
        except Empty:
            return None
        if job is None:
            self._stopping = True
        else:
            self._holding += 1
        return job


class Crew:
    """Threads that serve one queue of jobs, started when there is more work than hands.

    `serve(hand)` is the body of a thread: it takes jobs from its hand until it gets None. At most
    `limit` threads. Every job that was accepted is served before `stop` returns.
    """

    def __init__(self, name: str, limit: int, serve: Callable[[Hand], None]) -> None:
        self.queue: SimpleQueue[Job | None] = SimpleQueue()
        self._name = name
        self._limit = limit
        self._serve = serve
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._unfinished = 0
        self._open = False

    def start(self) -> None:
        with self._lock:
            self._open = True

    def stop(self) -> None:
        """Refuse new jobs, finish the accepted ones, end the threads. Not from one of them."""
        with self._lock:
            self._open = False
            threads, self._threads = self._threads, []
            for _ in threads:
                self.queue.put(None)
        for thread in threads:
            thread.join()

    def submit(self, job: Job) -> None:
        """Queue a job. Raises `ServiceUnavailable` when the crew is not running."""
        with self._lock:
            if not self._open:
                raise ServiceUnavailable("the database is not open; start the store first")
            self._unfinished += 1
            if self._unfinished > len(self._threads) < self._limit:
                self._enlist()
            self.queue.put(job)

    def finished(self, count: int) -> None:
        with self._lock:
            self._unfinished -= count

    def owns(self, thread: threading.Thread) -> bool:
        return thread in self._threads

    def _enlist(self) -> None:
        thread = threading.Thread(
            target=self._serve,
            args=(Hand(self),),
            name=f"{self._name}-{len(self._threads)}",
            daemon=True,
        )
        self._threads.append(thread)
        thread.start()
