"""Live events and logs as iterators, for threads and for coroutines.

A subscription survives a lost connection: it connects again, continues behind the last event it
saw where the server can, and drops what it has seen already.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from msgspec import UNSET, Struct, UnsetType, ValidationError, convert

from penstock.base import json
from penstock.base.clock import utc_now
from penstock.base.ids import uuid7
from penstock.client.duplex import POLICY_VIOLATION, Duplex, SocketClosed, open_duplex
from penstock.client.exchange import SocketRefused
from penstock.client.target import Target, current_target
from penstock.schemas.events import Event, EventFilter, EventOccurredFilter, ReceivedEvent
from penstock.schemas.logs import Log, LogFilter

T = TypeVar("T")
E = TypeVar("E", bound=Event)
SEEN = 500_000
IMMEDIATE_RECONNECTIONS = 3
RECONNECT_SECONDS = 1.0
HORIZON = timedelta(days=365)
OVERLAP = timedelta(minutes=1)

logger = logging.getLogger("penstock.client")


class Feed(Struct, Generic[T], frozen=True):
    """What differs between the sockets that only tell."""

    path: str
    member: str
    """Name of the frame's member, and the frame's type."""
    type: Any
    absent: Callable[[], dict[str, Any]] = dict
    """Members that the type needs and that some servers leave out."""


def _of_a_log() -> dict[str, Any]:
    return {"id": uuid7(), "created": None, "updated": None}


LOGS: Feed[Log] = Feed("/logs/out", "log", Log, _of_a_log)


class Subscription(Generic[T]):
    """An iterator over a feed; blocks its thread. `close` from any thread ends it.

    Ends when the server closes the socket cleanly. Raises `ConnectionError` after
    `reconnection_attempts` failures in a row, at once when the server refuses the socket.
    """

    def __init__(
        self,
        feed: Feed[T],
        filter: Any,
        *,
        target: Target | None = None,
        reconnection_attempts: int = 10,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._feed = feed
        self._filter = filter
        self._target = target or current_target()
        self._attempts = reconnection_attempts
        self._sleep = sleep
        self._duplex: Duplex | None = None
        self._closed = False
        self._after: int | UnsetType = UNSET
        self._seen: set[Any] = set()
        self._order: deque[Any] = deque()

    def open(self) -> None:
        """Connect and subscribe; what happens after this returns will be seen."""
        if self._duplex is None:
            self._duplex = self._subscribed()

    def close(self) -> None:
        self._closed = True
        duplex, self._duplex = self._duplex, None
        if duplex is not None:
            duplex.close()

    def __iter__(self) -> Iterator[T]:
        failures = 0
        while not self._closed:
            try:
                self.open()
                for item in self._items():
                    failures = 0
                    yield item
                return
            except SocketRefused as error:
                raise ConnectionError(f"{self._name} refused this client: {error}") from error
            except (SocketClosed, OSError) as error:
                self._drop()
                if self._closed:
                    return
                if isinstance(error, SocketClosed) and error.code == POLICY_VIOLATION:
                    raise ConnectionError(f"{self._name} refused this client: {error}") from error
                failures += 1
                if failures > self._attempts:
                    raise ConnectionError(f"{self._name} cannot be reached: {error}") from error
                if failures > IMMEDIATE_RECONNECTIONS:
                    self._sleep(RECONNECT_SECONDS)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _name(self) -> str:
        return f"{self._feed.path} of {self._target.name}"

    def _subscribed(self) -> Duplex:
        duplex = open_duplex(self._target, self._feed.path)
        request: dict[str, Any] = {"type": "filter", "filter": self._filter}
        if self._after is not UNSET:
            request["after_seq"] = self._after
        duplex.send(json.encode(request))
        return duplex

    def _items(self) -> Iterator[T]:
        while self._duplex is not None:
            try:
                message = json.decode(self._duplex.receive())
            except SocketClosed as end:
                if end.clean:
                    self._drop()
                    return
                raise
            document = message.get(self._feed.member)
            if not isinstance(document, dict):
                continue
            self._after = document.get("seq", self._after)
            if not self._is_new(document.get("id")):
                continue
            try:
                item: T = convert({**self._feed.absent(), **document}, self._feed.type)
            except ValidationError as error:
                logger.warning("%s sent what is not of the contract: %s", self._name, error)
                continue
            yield item

    def _is_new(self, identity: Any) -> bool:
        if identity is None:
            return True
        if identity in self._seen:
            return False
        self._seen.add(identity)
        self._order.append(identity)
        if len(self._order) > SEEN:
            self._seen.discard(self._order.popleft())
        return True

    def _drop(self) -> None:
        duplex, self._duplex = self._duplex, None
        if duplex is not None:
            with suppress(OSError):
                duplex.close()


class AsyncSubscription(Generic[T]):
    """The same for coroutines: a thread reads the socket and hands over what comes.

    Use with `async with`; leaving it ends the thread.
    """

    def __init__(self, subscription: Subscription[T]) -> None:
        self._subscription = subscription
        self._items: asyncio.Queue[T | BaseException | None] = asyncio.Queue()

    @property
    def client_name(self) -> str:
        return type(self).__name__

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._subscription.open)
        thread = threading.Thread(target=self._read, name="penstock-subscription", daemon=True)
        thread.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self._subscription.close)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        item = await self._items.get()
        if item is None:
            raise StopAsyncIteration
        if isinstance(item, BaseException):
            raise item
        return item

    def _read(self) -> None:
        try:
            for item in self._subscription:
                self._put(item)
            self._put(None)
        except Exception as error:  # Supervision: it is raised where the items are awaited.
            self._put(error)

    def _put(self, item: T | BaseException | None) -> None:
        # A loop that is closed meanwhile has nobody left who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)


def live_filter(filter: EventFilter | None) -> EventFilter:
    """`filter` as a subscription needs it: from a minute ago, without an end."""
    from msgspec.structs import replace

    now = utc_now()
    occurred = EventOccurredFilter(since=now - OVERLAP, until=now + HORIZON)
    return replace(filter or EventFilter(), occurred=occurred)


def subscribe_events(
    filter: EventFilter | None = None,
    *,
    target: Target | None = None,
    reconnection_attempts: int = 10,
    type: type[E] = ReceivedEvent,
) -> Subscription[E]:
    """Events that match, from a minute ago on, as structs of `type`."""
    feed: Feed[E] = Feed("/events/out", "event", type)
    return Subscription(
        feed, live_filter(filter), target=target, reconnection_attempts=reconnection_attempts
    )


def subscribe_logs(
    filter: LogFilter | None = None,
    *,
    target: Target | None = None,
    reconnection_attempts: int = 10,
) -> Subscription[Log]:
    """Log records that match, as they are stored. The server must have
    `PENSTOCK_SERVER_LOGS_STREAM_OUT_ENABLED`."""
    return Subscription(
        LOGS, filter or LogFilter(), target=target, reconnection_attempts=reconnection_attempts
    )
