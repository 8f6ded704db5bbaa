"""Taking back slots whose holders did not renew their lease in time."""

from datetime import datetime

from penstock.server.ops.limits import expire_leases
from penstock.server.store.store import Store

BATCH = 500


class Leases:
    """Ends every lease that is due, found by an index on the time, a batch in a transaction.

    The slots come back in the transaction that ends the lease, and a lease renewed meanwhile is
    not touched; so the slots of a dead holder are free at its lease's end and one interval later
    at most.
    """

    name = "leases"

    def __init__(self, store: Store, *, interval_seconds: float = 15.0, batch: int = BATCH) -> None:
        self.interval_seconds = interval_seconds
        self._store = store
        self._batch = batch

    async def run_once(self, now: datetime) -> int:
        """End what is due; how many leases' parts that were."""
        ended = 0
        while count := await self._store.write(expire_leases, self._batch):
            ended += count
        return ended
