"""Noticing what nobody hears of any more: workers, pools, queues, deployments."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from penstock.server.ops import readiness
from penstock.server.ops.context import Context, service
from penstock.server.store.store import Store

BATCH = 100


class Foreman:
    """Workers without a heartbeat go offline, and what is not polled for is not ready.

    What is due is found by an index on the time, however much else there is, and worked off in
    transactions of one batch until nothing is left. A part that fails keeps no other waiting.
    """

    name = "foreman"

    def __init__(
        self,
        store: Store,
        *,
        interval_seconds: float = 15.0,
        queue_seconds: float = 60.0,
        deployment_seconds: float = 60.0,
        batch: int = BATCH,
    ) -> None:
        self.interval_seconds = interval_seconds
        self._store = store
        self._queue = queue_seconds
        self._deployment = deployment_seconds
        self._batch = batch
        self._context = Context(actor=service(self.name))

    async def run_once(self, now: datetime) -> int:
        """Mark everything that is due; how many objects that were."""
        errors: list[Exception] = []
        marked = 0
        # Pools after workers: one whose last worker goes offline is not ready in the same round.
        for op, arguments in (
            (readiness.mark_silent_workers, ()),
            (readiness.mark_idle_pools, ()),
            (readiness.mark_unpolled_deployments, (self._deployment, self._queue)),
            (readiness.mark_unpolled_queues, (self._queue,)),
        ):
            try:
                marked += await self._all(op, *arguments)
            except Exception as error:
                errors.append(error)
        if errors:
            raise ExceptionGroup(f"{self.name}: {len(errors)} parts failed", errors)
        return marked

    async def _all(self, op: Callable[..., int], *arguments: Any) -> int:
        total = 0
        while count := await self._store.write(op, self._context, *arguments, self._batch):
            total += count
            if count < self._batch:
                break
        return total
