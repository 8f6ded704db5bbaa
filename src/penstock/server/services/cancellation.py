"""Cancelling what is left of cancelled flow runs: their task runs and subflow runs."""

from collections.abc import Callable
from datetime import datetime

from penstock.server.ops.context import Context, service
from penstock.server.ops.upkeep import cancel_subflow_run, cancel_task_run
from penstock.server.services.batches import Round
from penstock.server.store.store import Store
from penstock.server.store.transaction import Row, Tx

BATCH = 100


class CancellationCleanup:
    """Ends the children of every cancelled flow run, however many there are.

    A subflow run that a worker runs is asked to stop (Cancelling), others are cancelled at once.
    The children of children follow in the same round or the next.
    """

    name = "cancellation-cleanup"

    def __init__(self, store: Store, *, interval_seconds: float = 20.0) -> None:
        self.interval_seconds = interval_seconds
        self._store = store
        self._context = Context(actor=service(self.name))

    async def run_once(self, now: datetime) -> int:
        round = Round(self._store)
        await self._each("flow_run.of_cancelled_parents", cancel_subflow_run, round)
        await self._each("task_run.of_cancelled_flow_runs", cancel_task_run, round)
        return round.close(self.name)

    async def _each(
        self, statement: str, op: Callable[[Tx, Context, str], bool], round: Round
    ) -> None:
        after = ""
        while rows := await self._store.read(_page, statement, after):
            await round.write_each(op, *((self._context, row["id"]) for row in rows))
            after = rows[-1]["id"]


def _page(tx: Tx, statement: str, after: str) -> list[Row]:
    return tx.all(statement, after=after, limit=BATCH)
