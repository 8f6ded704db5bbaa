"""One thread for everything of this process that must happen at a later time."""

import heapq
import threading
from collections.abc import Callable
from itertools import count
from time import monotonic


class Alarm:
    """One entry: `cancel` makes sure that it does not ring from then on."""

    __slots__ = ("action", "cancelled", "due")

    def __init__(self, due: float, action: Callable[[], object]) -> None:
        self.due = due
        self.action = action
        self.cancelled = False


class Timer:
    """Calls functions when they are due, in one daemon thread that exists only while it is needed.

    Functions must be short and must not raise. Setting and cancelling cost microseconds.
    """

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int, Alarm]] = []
        self._order = count()
        self._live = 0
        self._thread: threading.Thread | None = None

    def after(self, seconds: float, action: Callable[[], object]) -> Alarm:
        """Call `action` in `seconds` from now."""
        alarm = Alarm(self._now() + seconds, action)
        with self._changed:
            heapq.heappush(self._heap, (alarm.due, next(self._order), alarm))
            self._live += 1
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="penstock-timer", daemon=True
                )
                self._thread.start()
            elif self._heap[0][2] is alarm:
                self._changed.notify()
        return alarm

    def cancel(self, alarm: Alarm) -> None:
        """Make sure `alarm` does not ring any more; it may be ringing right now."""
        with self._changed:
            if alarm.cancelled:
                return
            alarm.cancelled = True
            self._live -= 1
            if self._live == 0:
                self._heap.clear()
                self._changed.notify()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the thread to end, which it does when nothing is set any more."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._heap and self._heap[0][2].cancelled:
                    heapq.heappop(self._heap)
                if not self._heap:
                    self._thread = None
                    return
                due, _, alarm = self._heap[0]
                left = due - self._now()
                if left > 0:
                    self._changed.wait(left)
                    continue
                heapq.heappop(self._heap)
                alarm.cancelled = True
                self._live -= 1
            alarm.action()


TIMER = Timer()
