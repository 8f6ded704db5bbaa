"""Following the event log and firing automations."""

import asyncio
from datetime import datetime, timedelta

from penstock.server.ops import triggers
from penstock.server.ops.context import Context, service
from penstock.server.ops.trigger_registry import EMPTY, Registry
from penstock.server.store.store import Store

NOTED_EVERY = timedelta(seconds=5)
"""How often the cursor is moved while nothing concerns any automation."""
PAUSE = 0.01
LOOKS = 20
"""How often, in a round, and after how many seconds the log is read again for events that are
committed but not to be read yet."""
SWEPT_EVERY = timedelta(minutes=1)
KEPT_FIRINGS = timedelta(days=30)
"""How long the history of automations is kept."""
KEPT = timedelta(minutes=30)
"""How long windows that are over are kept, for events that come late."""


class Triggers:
    """Evaluates events as they are committed, and windows as they end.

    Events that concern no automation cost a read and no write. The position behind them is kept
    in memory and noted from time to time; whoever begins again at an older one finds the same.
    """

    name = "triggers"
    topic = "events"

    def __init__(self, store: Store, *, interval_seconds: float = 0.5) -> None:
        self.interval_seconds = interval_seconds
        self._store = store
        self._context = Context(actor=service(self.name))
        self._registry: Registry = EMPTY
        self._position = 0
        self._last: dict[str, datetime] = {}

    async def run_once(self, now: datetime) -> int:
        """Evaluate all there is; how many automations fired."""
        fired, looks = 0, LOOKS
        while True:
            found = await self._store.read(triggers.peek, self._position, self._registry)
            if found.revision != self._registry.revision or found.pressing or self._wanted(found):
                done = await self._store.write(
                    triggers.advance, self._context, self._registry, found
                )
                self._registry, self._position = done.registry, done.seq
                fired += done.fired
                if done.more:
                    continue
            elif found.end > self._position:
                self._position = found.end
                if self._is_time("note", now, NOTED_EVERY):
                    await self._store.write(triggers.skip, self._position)
            if found.is_last and (found.caught_up or not looks):
                break
            if found.is_last:
                # Transactions that began before are still running; most end at once.
                looks -= 1
                await asyncio.sleep(PAUSE)
        if self._is_time("sweep", now, SWEPT_EVERY):
            await self._store.write(triggers.sweep, now - KEPT, now - KEPT_FIRINGS)
        return fired

    def _wanted(self, found: triggers.Peek) -> bool:
        of = self._registry.index.of
        return any(of(row["event"]) for row in found.page)

    def _is_time(self, what: str, now: datetime, every: timedelta) -> bool:
        """Whether `every` has passed since this was last true for `what`."""
        last = self._last.get(what)
        if last is not None and now - last < every:
            return False
        self._last[what] = now
        return True
