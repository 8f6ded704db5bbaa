"""The way of a process's events out: to the API's event stream, or to a client of a test's."""

from typing import Any, ClassVar, Self

from penstock.base import json
from penstock.base.run_context import current_run
from penstock.events.related import related_resources_of
from penstock.events.schemas.events import Event
from penstock.settings import get_current_settings

DRAIN_SECONDS = 30.0


def should_emit_events() -> bool:
    """Whether there is an API that takes them."""
    settings = get_current_settings()
    return bool(settings.api.url) or settings.server.ephemeral.enabled or _overridden()


def should_emit_events_to_running_server() -> bool:
    return bool(get_current_settings().api.url)


def should_emit_events_to_ephemeral_server() -> bool:
    settings = get_current_settings()
    return not settings.api.url and settings.server.ephemeral.enabled


def _overridden() -> bool:
    return EventsWorker.override is not None


class EventsWorker:
    """Hands events to the stream of the current API. There is one per process."""

    override: ClassVar[Any] = None
    """A client that gets the events instead, set by `set_client_override`."""
    _instance: ClassVar[Any] = None

    @classmethod
    def instance(cls, client_type: Any = None) -> Self:
        """The worker of this process; `client_type` takes the events instead of the API."""
        if client_type is not None:
            cls.set_client_override(client_type)
        if cls._instance is None:
            cls._instance = cls()
        return cls._instance

    @classmethod
    def set_client_override(cls, client_type: Any, **client_kwargs: Any) -> None:
        """Give events to an instance of `client_type` from now on; None ends that."""
        EventsWorker.override = None if client_type is None else client_type(**client_kwargs)

    def send(self, event: Event, encoded: bytes | None = None) -> None:
        """Queue `event`. Does not block."""
        if self.override is not None:
            self.override.take(event)
            return
        # The socket library costs import time that a program without events must not pay.
        from penstock.client.sockets import event_stream

        event_stream().send(encoded if encoded is not None else json.encode(event))

    def wait_until_empty(self, timeout: float = DRAIN_SECONDS) -> int:
        """Wait until everything sent is committed; returns how many events are not."""
        from penstock.client.sockets import flush_events

        return flush_events(timeout)

    def drain(self, timeout: float = DRAIN_SECONDS) -> bool:
        """As `wait_until_empty`; whether it got empty."""
        return self.wait_until_empty(timeout) == 0

    async def attach_related_resources_from_context(self, event: Event) -> None:
        """Add what the current run knows to an event that was made by hand."""
        known = {resource["prefect.resource.id"] for resource in event.involved_resources}
        event.related.extend(related_resources_of(current_run.get(), known))
