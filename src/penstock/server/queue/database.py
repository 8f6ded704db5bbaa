"""The queue in the main database, SQLite or PostgreSQL: rows are the leases.

Wake-ups travel over the bus, sent by the transaction that makes a message deliverable.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

from penstock.base.clock import Clock
from penstock.schemas.cleanup import CleanupOperation, CleanupStatus
from penstock.schemas.errors import ServiceUnavailable
from penstock.server.bus import Bus
from penstock.server.domain.cleanup import Answer, Holder
from penstock.server.domain.cleanup_retries import CleanupPolicy
from penstock.server.ops import cleanup_ledger, cleanup_queue
from penstock.server.ops.cleanup_queue import Claim, Expired, Lease
from penstock.server.ops.cleanup_rows import TOPIC
from penstock.server.queue.interface import (
    ClaimRequest,
    Cursor,
    OperationResult,
    Reservation,
    Window,
)
from penstock.server.queue.ledger import LedgerQueue, reservation_of
from penstock.server.queue.tokens import hash_of, new_token
from penstock.server.store import Store

BEAT_SECONDS = 10.0
JUMP_SECONDS = 5.0
"""A host's clock that moves by more than this against real time between two passes has jumped."""


class DatabaseQueue(LedgerQueue):
    """Leases in the database."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        policy: CleanupPolicy | None = None,
        *,
        server_id: str | None = None,
    ) -> None:
        super().__init__(store, bus, policy, server_id=server_id)
        self._clock: Clock = store.clock
        self._beat_at = float("-inf")
        self._ticked: tuple[float, float] | None = None
        self._unlisten: Callable[[], None] | None = None

    async def start(self) -> None:
        if self._unlisten is None:
            self._unlisten = self._bus.listen(TOPIC, self._woken)

    async def stop(self) -> None:
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None

    # --- routing ---------------------------------------------------------------------------------

    async def peek(
        self,
        work_pool_id: str,
        kinds: Collection[str],
        workers: Collection[str],
        limit: int,
        cursor: Cursor | None = None,
        *,
        hosts: Collection[str] = (),
    ) -> Window:
        after = None if cursor is None else (cursor.available_at, cursor.id)
        found = await self._store.read(
            cleanup_queue.peek,
            self.shift,
            self.policy,
            work_pool_id,
            kinds,
            workers,
            hosts,
            limit,
            after,
        )
        full = len(found) == limit and limit > 0
        end = Cursor(found[-1].available_at, found[-1].id) if full else None
        return Window(candidates=found, cursor=end)

    async def claim(self, requests: Sequence[ClaimRequest]) -> list[Reservation]:
        tokens = {request.message_id: new_token() for request in requests}
        claims = [
            Claim(
                message_id=request.message_id,
                fence=request.fence,
                work_pool_id=request.work_pool_id,
                holder=Holder(
                    consumer_id=request.consumer_id,
                    worker_name=request.worker_name,
                    server_id=request.server_id,
                ),
                token_hash=hash_of(tokens[request.message_id]),
            )
            for request in requests
        ]
        now = self._clock.monotonic()
        beat = now - self._beat_at >= BEAT_SECONDS
        won = await self._store.write(
            cleanup_queue.claim, self.shift, self.policy, claims, beat=beat
        )
        if won and beat:
            self._beat_at = now
        return [reservation_of(claimed.message, tokens[claimed.message.id]) for claimed in won]

    # --- what a worker does ----------------------------------------------------------------------

    async def ack(
        self, work_pool_id: str, message_id: str, token: str, *, others: Collection[str] = ()
    ) -> OperationResult:
        try:
            answer, _ = await self._store.write(
                cleanup_queue.ack,
                self.shift,
                work_pool_id,
                message_id,
                hash_of(token),
                frozenset(others),
            )
        except ServiceUnavailable as error:
            return self.counted(failed(CleanupOperation.ACK, message_id, error))
        return self.counted(result_of(CleanupOperation.ACK, message_id, answer))

    async def renew(self, work_pool_id: str, message_id: str, token: str) -> OperationResult:
        try:
            answer, _ = await self._store.write(
                cleanup_queue.renew,
                self.shift,
                self.policy,
                work_pool_id,
                message_id,
                hash_of(token),
            )
        except ServiceUnavailable as error:
            return self.counted(failed(CleanupOperation.RENEW, message_id, error))
        return self.counted(
            result_of(CleanupOperation.RENEW, message_id, answer, self.policy.lease_seconds)
        )

    async def release(
        self, work_pool_id: str, message_id: str, token: str, reason: str
    ) -> OperationResult:
        if not reason:
            raise ValueError("a release needs a reason; name why the teardown did not happen")
        try:
            answer, _ = await self._store.write(
                cleanup_queue.release,
                self.shift,
                self.policy,
                work_pool_id,
                message_id,
                hash_of(token),
                reason,
            )
        except ServiceUnavailable as error:
            return self.counted(failed(CleanupOperation.RELEASE, message_id, error))
        return self.counted(result_of(CleanupOperation.RELEASE, message_id, answer))

    async def expire(self, limit: int, work_pool_id: str | None = None) -> Expired:
        found = await self._store.write(
            cleanup_queue.expire, self.shift, self.policy, limit, work_pool_id
        )
        return self.counted_expiry(found)

    async def leases_of(self, consumer_id: str) -> list[Lease]:
        return await self._store.read(cleanup_queue.leases_of, consumer_id)

    async def mark_holder(self, consumer_id: str, *, lost: bool) -> int:
        if not await self._store.read(cleanup_queue.leases_of, consumer_id):
            return 0
        return await self._store.write(cleanup_queue.mark_holder, consumer_id, lost=lost)

    async def next_due(self, pools: Collection[str]) -> dict[str, float]:
        return await self._store.read(cleanup_queue.next_due, self.shift, pools)

    # --- upkeep ----------------------------------------------------------------------------------

    async def reconcile(self, batch: int) -> int:
        """Expiry, age, retention; one read when there is nothing to do."""
        changed = await self._follow_clock()
        work = await self._store.read(cleanup_ledger.work, self.shift, self.policy)
        if work.leased:
            await self._keep_alive()
        if work.overdue:
            changed += await self._repeat(batch, self._expire_some)
        if work.aged:
            changed += await self._repeat(batch, self._age_some)
        if work.purgeable:
            changed += await self._repeat(batch, self.purge)
        return changed

    async def _keep_alive(self) -> None:
        now = self._clock.monotonic()
        if now - self._beat_at >= BEAT_SECONDS and self._beat_at != float("-inf"):
            await self._store.write(cleanup_queue.beat, self.server_id)
            self._beat_at = now

    async def _follow_clock(self) -> int:
        """Move deadlines along when the host's clock jumped; a database server's is trusted."""
        if self._store.dialect != "sqlite":
            return 0
        ticked = (self._clock.now().timestamp(), self._clock.monotonic())
        last, self._ticked = self._ticked, ticked
        if last is None:
            return 0
        jump = (ticked[0] - last[0]) - (ticked[1] - last[1])
        if abs(jump) <= JUMP_SECONDS:
            return 0
        return await self._store.write(cleanup_queue.shift_times, timedelta(seconds=jump))


def result_of(
    operation: CleanupOperation,
    message_id: str,
    answer: Answer,
    lease_seconds: float | None = None,
) -> OperationResult:
    """A decision as the answer to an operation."""
    renewed = answer.status is CleanupStatus.ACCEPTED and operation is CleanupOperation.RENEW
    return OperationResult(
        operation=operation,
        message_id=message_id,
        status=answer.status,
        reason=answer.reason,
        lease_seconds=lease_seconds if renewed else None,
    )


def failed(operation: CleanupOperation, message_id: str, error: Exception) -> OperationResult:
    """The answer when the backend could not carry out an operation; the worker tries again."""
    return OperationResult(
        operation=operation,
        message_id=message_id,
        status=CleanupStatus.ERROR,
        reason="cleanup_queue_operation_failed",
        detail=str(error),
    )
