"""Deleting what has been kept long enough: events, flow runs, and what they left behind."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from penstock.server.ops import upkeep
from penstock.server.ops.context import Context, service
from penstock.server.services.batches import Round
from penstock.server.store.store import Store
from penstock.server.store.transaction import Row, Tx

_SETTLING = timedelta(hours=1)
"""Log records may arrive before their run does; younger ones are not orphans yet."""


class EventRetention:
    """Events older than `period` are deleted; those of some names earlier, never later."""

    name = "event-retention"

    def __init__(
        self,
        store: Store,
        *,
        interval_seconds: float = 3600.0,
        period: timedelta = timedelta(days=7),
        overrides: Mapping[str, timedelta] | None = None,
        batch: int = 200,
    ) -> None:
        self.interval_seconds = interval_seconds
        self._period = period
        self._overrides = dict(overrides or {})
        self._batch = batch
        self._store = store
        self._context = Context(actor=service(self.name))

    async def run_once(self, now: datetime) -> int:
        deleted = 0
        for name, period in self._overrides.items():
            if period < self._period:
                deleted += await self._delete(now - period, name)
        return deleted + await self._delete(now - self._period, None)

    async def _delete(self, before: datetime, name: str | None) -> int:
        total = 0
        while True:
            count = await self._store.write(
                upkeep.delete_expired_events, self._context, before, name, self._batch
            )
            total += count
            if count < self._batch:
                return total


class RunRetention:
    """Flow runs that ended longer than `period` ago are deleted with all that belongs to them.

    Subflow runs go after the run that called them.
    """

    name = "run-retention"

    def __init__(
        self,
        store: Store,
        *,
        interval_seconds: float = 3600.0,
        period: timedelta = timedelta(days=90),
        batch: int = 200,
    ) -> None:
        self.interval_seconds = interval_seconds
        self._period = period
        self._batch = batch
        self._store = store
        self._context = Context(actor=service(self.name))

    async def run_once(self, now: datetime) -> int:
        round = Round(self._store)
        before = now - self._period
        after = ""
        while rows := await self._store.read(_expired, before, after, self._batch):
            await round.write_each(
                upkeep.delete_expired_flow_run,
                *((self._context, row["id"], before) for row in rows),
            )
            after = rows[-1]["id"]
        return round.close(self.name)


class OrphanCleanup:
    """Log records whose flow run is gone and cache entries that can no longer be hit go."""

    name = "orphan-cleanup"

    def __init__(self, store: Store, *, interval_seconds: float = 3600.0, batch: int = 200) -> None:
        self.interval_seconds = interval_seconds
        self._batch = batch
        self._store = store
        self._context = Context(actor=service(self.name))

    async def run_once(self, now: datetime) -> int:
        round = Round(self._store)
        before = now - _SETTLING
        after = ""
        while rows := await self._store.read(_runs_without_row, after, self._batch):
            await round.write_each(
                upkeep.delete_logs_without_run,
                *((self._context, row["id"], before) for row in rows),
            )
            after = rows[-1]["id"]
        round.done += await self._store.write(upkeep.delete_stale_cache_entries, self._context)
        return round.close(self.name)


def _expired(tx: Tx, before: datetime, after: str, limit: int) -> list[Row]:
    return tx.all("flow_run.expired", before=before, after=after, limit=limit)


def _runs_without_row(tx: Tx, after: str, limit: int) -> list[Row]:
    return tx.all("log.runs_without_row", after=after, limit=limit)
