"""What the queue of owed teardowns promises, whatever carries it.

A message is delivered to one worker at a time until somebody acknowledges it, gives it up, or its
budget is spent. The row in the database exists from the transaction that made it owed to the end
of its retention; a backend may keep its working set elsewhere, and losing that loses no message.

Ids are canonical text. Expected outcomes are answers, not exceptions; a database or Redis that
cannot be reached is `ServiceUnavailable`.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct

from penstock.schemas.cleanup import (
    CleanupFilter,
    CleanupMessage,
    CleanupMessageDetail,
    CleanupMessages,
    CleanupOperation,
    CleanupPage,
    CleanupPlacement,
    CleanupStatus,
)
from penstock.server.domain.cleanup import Message
from penstock.server.domain.cleanup_retries import CleanupPolicy
from penstock.server.ops.cleanup_queue import Candidate, Expired, Lease

Labels = tuple[tuple[str, str], ...]
"""Names and values that tell the samples of one figure apart."""
WakeListener = Callable[[str | None], None]
"""Called on the event loop with the id of a pool in which something may have become due; None
when wake-ups may have been missed and every pool should be looked at."""


class Cursor(Struct, frozen=True):
    """Where a window ended."""

    available_at: datetime
    id: str


class Window(Struct, frozen=True, kw_only=True):
    """Some ready messages in the order of their time; `cursor` is None behind the last one."""

    candidates: list[Candidate]
    cursor: Cursor | None = None


class ClaimRequest(Struct, frozen=True, kw_only=True):
    """One message for one connection. `fence` is that of the candidate."""

    message_id: str
    fence: int
    work_pool_id: str
    consumer_id: str
    worker_name: str
    server_id: str


class Reservation(Struct, frozen=True, kw_only=True):
    """A message that is leased now, with the token that proves it.

    `lease_expires_at` and `reserved_at` are of the backend's clock: only their difference means
    something elsewhere.
    """

    message_id: str
    work_pool_id: str
    work_queue_id: str | None
    kind: str
    target: dict[str, Any]
    data: dict[str, Any]
    token: str
    consumer_id: str
    worker_name: str
    delivery_count: int
    lease_expires_at: datetime
    reserved_at: datetime
    created_at: datetime

    @property
    def lease_seconds(self) -> float:
        return (self.lease_expires_at - self.reserved_at).total_seconds()


class OperationResult(Struct, frozen=True, kw_only=True):
    """The answer to a worker's operation. Other than accepted it has a reason.

    `lease_seconds` is set for an accepted renewal only: how long the lease holds from now.
    """

    operation: CleanupOperation
    message_id: str
    status: CleanupStatus
    reason: str | None = None
    lease_seconds: float | None = None
    detail: str | None = None

    @property
    def frees(self) -> bool:
        """Whether the worker holds the message no longer, so that its capacity is free."""
        if self.status is CleanupStatus.ACCEPTED:
            return self.operation is not CleanupOperation.RENEW
        return self.status is not CleanupStatus.ERROR


class PoolStats(Struct, frozen=True, kw_only=True):
    """One pool's messages by state."""

    work_pool_id: str
    counts: dict[str, int]
    oldest_ready_seconds: float | None = None
    overdue_leases: int = 0


