"""Carrying what a working set decided into the ledger: soon, in order, and until it succeeds."""

import asyncio
import contextlib
import logging
from collections import deque

from penstock.schemas.errors import ServiceUnavailable
from penstock.server.domain.cleanup import Change
from penstock.server.ops import cleanup_mirror, cleanup_queue
from penstock.server.store import Store

logger = logging.getLogger("penstock.server.queue")

BATCH = 100
LONGEST_PAUSE = 2.0


class Mirror:
    """Changes on their way into the ledger. While one batch is written the next one gathers."""

    def __init__(self, store: Store, server_id: str) -> None:
        self._store = store
        self._server_id = server_id
        self._waiting: deque[Change] = deque()
        self._wanted = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._task: asyncio.Task[None] | None = None
        self._beat_wanted = False

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="penstock-cleanup-mirror")

    async def stop(self) -> None:
        """Write what waits, for a short while; what is left is found again by the repair."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), 2)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    def add(self, change: Change) -> None:
        self._waiting.append(change)
        self._empty.clear()
        self._wanted.set()

    def beat(self) -> None:
        """Note that this process is alive."""
        self._beat_wanted = True
        self._empty.clear()
        self._wanted.set()

    async def settled(self) -> None:
        """Return when everything that was decided so far is in the ledger."""
        await self._empty.wait()

    async def _work(self) -> None:
        pause = 0.05
        while True:
            await self._wanted.wait()
            batch = [self._waiting[at] for at in range(min(len(self._waiting), BATCH))]
            try:
                await self._write(batch)
            except ServiceUnavailable as error:
                logger.warning("cleanup changes cannot reach the database yet: %s", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            except Exception:
                # One change that cannot be written must not keep the others; repair finds it.
                logger.exception("%d cleanup changes could not be mirrored", len(batch))
            pause = 0.05
            for _ in batch:
                self._waiting.popleft()
            if not self._waiting and not self._beat_wanted:
                self._wanted.clear()
                self._empty.set()

    async def _write(self, batch: list[Change]) -> None:
        if batch:
            await self._store.write(cleanup_mirror.mirror, batch)
        if self._beat_wanted:
            self._beat_wanted = False
            await self._store.write(cleanup_queue.beat, self._server_id)
