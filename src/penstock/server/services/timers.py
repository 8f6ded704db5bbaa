"""Firing timers: what a transaction asked to be done at a time."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from penstock.server.domain.orchestration.transforms import CANCELLING_TIMER, PAUSE_TIMER
from penstock.server.ops import upkeep
from penstock.server.ops.context import Context, service
from penstock.server.services.batches import Round
from penstock.server.store.store import Store
from penstock.server.store.transaction import Row, Tx

BATCH = 100

Fire = Callable[[Tx, Context, str], bool]
"""What a kind of timer does, given the timer's key; returns whether anything changed."""

HANDLERS: Mapping[str, Fire] = {
    PAUSE_TIMER: upkeep.expire_pause,
    CANCELLING_TIMER: upkeep.expire_cancelling,
}


class Timers:
    """Fires each due timer in one transaction with what it does, so exactly once.

    Timers of a kind without a handler stay where they are.
    """

    name = "timers"

    def __init__(
        self,
        store: Store,
        *,
        interval_seconds: float = 5.0,
        handlers: Mapping[str, Fire] = HANDLERS,
    ) -> None:
        self.interval_seconds = interval_seconds
        self._store = store
        self._handlers = handlers
        self._context = Context(actor=service(self.name))

    async def run_once(self, now: datetime) -> int:
        round = Round(self._store)
        last = {"due": datetime(1, 1, 1, tzinfo=UTC), "kind": "", "key": ""}
        while rows := await self._store.read(_due, now, last):
            known = [row for row in rows if row["kind"] in self._handlers]
            await round.write_each(self._fire, *((row,) for row in known))
            last = rows[-1]
        return round.close(self.name)

    def _fire(self, tx: Tx, row: Row) -> bool:
        taken = tx.run("timer.take", kind=row["kind"], key=row["key"], due=row["due"])
        if not taken:
            # Moved or taken by another process since it was read.
            return False
        self._handlers[row["kind"]](tx, self._context, row["key"])
        return True


def _due(tx: Tx, now: datetime, last: Row) -> list[Row]:
    return tx.all(
        "timer.due_after",
        now=now,
        due=last["due"],
        kind=last["kind"],
        key=last["key"],
        limit=BATCH,
    )
