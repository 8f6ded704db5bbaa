"""What a bus promises, whatever carries it.

A bus carries wake-ups ("something changed under this topic") and copies (bytes for whoever
listens now). Losing what it carries costs time, never work: everybody who waits also looks by
themselves every few seconds, and nothing lives only here.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

COPIES_HELD = 10_000
"""Copies a subscription keeps for a slow reader; older ones are dropped and counted."""


class Bus(Protocol):
    """Wake-ups and copies between the parts of one server and between servers."""

    async def start(self) -> None:
        """Connect. Called on the event loop that will wait. Repeating it changes nothing."""
        ...

    async def stop(self) -> None:
        """Disconnect and let go of everybody who waits. Repeating it changes nothing."""
        ...

    def version(self, topic: str) -> int:
        """A number that grows with every wake-up of `topic` this process learned of."""
        ...

    def wake(self, topic: str) -> None:
        """Wake whoever waits on `topic`, here and elsewhere. From any thread; never blocks."""
        ...

    async def wait(self, topic: str, after: int, timeout: float) -> int:
        """The version of `topic`, as soon as it exceeds `after` or `timeout` seconds passed."""
        ...

    def listen(self, prefix: str, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` on the loop with every topic woken that begins with `prefix`, wherever it
        was woken, and with `prefix` alone when wake-ups may have been missed. Returns the call
        that ends it.
        """
        ...

    def publish(self, topic: str, copy: bytes) -> None:
        """Hand a copy to every subscription of `topic`. From any thread; never blocks."""
        ...

    def subscribe(self, topic: str) -> "Subscription":
        """Copies published to `topic` from now on. The caller closes it."""
        ...


class Subscription:
    """Copies for one reader, in the order they were published; `dropped` counts lost ones."""

    def __init__(self, owner: "LocalBus", topic: str, held: int = COPIES_HELD) -> None:
        self._owner = owner
        self._copies: deque[bytes] = deque()
        self._held = held
        self._ready = asyncio.Event()
        self._closed = False
        self.topic = topic
        self.dropped = 0

    def offer(self, copy: bytes) -> None:
        """Take one more copy; on the loop thread only."""
        if len(self._copies) >= self._held:
            self._copies.popleft()
            self.dropped += 1
        self._copies.append(copy)
        self._ready.set()

    def close(self) -> None:
        """End the iteration; copies not yet read are given up."""
        self._closed = True
        self._owner.forget(self)
        self._ready.set()

    async def take(self) -> list[bytes]:
        """All copies that wait, as soon as there is one; empty when closed."""
        while not self._copies and not self._closed:
            self._ready.clear()
            await self._ready.wait()
        if self._closed:
            return []
        taken = list(self._copies)
        self._copies.clear()
        return taken

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while copies := await self.take():
            for copy in copies:
                yield copy


class LocalBus:
    """What every bus does inside its own process; the memory bus is this and nothing more.

    Versions are counted under a lock, so that `wake` works from any thread. The loop is only
    bothered when somebody waits: a wake-up nobody waits for costs well under a microsecond.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: dict[str, int] = {}
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._subscriptions: dict[str, list[Subscription]] = {}
        self._listeners: list[tuple[str, Callable[[str], None]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = False

    async def stop(self) -> None:
        self._stopped = True
        self._release([waiter for group in self._take_all() for waiter in group])
        for group in list(self._subscriptions.values()):
            for subscription in list(group):
                subscription.close()
        self._loop = None

    def version(self, topic: str) -> int:
        return self._versions.get(topic, 0)

    def wake(self, topic: str) -> None:
        self.wake_here(topic)
        self.send_wake(topic)

    def publish(self, topic: str, copy: bytes) -> None:
        self.offer_here(topic, copy)
        self.send_copy(topic, copy)

    def send_wake(self, topic: str) -> None:
        """Carry a wake-up to other processes; nothing to do in one process."""

    def send_copy(self, topic: str, copy: bytes) -> None:
        """Carry a copy to other processes; nothing to do in one process."""

    def wake_here(self, topic: str) -> None:
        """Count a wake-up and release who waits in this process. From any thread."""
        with self._lock:
            self._versions[topic] = self._versions.get(topic, 0) + 1
            waiters = self._waiters.pop(topic, None)
        if waiters:
            self._on_loop(self._release, waiters)
        for prefix, listener in self._listeners:
            if topic.startswith(prefix):
                self._on_loop(listener, topic)

    def wake_everything(self) -> None:
        """Wake every topic known here, because wake-ups may have been missed."""
        with self._lock:
            topics = {*self._versions, *self._waiters}
        for topic in topics:
            self.wake_here(topic)
        for prefix, listener in self._listeners:
            self._on_loop(listener, prefix)

    def listen(self, prefix: str, listener: Callable[[str], None]) -> Callable[[], None]:
        entry = (prefix, listener)
        self._listeners = [*self._listeners, entry]

        def end() -> None:
            self._listeners = [kept for kept in self._listeners if kept is not entry]

        return end

    def offer_here(self, topic: str, copy: bytes) -> None:
        """Hand a copy to the subscriptions of this process. From any thread."""
        if self._subscriptions.get(topic):
            self._on_loop(self._offer, topic, copy)

    async def wait(self, topic: str, after: int, timeout: float) -> int:
        loop = asyncio.get_running_loop()
        with self._lock:
            version = self._versions.get(topic, 0)
            if version > after or self._stopped or timeout <= 0:
                return version
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiters.setdefault(topic, []).append(waiter)
        timer = loop.call_later(timeout, _finish, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._discard(topic, waiter)
        return self.version(topic)

    def subscribe(self, topic: str) -> Subscription:
        subscription = Subscription(self, topic)
        self._subscriptions.setdefault(topic, []).append(subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        group = self._subscriptions.get(subscription.topic, [])
        if subscription in group:
            group.remove(subscription)

    def _on_loop(self, function: Callable[..., Any], *arguments: Any) -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        loop.call_soon_threadsafe(function, *arguments)

    def _offer(self, topic: str, copy: bytes) -> None:
        for subscription in self._subscriptions.get(topic, []):
            subscription.offer(copy)

    def _release(self, waiters: list[asyncio.Future[None]]) -> None:
        for waiter in waiters:
            _finish(waiter)

    def _take_all(self) -> list[list[asyncio.Future[None]]]:
        with self._lock:
            groups = list(self._waiters.values())
            self._waiters.clear()
        return groups

    def _discard(self, topic: str, waiter: asyncio.Future[None]) -> None:
        with self._lock:
            group = self._waiters.get(topic)
            if group is not None and waiter in group:
                group.remove(waiter)
                if not group:
                    del self._waiters[topic]


def _finish(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
