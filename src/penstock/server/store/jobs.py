"""Operations waiting for a database thread, and how their outcome gets back to who asked.

An asking coroutine is resumed with one call into its loop for all the outcomes it gets at once;
an asking thread waits on a lock.
"""

import threading
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from queue import SimpleQueue
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
    """One thread's access to the work of its crew."""

    __slots__ = ("_crew", "_first", "inbox")

    def __init__(self, crew: "Crew", first: Job) -> None:
        self._crew = crew
        self._first: Job | None = first
        self.inbox: SimpleQueue[Job | None] = SimpleQueue()

    def take(self) -> Job | None:
        """The next job, however long it takes to come; None when the thread must end."""
        first, self._first = self._first, None
        return first or self._crew.waiting_job(self) or self.inbox.get()

    def more(self) -> Job | None:
        """A further job if one waits now."""
        return self._crew.next_job()


class Crew:
    """Threads that serve jobs, started when there is more work than hands.

    `serve(hand)` is the body of a thread: it takes jobs from its hand until it gets None. At most
    `limit` threads. A job goes to the thread that became idle last, whose memory is still in its
    processor's cache. Every job that was accepted is served before `stop` returns.
    """

    def __init__(self, name: str, limit: int, serve: Callable[[Hand], None]) -> None:
        self._name = name
        self._limit = limit
        self._serve = serve
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._idle: list[Hand] = []
        self._waiting: deque[Job] = deque()
        self._open = False

    def start(self) -> None:
        with self._lock:
            self._open = True

    def stop(self) -> None:
        """Refuse new jobs, finish the accepted ones, end the threads. Not from one of them."""
        with self._lock:
            self._open = False
            threads, self._threads = self._threads, []
            idle, self._idle = self._idle, []
        for hand in idle:
            hand.inbox.put(None)
        for thread in threads:
            thread.join()

    def submit(self, job: Job) -> None:
        """Have a job served. Raises `ServiceUnavailable` when the crew is not running."""
        with self._lock:
            if not self._open:
                raise ServiceUnavailable("the database is not open; start the store first")
            if self._idle:
                self._idle.pop().inbox.put(job)
            elif len(self._threads) < self._limit:
                self._enlist(job)
            else:
                self._waiting.append(job)

    def waiting_job(self, hand: Hand) -> Job | None:
        """The job that waits longest; without one, the next or None comes into the inbox."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if self._open:
                self._idle.append(hand)
            else:
                hand.inbox.put(None)
            return None

    def next_job(self) -> Job | None:
        """The job that waits longest, if one waits."""
        try:
            return self._waiting.popleft()
        except IndexError:
            return None

    @property
    def waiting(self) -> int:
        """How many jobs no thread has taken yet."""
        return len(self._waiting)

    def owns(self, thread: threading.Thread) -> bool:
        return thread in self._threads

    def _enlist(self, job: Job) -> None:
        thread = threading.Thread(
            target=self._serve,
            args=(Hand(self, job),),
            name=f"{self._name}-{len(self._threads)}",
            daemon=True,
        )
        self._threads.append(thread)
        thread.start()
