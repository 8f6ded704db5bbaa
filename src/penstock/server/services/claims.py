"""Taking back runs whose owners did not renew their claims in time."""

from datetime import UTC, datetime, timedelta

from penstock.server.ops import claims
from penstock.server.ops.context import Context, Limits, service
from penstock.server.services.batches import Round
from penstock.server.store.store import Store
from penstock.server.store.transaction import Row, Tx

BATCH = 100
GRACE = timedelta(seconds=45)
"""After a time in which this loop did not run, the server was probably away, and nobody could
renew: then the owners of claims from before get this long to do so."""
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
MISSED_ROUNDS = 4


class ExpiredClaims:
    """Ends every claim that is due, found by an index on the time, each in one transaction with
    what becomes of its run; so a run is without a living owner for its lease and one interval at
    most."""

    name = "claims"

    def __init__(
        self,
        store: Store,
        *,
        interval_seconds: float = 5.0,
        grace: timedelta = GRACE,
        limits: Limits | None = None,
    ) -> None:
        self.interval_seconds = interval_seconds
        self._grace = grace
        self._store = store
        self._context = Context(actor=service(self.name), limits=limits or Limits())
        self._last: datetime | None = None
        self._resumed = LONG_AGO

    async def run_once(self, now: datetime) -> int:
        missed = timedelta(seconds=self.interval_seconds * MISSED_ROUNDS)
        if self._last is None or now - self._last > missed:
            self._resumed = now
        self._last = now
        since = self._resumed if now < self._resumed + self._grace else LONG_AGO
        round = Round(self._store)
        after, after_id = LONG_AGO, ""
        while rows := await self._store.read(_expired, now, since, after, after_id):
            await round.write_each(self._take_back, *((row,) for row in rows))
            after, after_id = rows[-1]["expires"], rows[-1]["flow_run_id"]
        return round.close(self.name)

    def _take_back(self, tx: Tx, row: Row) -> bool:
        return claims.take_back(tx, self._context, row["flow_run_id"], row["number"])


def _expired(tx: Tx, now: datetime, since: datetime, after: datetime, after_id: str) -> list[Row]:
    return claims.expired_claims(tx, now, since, after, after_id, BATCH)
