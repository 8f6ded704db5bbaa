"""Hearing of work and of cancellations the moment they happen, from the event socket.

The subscription runs in a thread, connects again for ever, and says when it did: whoever relies on
it looks at what it may have missed. Without it everything still happens, a poll later.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from penstock.client.subscriptions import subscribe_events
from penstock.logging import get_logger
from penstock.schemas.events import (
    RESOURCE_ID,
    EventFilter,
    EventNameFilter,
    ReceivedEvent,
)

logger = get_logger("runner")

_PREFIX = "prefect.flow-run."
_READY = frozenset({"SCHEDULED"})
_FREEING = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED", "PAUSED"})
LONGEST_PAUSE = 10.0
SHORTEST_PAUSE = 0.2


class Watcher:
    """Calls back, in the loop that started it, about flow runs whose events match `filter`.

    `on_work()` for a run that became ready, or a slot that became free; `on_cancelling(id, when)`
    for a run that is to be stopped; `on_connected()` each time the socket is there (again).
    """

    def __init__(
        self,
        filter: Callable[[], EventFilter],
        *,
        on_work: Callable[[], None],
        on_cancelling: Callable[[UUID, datetime], None],
        on_connected: Callable[[], None],
    ) -> None:
        self._filter = filter
        self._on_work = on_work
        self._on_cancelling = on_cancelling
        self._on_connected = on_connected
        self._stopped = threading.Event()
        self._subscription = None
        self._thread: threading.Thread | None = None
        self.connected = False

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._watch,), name="penstock-watcher", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        subscription = self._subscription
        if subscription is not None:
            subscription.close()

    def again(self) -> None:
        """Connect anew, with what the filter is now."""
        subscription = self._subscription
        if subscription is not None:
            subscription.close()

    def _watch(self) -> None:
        pause, told = SHORTEST_PAUSE, False
        while not self._stopped.is_set():
            try:
                self._follow()
                pause, told = SHORTEST_PAUSE, False
            except (ConnectionError, OSError) as error:
                if not told:
                    logger.info("No events for now (%s); work is found by polling", error)
                    told = True
            finally:
                self.connected = False
            self._stopped.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _follow(self) -> None:
        filter = replace(self._filter(), event=EventNameFilter(prefix=[_PREFIX]))
        # One attempt: this loop tries again itself, and must know when it is connected.
        subscription = subscribe_events(filter, reconnection_attempts=0)
        self._subscription = subscription
        try:
            subscription.open()
            if self._stopped.is_set():
                return
            self.connected = True
            self._call(self._on_connected)
            for event in subscription:
                self._heard(event)
        finally:
            self._subscription = None
            subscription.close()

    def _heard(self, event: ReceivedEvent) -> None:
        type = event.resource.get("prefect.state-type")
        if type == "CANCELLING":
            id = event.resource[RESOURCE_ID].rpartition(".")[2]
            with suppress(ValueError):
                self._call(self._on_cancelling, UUID(id), event.occurred)
        elif type in _READY or type in _FREEING:
            self._call(self._on_work)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        # The loop may be closed meanwhile, and then nobody waits any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)
