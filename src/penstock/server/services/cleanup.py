"""Owed teardowns in the background: cancellations nobody confirmed, and the queue's upkeep."""

from datetime import UTC, datetime, timedelta

from penstock.server.ops.context import Context, Limits, service
from penstock.server.ops.upkeep import expire_silent_cancelling
from penstock.server.queue import CleanupQueue
from penstock.server.services.batches import Round
from penstock.server.store.store import Store
from penstock.server.store.transaction import Row, Tx

BATCH = 200


class CancellingTimeouts:
    """Ends every cancellation that no worker confirmed in time, and owes the teardown.

    Runs are found by their state alone, so that each is found whoever began to cancel it and
    whether or not a timer was kept for it. A run that changes meanwhile is left alone.
    """

    name = "cancelling-timeouts"

    def __init__(
        self,
        store: Store,
        *,
        interval_seconds: float = 20.0,
        timeout_seconds: float = 300.0,
        limits: Limits | None = None,
    ) -> None:
        self.interval_seconds = interval_seconds
        self._timeout = timedelta(seconds=timeout_seconds)
        self._store = store
        self._context = Context(actor=service(self.name), limits=limits or Limits())

    async def run_once(self, now: datetime) -> int:
        round = Round(self._store)
        before = now - self._timeout
        last: Row = {"id": "", "state_timestamp": datetime(1970, 1, 1, tzinfo=UTC)}
        while rows := await self._store.read(_silent, before, last):
            await round.write_each(
                expire_silent_cancelling, *((self._context, row["id"], before) for row in rows)
            )
            last = rows[-1]
        return round.close(self.name)


def _silent(tx: Tx, before: datetime, last: Row) -> list[Row]:
    return tx.all(
        "cleanup.silent_cancellations",
        before=before,
        after_at=last["state_timestamp"],
        after_id=last["id"],
        limit=BATCH,
    )


class CleanupReconciler:
    """Ends overdue leases, buries what waited too long, writes anew what a working set lost.

    Any number of processes may run it: each step is a change guarded by what it found.
    """

    name = "cleanup-reconciler"
    shared = False

    def __init__(
        self, queue: CleanupQueue, *, interval_seconds: float = 5.0, batch: int = 100
    ) -> None:
        self.interval_seconds = interval_seconds
        self._queue = queue
        self._batch = batch

    async def run_once(self, now: datetime) -> int:
        """One pass; the queue's own clock decides what is due."""
        return await self._queue.reconcile(self._batch)
