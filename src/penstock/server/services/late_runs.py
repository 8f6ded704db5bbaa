"""Marking runs late that should have started and did not."""

from datetime import UTC, datetime, timedelta

from penstock.server.ops.context import Context, service
from penstock.server.ops.upkeep import mark_late
from penstock.server.services.batches import Round
from penstock.server.store.store import Store
from penstock.server.store.transaction import Row, Tx

BATCH = 100


class LateRuns:
    """Runs named Scheduled that are due for longer than `after_seconds` become Late.

    One round goes through all of them, the longest due first, in pages by key: a run that cannot
    be marked is passed and delays no other.
    """

    name = "late-runs"

    def __init__(
        self, store: Store, *, interval_seconds: float = 5.0, after_seconds: float = 15.0
    ) -> None:
        self.interval_seconds = interval_seconds
        self._after = timedelta(seconds=after_seconds)
        self._store = store
        self._context = Context(actor=service(self.name))

    async def run_once(self, now: datetime) -> int:
        before = now - self._after
        round = Round(self._store)
        time, id = datetime(1, 1, 1, tzinfo=UTC), ""
        while rows := await self._store.read(_late, before, time, id):
            await round.write_each(mark_late, *((self._context, row["id"], before) for row in rows))
            time, id = rows[-1]["next_scheduled_start_time"], rows[-1]["id"]
        return round.close(self.name)


def _late(tx: Tx, before: datetime, time: datetime, id: str) -> list[Row]:
    return tx.all("flow_run.late", before=before, after_time=time, after_id=id, limit=BATCH)
