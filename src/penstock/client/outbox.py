"""A queue with one background thread that delivers what is put in, in batches and in order.

The caller of `put` is never blocked and never sees an error. What cannot be delivered now is kept
and tried again with growing pauses; memory is bounded; `flush` and the end of the process wait a
bounded time.
"""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from weakref import WeakSet

from msgspec import Struct

from penstock.client.closing import Stage, after_fork, at_exit

EXIT_SECONDS = 10.0
EXIT_SECONDS_IN_TROUBLE = 3.0
EXIT_SLICE = 0.25
LONGEST_PAUSE = 10.0
STOP_SECONDS = 2.0
IMMEDIATE_ATTEMPTS = 2
BUGS_ENDURED = 3

Deliver = Callable[[Sequence[bytes]], None]
Tell = Callable[[str], None]


class NotNow(Exception):
    """The batch could not be delivered; it is kept and tried again."""


class Refused(Exception):
    """The other side will never take the batch; it is dropped."""


class Bounds(Struct, frozen=True, kw_only=True):
    """How much goes together and how much is kept. Sizes are bytes, times are seconds."""

    interval: float = 0.05
    """How long the first item of a batch waits for others."""
    batch_items: int = 1_000
    batch_bytes: int = 1_000_000
    capacity_bytes: int = 64_000_000
    capacity_items: int = 0
    """0 means that only the bytes are bounded."""


