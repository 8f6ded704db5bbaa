"""Taking runs when they are due and keeping them until their processes are gone.

One dispatcher serves one runner or worker. It is woken by events, by the time of the next known
run and by its own runs that end, and polls now and then for what none of these told.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

from penstock.logging import get_logger
from penstock.runner.sources import Source, Taken, Target, open_source
from penstock.schemas.errors import ObjectNotFound, PenstockException
from penstock.settings import get_current_settings

logger = get_logger("runner")

JITTER = 0.3
LONGEST_TROUBLE = 30.0
MARGIN_SECONDS = 0.002
"""How long after a run's time it is asked for; earlier it is not due on the server's clock."""


class Active:
    """A run that was taken, and the task that looks after it until its process is gone."""

    def __init__(self, taken: Taken) -> None:
        self.taken = taken
        self.task: asyncio.Task[None] | None = None


class Dispatcher:
    """Takes runs and gives each to `handle`, which returns when its process is gone.

    At most `limit` at a time (None: no limit). `on_lost` is called for runs that are ours no
    longer, `on_missing` when the server does not know whose runs are asked for. No error of the
    server ends it: it says once that there is trouble, and tries again.
    """

    def __init__(
        self,
        client: Any,
        target: Callable[[], Target | None],
        handle: Callable[[Taken], Awaitable[None]],
        *,
        on_lost: Callable[[UUID], None],
        on_missing: Callable[[], Awaitable[None]] | None = None,
        limit: int | None = None,
        query_seconds: float = 10.0,
        prefetch_seconds: float = 10.0,
        lease_seconds: float | None = None,
    ) -> None:
        self.limit = limit
        self.last_polled = time.monotonic()
        self.active: dict[UUID, Active] = {}
        self.next_due: float | None = None
        self._client = client
        self._target = target
        self._handle = handle
        self._on_lost = on_lost
        self._on_missing = on_missing
        self._query = query_seconds
        self._ahead = max(prefetch_seconds, query_seconds * (1 + JITTER))
        self._lease = lease_seconds or get_current_settings().runner.claim_lease_seconds
        self._source: Source | None = None
        self._woken = asyncio.Event()
        self._stopped = False
        self._failures = 0
        self._renewer: asyncio.Task[None] | None = None

    @property
    def free(self) -> int:
        """How many more runs may be taken."""
        return 1_000 if self.limit is None else self.limit - len(self.active)

    def wake(self) -> None:
        """Ask the server soon."""
        self._woken.set()

    async def source(self) -> Source:
        if self._source is None:
            self._source = await open_source(
                self._client, lease_seconds=self._lease, ahead_seconds=self._ahead
            )
        return self._source

    async def take(self) -> list[Taken]:
        """Ask once, and begin with what was taken. Raises what the request raises."""
        target = self._target()
        free = self.free
        if target is None or free <= 0:
            self.next_due = None
            return []
        source = await self.source()
        round = await source.take(target, min(free, 200))
        self.last_polled = time.monotonic()
        self.next_due = round.next_due
        if len(round.taken) == min(free, 200) and self.free > 0:
            self.next_due = 0.0
        for taken in round.taken:
            self._begin(taken)
        return round.taken

    async def run(self) -> None:
        """Take runs until `stop`."""
        self._renewer = asyncio.create_task(self._keep_claims())
        try:
            while not self._stopped:
                self._woken.clear()
                pause = await self._round()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), pause)
        finally:
            self._renewer.cancel()

    def stop(self) -> None:
        """Take nothing more; what was taken goes on."""
        self._stopped = True
        self.wake()

    async def drained(self) -> None:
        """Returns when nothing that was taken is left."""
        while self.active:
            tasks = [active.task for active in self.active.values() if active.task is not None]
            if tasks:
                await asyncio.wait(tasks)
            await asyncio.sleep(0)

    async def _round(self) -> float:
        """Ask once; how long to wait at most before the next time."""
        try:
            await self.take()
        except ObjectNotFound as error:
            pause = self._trouble(error)
            if self._on_missing is not None:
                await self._on_missing()
            return pause
        except (PenstockException, OSError) as error:
            return self._trouble(error)
        if self._failures:
            logger.info("The API answers again")
            self._failures = 0
        pause = self._query * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
        if self.next_due is not None:
            pause = min(pause, max(self.next_due + MARGIN_SECONDS, 0.0))
        return pause

    def _trouble(self, error: Exception) -> float:
        self._failures += 1
        if self._failures in (1, 10) or self._failures % 100 == 0:
            logger.warning("No runs can be taken now, trying again: %s", error)
        return min(LONGEST_TROUBLE, 0.5 * 2.0 ** min(self._failures, 10))

    # --- what was taken --------------------------------------------------------------------------

    def _begin(self, taken: Taken) -> None:
        active = self.active[taken.id] = Active(taken)
        active.task = asyncio.create_task(self._look_after(taken))

    async def _look_after(self, taken: Taken) -> None:
        try:
            await self._handle(taken)
        except Exception:  # Supervision: one run must not end the others.
            logger.exception("Flow run %s could not be looked after", taken.flow_run.name)
        finally:
            self.active.pop(taken.id, None)
            if self.limit is not None:
                self.wake()

    async def _keep_claims(self) -> None:
        """Renew all claims, three times in each lease."""
        while True:
            await asyncio.sleep(self._lease / 3)
            runs = [active.taken for active in self.active.values()]
            if not runs or self._source is None:
                continue
            try:
                lost = await self._source.renew(runs)
            except (PenstockException, OSError) as error:
                logger.warning("Claims could not be renewed, trying again: %s", error)
                continue
            for id in lost:
                if id in self.active:
                    logger.warning("Flow run %s is no longer ours: its claim was taken back", id)
                    self._on_lost(id)