class CleanupQueue(Protocol):
    """The queue. Every backend passes the same suite, `tests/queue/test_contract.py`."""

    server_id: str
    """Of this process; reservations made here carry it."""
    policy: CleanupPolicy
    counters: Counter[tuple[str, Labels]]
    """What happened here since the start: `operations` and `lease_expirations`."""

    async def start(self) -> None:
        """Connect; called on the event loop that uses the queue. Repeating it changes nothing."""
        ...

    async def stop(self) -> None:
        """Disconnect. Repeating it changes nothing."""
        ...

    def on_wake(self, listener: WakeListener) -> Callable[[], None]:
        """Tell `listener` of every wake-up from now on; returns the call that ends it."""
        ...

    def committed(self, topics: Collection[str]) -> None:
        """A transaction of this process that woke topics was committed. From any thread."""
        ...

    # --- producing and routing -------------------------------------------------------------------

    async def enqueue(self, message: Message) -> CleanupMessage:
        """Add a message, or give the one of its key (T1, T1'). Inside the transaction that ends a
        run use `penstock.server.ops.cleanup_ledger.enqueue`. Raises `ObjectConflict` when its id
        belongs to another key or pool.
        """
        ...

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
        """Ready messages that are due and that at least one of the workers may take; changes
        nothing. Those bound to an absent worker take no place. Whether a worker tried one already
        is told by the candidate. `hosts` are ids of hosts whose processes the workers can reach.
        """
        ...

    async def claim(self, requests: Sequence[ClaimRequest]) -> list[Reservation]:
        """Lease each message that is ready, due and as it was seen (T2); losers are absent."""
        ...

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
        """One message for one worker: first of the preferred queues, then of any."""
        ...

    # --- what a worker does ----------------------------------------------------------------------

    async def ack(
        self, work_pool_id: str, message_id: str, token: str, *, others: Collection[str] = ()
    ) -> OperationResult:
        """The teardown is done. `others` are the other connected workers that take the kind:
        where the launching worker is only preferred, one that is not it does not end the message
        while one of them has not tried.
        """
        ...

    async def renew(self, work_pool_id: str, message_id: str, token: str) -> OperationResult:
        """Hold the message for another lease."""
        ...

    async def release(
        self, work_pool_id: str, message_id: str, token: str, reason: str
    ) -> OperationResult:
        """Give the message back. Raises `ValueError` for an empty reason."""
        ...

    async def expire(self, limit: int, work_pool_id: str | None = None) -> Expired:
        """End overdue leases, at most `limit`."""
        ...

    async def leases_of(self, consumer_id: str) -> list[Lease]:
        """The live leases of a consumer, oldest first."""
        ...

    async def mark_holder(self, consumer_id: str, *, lost: bool) -> int:
        """Note that the connection of a consumer is gone, or is back: a lease of it that ends
        without ever having been renewed is then not charged. Returns how many leases it noted.
        """
        ...

    async def next_due(self, pools: Collection[str]) -> dict[str, float]:
        """Seconds until something is to be done (0 for now), for those of the pools that have
        anything unfinished. One query for all of them: also the safety poll.
        """
        ...

    # --- inspection and repair -------------------------------------------------------------------

    async def get(self, message_id: str) -> CleanupMessageDetail | None:
        """The message with its deliveries."""
        ...

    async def page(self, page: CleanupPage) -> CleanupMessages:
        """Messages by filter, sorted, a page at a time."""
        ...

    async def count(self, filter: CleanupFilter | None = None) -> dict[str, int]:
        """How many messages the filter selects, by state."""
        ...

    async def cancel(self, message_id: str, *, force: bool = False) -> CleanupMessage | None:
        """T7, T7a; None when it is not in a state that allows it."""
        ...

    async def requeue(
        self,
        message_id: str,
        *,
        infrastructure_pid: str | None = None,
        placement: CleanupPlacement | None = None,
        work_pool_id: str | None = None,
    ) -> CleanupMessage | None:
        """T8; None when the message is neither dead nor cancelled."""
        ...

    async def requeue_many(self, filter: CleanupFilter, limit: int = 200) -> Sequence[str]:
        """T8 for everything the filter selects, at most `limit`; the ids of what was requeued."""
        ...

    async def purge(self, limit: int) -> int:
        """T9 for what outlived its retention, at most `limit` of each kind."""
        ...

    async def stats(self) -> Sequence[PoolStats]: ...

    async def reconcile(self, batch: int) -> int:
        """One pass of the reconciler: expiry, repair, age, retention; how much it changed."""
        ...
