"""A bell that rings when a flow run changes its state, for those who wait for one."""

import contextvars
import threading
from contextlib import suppress
from typing import Any
from uuid import UUID

from penstock.client.subscriptions import subscribe_events
from penstock.schemas.events import EventFilter, EventResourceFilter

AGAIN_SECONDS = 5.0


class RunBell:
    """Follows the events of one run in a thread, from the first `wait` on.

    It promises nothing: without a connection it is silent, and whoever waits looks now and then.
    """

    def __init__(self, flow_run_id: UUID, client: Any = None) -> None:
        self._filter = EventFilter(
            resource=EventResourceFilter(id=[f"prefect.flow-run.{flow_run_id}"])
        )
        self._target = getattr(client, "target", None)
        self._rung = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._subscription: Any = None

    def wait(self, seconds: float) -> bool:
        """Whether it rang within `seconds`, or since the last wait."""
        if self._thread is None:
            context = contextvars.copy_context()
            self._thread = threading.Thread(
                target=context.run, args=(self._follow,), name="penstock-run-bell", daemon=True
            )
            self._thread.start()
        rang = self._rung.wait(seconds)
        self._rung.clear()
        return rang

    def close(self) -> None:
        self._closed.set()
        subscription = self._subscription
        if subscription is not None:
            subscription.close()

    def _follow(self) -> None:
        while not self._closed.is_set():
            # Any failure to connect is met by looking now and then.
            with suppress(ConnectionError, OSError, ValueError):
                subscription = self._subscription = subscribe_events(
                    self._filter, target=self._target, reconnection_attempts=0
                )
                subscription.open()
                # What happened before it was open was heard by nobody.
                self._rung.set()
                if not self._closed.is_set():
                    for _ in subscription:
                        self._rung.set()
                subscription.close()
            self._closed.wait(AGAIN_SECONDS)
