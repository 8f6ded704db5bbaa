"""What every backend does in the database: producing, inspection and the dead-letter desk."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from random import SystemRandom

from msgspec import structs

from penstock.base.ids import uuid7
from penstock.schemas.cleanup import (
    CleanupFilter,
    CleanupMessage,
    CleanupMessageDetail,
    CleanupMessages,
    CleanupPage,
    CleanupPlacement,
)
from penstock.server.bus import Bus
from penstock.server.domain.cleanup import Message
from penstock.server.domain.cleanup_retries import CleanupPolicy
from penstock.server.ops import cleanup_ledger
from penstock.server.ops.cleanup_queue import Expired
from penstock.server.ops.cleanup_rows import TOPIC
from penstock.server.queue.interface import (
    ClaimRequest,
    Cursor,
    Labels,
    OperationResult,
    PoolStats,
    Reservation,
    WakeListener,
    Window,
)
from penstock.server.store import Store

RESERVE_WINDOW = 16
_random = SystemRandom()
PASS_SECONDS = 1.0
"""How long one step of the reconciler goes on before the others get their turn."""


class LedgerQueue:
    """The part of a queue that is the same wherever leases are kept."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        policy: CleanupPolicy | None = None,
        *,
        server_id: str | None = None,
    ) -> None:
        self.server_id = server_id or str(uuid7())
        self.policy = policy or CleanupPolicy()
        self.shift = timedelta()
        """Added to the clock that times leases; only tests set it."""
        self.counters: Counter[tuple[str, Labels]] = Counter()
        self._store = store
        self._bus = bus
        self._listeners: list[WakeListener] = []

    # --- wake-ups --------------------------------------------------------------------------------

    def on_wake(self, listener: WakeListener) -> Callable[[], None]:
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def _woken(self, topic: str) -> None:
        """A wake-up of the bus arrived; the prefix alone means that some may have been missed."""
        self._tell(topic.removeprefix(TOPIC) or None)

    async def _expire_some(self, limit: int) -> int:
        return len(await self.expire(limit))

    def committed(self, topics: Collection[str]) -> None:
        """A commit of this process woke topics; called on a database thread."""

    def _tell(self, work_pool_id: str | None) -> None:
        for listener in list(self._listeners):
            listener(work_pool_id)

    def counted(self, result: OperationResult) -> OperationResult:
        """Count an answer on its way out."""
        labels = (("operation", result.operation.value), ("status", result.status.value))
        self.counters["operations", labels] += 1
        return result

    def counted_expiry(self, found: Expired) -> Expired:
        for outcome, messages in (("redelivered", found.ready), ("dead", found.dead)):
            if messages:
                self.counters["lease_expirations", (("result", outcome),)] += len(messages)
        return found

    # --- producing and inspecting ----------------------------------------------------------------

    async def enqueue(self, message: Message) -> CleanupMessage:
        return await self._store.write(cleanup_ledger.enqueue_view, message)

    async def get(self, message_id: str) -> CleanupMessageDetail | None:
        return await self._store.read(cleanup_ledger.find, message_id)

    async def page(self, page: CleanupPage) -> CleanupMessages:
        return await self._store.read(cleanup_ledger.page, page)

    async def count(self, filter: CleanupFilter | None = None) -> dict[str, int]:
        return await self._store.read(cleanup_ledger.count_by, filter, "state")

    async def cancel(self, message_id: str, *, force: bool = False) -> CleanupMessage | None:
        return await self._store.write(cleanup_ledger.cancel, None, message_id, force=force)

    async def requeue(
        self,
        message_id: str,
        *,
        infrastructure_pid: str | None = None,
        placement: CleanupPlacement | None = None,
        work_pool_id: str | None = None,
    ) -> CleanupMessage | None:
        return await self._store.write(
            cleanup_ledger.requeue,
            None,
            message_id,
            infrastructure_pid=infrastructure_pid,
            placement=placement,
            work_pool_id=work_pool_id,
        )

    async def requeue_many(self, filter: CleanupFilter, limit: int = 200) -> Sequence[str]:
        return await self._store.write(cleanup_ledger.requeue_selected, None, filter, limit)

    async def purge(self, limit: int) -> int:
        return await self._store.write(cleanup_ledger.purge, self.policy, limit, self.shift)

    async def _age_some(self, limit: int) -> int:
        return await self._store.write(cleanup_ledger.age, self.shift, self.policy, limit)

    async def _repeat(self, batch: int, step: Callable[[int], Awaitable[int]]) -> int:
        """A step again and again until a batch was not full, for a second at most."""
        end = self._store.clock.monotonic() + PASS_SECONDS
        total = 0
        while True:
            count = await step(batch)
            total += count
            if count < batch or self._store.clock.monotonic() >= end:
                return total

    async def stats(self) -> Sequence[PoolStats]:
        return [
            PoolStats(
                work_pool_id=pool,
                counts=found.counts,
                oldest_ready_seconds=found.oldest_ready_seconds,
                overdue_leases=found.overdue,
            )
            for pool, found in (await self._store.read(cleanup_ledger.stats)).items()
        ]

    # --- reserving one ---------------------------------------------------------------------------

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
        raise NotImplementedError

    async def claim(self, requests: Sequence[ClaimRequest]) -> list[Reservation]:
        raise NotImplementedError

    async def expire(self, limit: int, work_pool_id: str | None = None) -> Expired:
        raise NotImplementedError

    async def reserve(
        self,
        work_pool_id: str,
        kinds: Collection[str],
        *,
        consumer_id: str,
        worker_name: str,
        preferred_queue_ids: Collection[str] = (),
        allow_fallback: bool = True,
        hosts: Collection[str] = (),
    ) -> Reservation | None:
        """Two passes over the ready messages when queues are preferred, one when none are."""
        passes: list[Collection[str] | None] = [None]
        if preferred_queue_ids:
            passes = [preferred_queue_ids, None] if allow_fallback else [preferred_queue_ids]
        for queues in passes:
            cursor = None
            while True:
                window = await self.peek(
                    work_pool_id, kinds, [worker_name], RESERVE_WINDOW, cursor, hosts=hosts
                )
                # Not in order: those who ask at the same moment get different ones.
                for candidate in _random.sample(window.candidates, len(window.candidates)):
                    if worker_name in candidate.tried_workers:
                        continue
                    if queues is not None and candidate.work_queue_id not in queues:
                        continue
                    request = ClaimRequest(
                        message_id=candidate.id,
                        fence=candidate.fence,
                        work_pool_id=work_pool_id,
                        consumer_id=consumer_id,
                        worker_name=worker_name,
                        server_id=self.server_id,
                    )
                    if won := await self.claim([request]):
                        return won[0]
                cursor = window.cursor
                if cursor is None:
                    break
        return None


def reservation_of(message: Message, token: str) -> Reservation:
    """What the dispatcher gets of a leased message."""
    assert message.lease_expires_at is not None and message.lease_since is not None
    return Reservation(
        message_id=message.id,
        work_pool_id=message.work_pool_id,
        work_queue_id=message.work_queue_id,
        kind=message.kind,
        target=message.target,
        data=message.data,
        token=token,
        consumer_id=message.lease_consumer_id or "",
        worker_name=message.lease_worker_name or "",
        delivery_count=message.deliveries,
        lease_expires_at=message.lease_expires_at,
        reserved_at=message.lease_since,
        created_at=message.created_at,
    )


def copied(message: Message) -> Message:
    """The message with documents of its own, so that its maker may go on changing theirs."""
    return structs.replace(message, target=dict(message.target), data=dict(message.data))
