"""Making runs of deployments' schedules ahead of their time."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime

from penstock.server.domain.schedules.planning import Horizon
from penstock.server.ops.planning import TOPIC, Planned, due_schedules, planned, store_plans
from penstock.server.store.store import Store

LARGEST_BATCH = 60
"""Runs in one transaction at most: some milliseconds, which others have to wait for the writer."""
READ = 1_000
"""Schedules that are looked at together; equal ones among them are worked out once."""


class Scheduler:
    """One round plans every schedule that is due, in order of its time.

    Dates are worked out beside the database, then stored in batches of at most `batch` runs, a
    transaction each, so that others write in between.
    """

    name = "scheduler"
    topic = TOPIC

    def __init__(
        self,
        store: Store,
        *,
        interval_seconds: float = 60.0,
        horizon: Horizon | None = None,
        batch: int = 500,
    ) -> None:
        self.interval_seconds = interval_seconds
        self._store = store
        self._horizon = horizon or Horizon()
        self._batch = min(batch, LARGEST_BATCH)

    async def run_once(self, now: datetime) -> int:
        """Plan what is due at `now`; how many runs were made."""
        made = 0
        while rows := await self._store.read(due_schedules, now, READ):
            plans = await asyncio.to_thread(planned, rows, now, self._horizon)
            for batch in _batches(plans, self._batch):
                made += await self._store.write(store_plans, batch)
        return made


def _batches(plans: Sequence[Planned], size: int) -> Iterator[list[Planned]]:
    """`plans` in order, each batch with at most `size` runs or schedules, but at least one."""
    batch: list[Planned] = []
    runs = 0
    for one in plans:
        if batch and (runs + len(one.plan.dates) > size or len(batch) >= size):
            yield batch
            batch, runs = [], 0
        batch.append(one)
        runs += len(one.plan.dates)
    if batch:
        yield batch