class Outbox:
    """Delivers items to one place.

    `deliver(batch)` sends one batch and returns when the other side has it; it raises `NotNow` or
    `Refused`. `tell(message)` is called once when delivery begins to fail, once when it works
    again, and once for each stretch of dropped items. `describe(items)` names what is left at the
    end of the process. `put` costs about a microsecond.
    """

    def __init__(
        self,
        name: str,
        deliver: Deliver,
        *,
        tell: Tell,
        describe: Callable[[Sequence[bytes]], str],
        bounds: Bounds = Bounds(),  # noqa: B008 - an immutable value
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.bounds = bounds
        self.dropped = 0
        self._deliver = deliver
        self._tell = tell
        self._describe = describe
        self._monotonic = monotonic
        self._begin()
        _outboxes.add(self)

    def _begin(self) -> None:
        # Reentrant, because a signal handler of the program may log while this thread is in `put`.
        self._lock = threading.RLock()
        self._work = threading.Condition(self._lock)
        self._settled = threading.Condition(self._lock)
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._in_flight: list[bytes] = []
        self._idle = True
        self._flushing = 0
        self._failures = 0
        self._full = False
        self._thread: threading.Thread | None = None

    def put(self, item: bytes) -> None:
        """Queue `item`. When the queue is full the item is dropped, which is told once."""
        with self._lock:
            bounds = self.bounds
            full = self._bytes + len(item) > bounds.capacity_bytes or (
                bounds.capacity_items and len(self._queue) >= bounds.capacity_items
            )
            if full:
                self.dropped += 1
                if self._full:
                    return
                self._full = True
            else:
                self._queue.append(item)
                self._bytes += len(item)
                if self._idle or self._bytes >= bounds.batch_bytes:
                    self._idle = False
                    self._wake()
        if full:
            self._tell(
                f"{self.name}: more than {len(self._queue)} items ({self._bytes} bytes) wait to be "
                "delivered; new ones are dropped until there is room"
            )

    def flush(self, timeout: float) -> int:
        """Deliver all that is queued now; returns how many items are left after `timeout`."""
        with self._lock:
            self._flushing += 1
            self._wake()
            try:
                self._settled.wait_for(lambda: not self._queue and not self._in_flight, timeout)
            finally:
                self._flushing -= 1
            return len(self._queue) + len(self._in_flight)

    @property
    def pending(self) -> int:
        """How many items are not delivered yet."""
        with self._lock:
            return len(self._queue) + len(self._in_flight)

    @property
    def failing(self) -> bool:
        return self._failures > 0

    def leftovers(self) -> str | None:
        """What is not delivered, in words; None when nothing is."""
        with self._lock:
            items = [*self._in_flight, *self._queue]
        return f"{self.name}: {self._describe(items)}" if items else None

    def stop(self) -> None:
        """End the thread once it is idle; what is put in later starts another."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._work.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join(STOP_SECONDS)

    def forget(self) -> None:
        """Start anew without items or thread: for the child of a fork, whose parent delivers."""
        self._begin()

    def _wake(self) -> None:
        if self._thread is None:
            name = f"penstock-{self.name}"
            self._thread = threading.Thread(target=self._live, name=name, daemon=True)
            try:
                self._thread.start()
            except RuntimeError:
                # At the very end of the interpreter no thread can be started; `leftovers` tells.
                self._thread = None
        self._work.notify()

    def _live(self) -> None:
        while batch := self._next_batch():
            self._deliver_until_settled(batch)
            with self._lock:
                self._in_flight = []
                if not self._queue:
                    self._settled.notify_all()

    def _next_batch(self) -> list[bytes]:
        """The next items to deliver; none when this thread is to end."""
        with self._lock:
            while not self._queue:
                if self._thread is not threading.current_thread():
                    return []
                self._idle = True
                self._work.wait()
            self._idle = False
            until = self._monotonic() + self.bounds.interval
            while not self._due() and (rest := until - self._monotonic()) > 0:
                self._work.wait(rest)
            batch, size = [], 0
            while self._queue and len(batch) < self.bounds.batch_items:
                size += len(self._queue[0])
                if batch and size > self.bounds.batch_bytes:
                    break
                batch.append(self._queue.popleft())
            self._bytes -= sum(map(len, batch))
            self._in_flight = batch
            self._full = False
            return batch

    def _due(self) -> bool:
        return (
            self._flushing > 0
            or self._bytes >= self.bounds.batch_bytes
            or len(self._queue) >= self.bounds.batch_items
        )

    def _deliver_until_settled(self, batch: list[bytes]) -> None:
        bugs = 0
        while True:
            try:
                self._deliver(batch)
            except NotNow as error:
                self._failed(str(error))
            except Refused as error:
                self._lost(batch, f"were refused and are lost: {error}")
                return
            except Exception as error:  # Supervision: the thread outlives any error of a delivery.
                bugs += 1
                if bugs > BUGS_ENDURED:
                    self._lost(batch, f"are lost, because delivering them fails: {error!r}")
                    return
                self._failed(repr(error))
            else:
                if self._failures:
                    self._failures = 0
                    self._tell(f"{self.name}: delivering again")
                return
            if self._thread is not threading.current_thread():
                return

    def _lost(self, batch: list[bytes], how: str) -> None:
        self.dropped += len(batch)
        self._tell(f"{self.name}: {len(batch)} items {how}")

    def _failed(self, error: str) -> None:
        self._failures += 1
        if self._failures == IMMEDIATE_ATTEMPTS:
            self._tell(
                f"{self.name}: cannot deliver now ({error}); the run goes on, what waits is kept "
                f"(up to {self.bounds.capacity_bytes} bytes) and sent when the API answers again"
            )
        if self._failures >= IMMEDIATE_ATTEMPTS:
            pause = min(LONGEST_PAUSE, 0.1 * 2.0 ** (self._failures - IMMEDIATE_ATTEMPTS))
            self._pause(pause)

    def _pause(self, seconds: float) -> None:
        """Wait; a flush that begins meanwhile ends the pause, one that goes on shortens it."""
        with self._lock:
            if self._flushing:
                seconds = min(seconds, 0.2)
            before, until = self._flushing, self._monotonic() + seconds
            while self._flushing <= before and (rest := until - self._monotonic()) > 0:
                if self._thread is not threading.current_thread():
                    return
                self._work.wait(rest)


_outboxes: "WeakSet[Outbox]" = WeakSet()


def _flush_all() -> None:
    """At the end of the process: wait a bounded time, then name what was not delivered.

    The time is shared by all outboxes, and short for one whose other side does not answer.
    """
    start = time.monotonic()
    for outbox in list(_outboxes):
        while outbox.flush(EXIT_SLICE):
            waited = time.monotonic() - start
            if waited > (EXIT_SECONDS_IN_TROUBLE if outbox.failing else EXIT_SECONDS):
                print(f"penstock: not delivered at exit: {outbox.leftovers()}", file=sys.stderr)  # noqa: T201
                break


def _forget_all() -> None:
    for outbox in list(_outboxes):
        outbox.forget()


at_exit(Stage.FLUSH, _flush_all)
after_fork(_forget_all)
