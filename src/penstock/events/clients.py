"""Clients that emit events, and subscribers that hear them."""

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, ClassVar, Self

from penstock.base import json
from penstock.client.subscriptions import AsyncSubscription, subscribe_events
from penstock.client.target import Target, current_target
from penstock.events.schemas.events import Event, ReceivedEvent
from penstock.schemas.events import EventFilter

CLOSE_SECONDS = 30.0


class EventsClient(ABC):
    """Emits events while it is entered with `async with`."""

    @property
    def client_name(self) -> str:
        return type(self).__name__

    async def emit(self, event: Event) -> None:
        """Queue one event. Raises `TypeError` outside `async with`."""
        if not self._entered:
            raise TypeError("events may only be emitted inside `async with` of the client")
        self.take(event)

    _entered = False

    @abstractmethod
    def take(self, event: Event) -> None:
        """Accept one event without blocking."""

    async def __aenter__(self) -> Self:
        self._entered = True
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._entered = False


class NullEventsClient(EventsClient):
    """Takes events and forgets them."""

    def take(self, event: Event) -> None:
        pass


class AssertingEventsClient(EventsClient):
    """Keeps events for a test to look at; every instance made is in `all`, the newest is `last`."""

    all: ClassVar[list["AssertingEventsClient"]] = []
    last: ClassVar["AssertingEventsClient | None"] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs
        self.events: list[Event] = []
        AssertingEventsClient.all.append(self)
        AssertingEventsClient.last = self

    @classmethod
    def reset(cls) -> None:
        """Forget all instances."""
        AssertingEventsClient.all.clear()
        AssertingEventsClient.last = None

    def take(self, event: Event) -> None:
        self.events.append(event)

    def pop_events(self) -> list[Event]:
        """The events so far; they are forgotten."""
        events, self.events = self.events, []
        return events


class PenstockEventsClient(EventsClient):
    """Emits to the API; leaving it waits until the events are committed, a bounded time."""

    def __init__(
        self,
        api_url: str | None = None,
        reconnection_attempts: int = 10,
        checkpoint_every: int = 700,
        checkpoint_interval: float = 30.0,
    ) -> None:
        # The stream reconnects for as long as the process lives and confirms every batch, so the
        # three numbers of the contract have nothing left to decide.
        from penstock.client.sockets import event_stream

        self._stream = event_stream(Target(url=api_url) if api_url else current_target())

    def take(self, event: Event) -> None:
        self._stream.send(json.encode(event))

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self._stream.flush, CLOSE_SECONDS)
        await super().__aexit__(exc_type, exc, traceback)


class AssertingPassthroughEventsClient(PenstockEventsClient):
    """Emits to the API and keeps the events too."""

    all: ClassVar[list["AssertingPassthroughEventsClient"]] = []
    last: ClassVar["AssertingPassthroughEventsClient | None"] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.args = args
        self.kwargs = kwargs
        self.events: list[Event] = []
        AssertingPassthroughEventsClient.all.append(self)
        AssertingPassthroughEventsClient.last = self

    @classmethod
    def reset(cls) -> None:
        AssertingPassthroughEventsClient.all.clear()
        AssertingPassthroughEventsClient.last = None

    def take(self, event: Event) -> None:
        self.events.append(event)
        super().take(event)

    def pop_events(self) -> list[Event]:
        events, self.events = self.events, []
        return events


class PenstockEventSubscriber(AsyncSubscription[ReceivedEvent]):
    """Events as they happen: `async with get_events_subscriber() as events: async for ...`."""

    def __init__(
        self,
        api_url: str | None = None,
        filter: EventFilter | None = None,
        reconnection_attempts: int = 10,
    ) -> None:
        target = Target(url=api_url) if api_url else None
        super().__init__(
            subscribe_events(
                filter,
                target=target,
                reconnection_attempts=reconnection_attempts,
                type=ReceivedEvent,
            )
        )


def get_events_client(
    reconnection_attempts: int = 10,
    checkpoint_every: int = 700,
    checkpoint_interval: float = 30.0,
) -> EventsClient:
    """A client that emits to the API that the settings name."""
    return PenstockEventsClient(
        reconnection_attempts=reconnection_attempts,
        checkpoint_every=checkpoint_every,
        checkpoint_interval=checkpoint_interval,
    )


def get_events_subscriber(
    filter: EventFilter | None = None, reconnection_attempts: int = 10
) -> PenstockEventSubscriber:
    """A subscriber to the API that the settings name."""
    return PenstockEventSubscriber(filter=filter, reconnection_attempts=reconnection_attempts)
