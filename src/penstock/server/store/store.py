"""The store: operations in, committed transactions out.

`Store` is what the server sees; `sqlite.py` and `postgresql.py` carry it out. An operation is a
function `op(tx, *args, **kwargs)` that runs on a database thread inside one transaction. It may
run more than once when the database asks for a repeat (a deadlock, a connection that was lost
before the commit was sent), so it must keep its effects inside `tx`.
"""

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar

from penstock.base.clock import Clock
from penstock.server.store.jobs import Crew, Job, LoopJob, ThreadJob
from penstock.server.store.transaction import Dialect, Tx

_logger = logging.getLogger(__name__)

T = TypeVar("T")
P = ParamSpec("P")
Op = Callable[Concatenate[Tx, P], T]


class Statistics:
    """What the store did since it was made; tests hold operations to their budget with it."""

    __slots__ = ("_lock", "commits", "statements", "transactions")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.transactions = 0
        """Operations that ran to their end, committed or undone."""
        self.statements = 0
        """Statements of operations; `many` counts once. BEGIN and COMMIT are not counted."""
        self.commits = 0
        """Commits that reached the database; one may hold the writes of many operations."""

    def add(self, *, transactions: int = 0, statements: int = 0, commits: int = 0) -> None:
        with self._lock:
            self.transactions += transactions
            self.statements += statements
            self.commits += commits

    def snapshot(self) -> tuple[int, int]:
        """Transactions and statements so far, to subtract from a later snapshot."""
        with self._lock:
            return self.transactions, self.statements


def _nobody(topics: frozenset[str]) -> None:
    """The listener of a store that nobody listens to."""


class Store(ABC):
    """One database behind one interface.

    `start` and `stop` may be called from any thread, in any order and repeatedly; a second start
    or stop does nothing. All other calls need a started store and raise `ServiceUnavailable`
    without one.
    """

    dialect: ClassVar[Dialect]

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.statistics = Statistics()
        self.on_wake: Callable[[frozenset[str]], None] = _nobody
        """Called with the topics of every commit that woke some, on a database thread, before
        the operation's caller is resumed. It must return at once."""
        self._lifecycle = threading.Lock()
        self._running = False
        self._writers: Crew
        self._readers: Crew

    # --- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the database and bring its schema up to date, under a lock held against others."""
        with self._lifecycle:
            if not self._running:
                self._open()
                self._writers.start()
                self._readers.start()
                self._running = True

    def stop(self) -> None:
        """Finish what was accepted, then close every connection."""
        with self._lifecycle:
            if self._running:
                self._running = False
                self._readers.stop()
                self._writers.stop()
                self._close()

    @property
    def running(self) -> bool:
        return self._running

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...

    @abstractmethod
    def reset(self) -> None:
        """Drop everything and build an empty schema; works on a started and a stopped store."""

    # --- operations ------------------------------------------------------------------------------

    async def write(self, op: Op[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `op` in a transaction of its own and return its result once that is committed.

        What `op` raises undoes what it wrote and is raised here. A cancelled caller does not
        undo an operation that has begun.
        """
        job = LoopJob(op, args, kwargs, asyncio.get_running_loop())
        self._writers.submit(job)
        return await job.future

    async def read(self, op: Op[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `op` on one unchanging view of what is committed; it cannot write."""
        job = LoopJob(op, args, kwargs, asyncio.get_running_loop())
        self._readers.submit(job)
        return await job.future

    def write_sync(self, op: Op[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As `write`, blocking the calling thread. Not from within an operation."""
        return self._wait(self._writers, ThreadJob(op, args, kwargs))

    def read_sync(self, op: Op[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As `read`, blocking the calling thread. Not from within an operation."""
        return self._wait(self._readers, ThreadJob(op, args, kwargs))

    def _wait(self, crew: Crew, job: ThreadJob) -> Any:
        current = threading.current_thread()
        if self._writers.owns(current) or self._readers.owns(current):
            raise RuntimeError("an operation cannot run another one; call it with its own tx")
        crew.submit(job)
        return job.wait()

    async def ping(self) -> None:
        """Return when the database answers; raise `ServiceUnavailable` when it does not."""
        await self.read(_ping)

    def ping_sync(self) -> None:
        """As `ping`, blocking the calling thread."""
        self.read_sync(_ping)

    def _woke(self, topics: Iterable[str]) -> None:
        woken = frozenset(topics)
        if woken:
            try:
                self.on_wake(woken)
            except Exception:
                # The commit stands and its callers must be told; a lost wake-up costs one poll.
                _logger.exception("the listener of the store failed for %s", sorted(woken))


def _ping(tx: Tx) -> None:
    tx.fetch("SELECT 1 AS one", ())


def runs(job: Job, tx: Tx) -> bool:
    """Run a job's operation and keep its outcome in the job; True when it returned.

    This is the supervision point of the database threads: whatever an operation raises belongs
    to its caller and must not end the thread.
    """
    try:
        job.result = job.op(tx, *job.args, **job.kwargs)
    except BaseException as error:
        job.fail(error)
        return False
    return True
