"""Locks between the threads and coroutines of one process."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from penstock.base.clock import SYSTEM_CLOCK, Clock
from penstock.base.lazy import LazyModule
from penstock.locking.protocol import LockManager

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = LazyModule("asyncio")  # only coroutines need it


class _Held(NamedTuple):
    holder: str
    expires: float | None
    """On the monotonic clock; None when it is held until it is released."""


class MemoryLockManager(LockManager):
    """Locks between the threads and coroutines of one process.

    There is one per process: every call of the class gives the same object. Waiting does not poll.
    """

    _instance: Any = None
    _creation = threading.Lock()

    def __new__(cls) -> Self:
        with cls._creation:
            if cls._instance is None:
                cls._instance = super().__new__(cls)
                cls._instance._start(SYSTEM_CLOCK)
        return cls._instance

    def __init__(self) -> None:
        # The state is made once, with the object; a second call of the class must not clear it.
        pass

    def _start(self, clock: Clock) -> None:
        self._clock = clock
        self._mutex = threading.Lock()
        self._held: dict[str, _Held] = {}
        self._waiters: dict[str, list[Callable[[], object]]] = {}

    def acquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        deadline = self._deadline(acquire_timeout)
        event = threading.Event()
        while (wait := self._take_or_join(key, holder, hold_timeout, event.set, deadline)) != 0:
            if wait is not None and wait < 0:
                return False
            event.wait(wait)
            event.clear()
        return True

    async def aacquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        deadline = self._deadline(acquire_timeout)
        event, wake = _async_event()
        try:
            while (wait := self._take_or_join(key, holder, hold_timeout, wake, deadline)) != 0:
                if wait is not None and wait < 0:
                    return False
                await _wait_async(event, wait)
                event.clear()
        finally:
            self._leave(key, wake)
        return True

    def release_lock(self, key: str, holder: str) -> None:
        with self._mutex:
            held = self._current(key)
            if held is None or held.holder != holder:
                raise ValueError(f"the lock {key!r} is not held by {holder!r}; nothing is released")
            del self._held[key]
            self._wake(key)

    def is_locked(self, key: str) -> bool:
        with self._mutex:
            return self._current(key) is not None

    def is_lock_holder(self, key: str, holder: str) -> bool:
        with self._mutex:
            held = self._current(key)
            return held is not None and held.holder == holder

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        deadline = self._deadline(timeout)
        event = threading.Event()
        while (wait := self._free_or_join(key, event.set, deadline)) != 0:
            if wait is not None and wait < 0:
                return False
            event.wait(wait)
            event.clear()
        return True

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        deadline = self._deadline(timeout)
        event, wake = _async_event()
        try:
            while (wait := self._free_or_join(key, wake, deadline)) != 0:
                if wait is not None and wait < 0:
                    return False
                await _wait_async(event, wait)
                event.clear()
        finally:
            self._leave(key, wake)
        return True

    def _deadline(self, timeout: float | None) -> float | None:
        return None if timeout is None else self._clock.monotonic() + timeout

    def _current(self, key: str) -> _Held | None:
        held = self._held.get(key)
        if (
            held is not None
            and held.expires is not None
            and held.expires <= self._clock.monotonic()
        ):
            del self._held[key]
            self._wake(key)
            return None
        return held

    def _wake(self, key: str) -> None:
        for wake in self._waiters.pop(key, ()):
            wake()

    def _take_or_join(
        self,
        key: str,
        holder: str,
        hold_timeout: float | None,
        wake: Callable[[], object],
        deadline: float | None,
    ) -> float | None:
        """0 when the lock was taken, -1 when time is up, else how long to sleep (None: until
        woken); the waiter is then on the list."""
        with self._mutex:
            held = self._current(key)
            if held is None or held.holder == holder:
                expires = None if hold_timeout is None else self._clock.monotonic() + hold_timeout
                self._held[key] = _Held(holder, expires)
                self._forget(key, wake)
                return 0
            return self._join(key, held, wake, deadline)

    def _free_or_join(
        self, key: str, wake: Callable[[], object], deadline: float | None
    ) -> float | None:
        with self._mutex:
            held = self._current(key)
            if held is None:
                self._forget(key, wake)
                return 0
            return self._join(key, held, wake, deadline)

    def _join(
        self, key: str, held: _Held, wake: Callable[[], object], deadline: float | None
    ) -> float | None:
        now = self._clock.monotonic()
        if deadline is not None and now >= deadline:
            self._forget(key, wake)
            return -1
        waiters = self._waiters.setdefault(key, [])
        if wake not in waiters:
            waiters.append(wake)
        ends = [end for end in (deadline, held.expires) if end is not None]
        return max(min(ends) - now, 0.0001) if ends else None

    def _forget(self, key: str, wake: Callable[[], object]) -> None:
        waiters = self._waiters.get(key)
        if waiters is not None and wake in waiters:
            waiters.remove(wake)
            if not waiters:
                del self._waiters[key]

    def _leave(self, key: str, wake: Callable[[], object]) -> None:
        with self._mutex:
            self._forget(key, wake)


def _async_event() -> "tuple[asyncio.Event, Callable[[], object]]":
    event = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(event.set)

    return event, wake


async def _wait_async(event: "asyncio.Event", seconds: float | None) -> None:
    # After a timeout the caller looks at the lock and the deadline again.
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
