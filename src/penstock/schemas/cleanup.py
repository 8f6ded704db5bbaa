"""Owed teardowns of infrastructure: the message, its deliveries, and what is asked about them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, field

from penstock.schemas.shapes import Entity, Strict

CleanupLimit = Annotated[int, Meta(ge=0, le=200)]


class CleanupState(StrEnum):
    """Where a message is; the database keeps the place in this order as a number."""

    READY = "ready"
    LEASED = "leased"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


class CleanupKind(StrEnum):
    """Kinds of teardown as workers know them."""

    CANCELLING_TIMEOUT = "cancelling_timeout_teardown.v1"
    PENDING_CLAIM = "pending_claim_teardown.v1"


class CleanupCause(StrEnum):
    """Why a teardown is owed."""

    CANCELLING_TIMEOUT = "cancelling_timeout"
    HEARTBEAT_LOST = "heartbeat_lost"
    PENDING_CLAIM_EXPIRED = "pending_claim_expired"
    FLOW_RUN_DELETED = "flow_run_deleted"
    MANUAL = "manual"


class CleanupPlacement(StrEnum):
    """Who may tear down: anybody, the launching worker first, or only that one."""

    ANY = "any"
    PREFER = "prefer"
    REQUIRE = "require"


class CleanupOperation(StrEnum):
    """What a worker does with a reservation."""

    ACK = "ack"
    RENEW = "renew"
    RELEASE = "release"


class CleanupStatus(StrEnum):
    """How an operation of a worker ended."""

    ACCEPTED = "accepted"
    NOT_CURRENT = "not_current"
    NOT_FOUND = "not_found"
    EXPIRED = "expired"
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - a status, no secret
    UNAUTHORIZED = "unauthorized"
    DEAD_LETTERED = "dead_lettered"
    ERROR = "error"


class CleanupOutcome(StrEnum):
    """How one delivery ended."""

    ACKED = "acked"
    LATE_ACKED = "late_acked"
    RELEASED = "released"
    EXPIRED = "expired"
    SEND_FAILED = "send_failed"
    REVOKED = "revoked"


class CleanupMessage(Entity):
    """One owed teardown. It never shows a token."""

    id: UUID
    work_pool_id: UUID
    kind: str
    cause: str
    flow_run_id: UUID
    idempotency_key: str
    state: CleanupState
    attempts: int
    """Failures that counted against the retry budget."""
    deliveries: int
    """Reservations issued."""
    available_at: datetime
    created_at: datetime
    updated_at: datetime
    queued_at: datetime
    """When it was enqueued, or requeued last: its age counts from here."""
    work_queue_id: UUID | None = None
    target: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    lease_expires_at: datetime | None = None
    lease_consumer_id: UUID | None = None
    lease_worker_name: str | None = None
    lease_server_id: UUID | None = None
    lease_renewals: int = 0
    affinity_worker_name: str | None = None
    host_id: str | None = None
    placement: CleanupPlacement = CleanupPlacement.ANY
    tried_workers: list[str] = field(default_factory=list)
    last_reason: str | None = None
    dead_reason: str | None = None
    requeue_count: int = 0
    finished_at: datetime | None = None


class CleanupDelivery(Entity):
    """One reservation that was issued, and how it ended."""

    number: int
    worker_name: str
    consumer_id: UUID
    server_id: UUID
    reserved_at: datetime
    ended_at: datetime | None = None
    outcome: CleanupOutcome | None = None
    reason: str | None = None
    charged: bool = False
    renewals: int = 0


class CleanupMessageDetail(Entity):
    """A message with all its deliveries, oldest first."""

    message: CleanupMessage
    history: list[CleanupDelivery] = field(default_factory=list)


class CleanupFilter(Strict):
    """Messages that meet every given condition; each list means one of its members."""

    id: list[UUID] | None = None
    work_pool_id: list[UUID] | None = None
    work_pool_name: list[str] | None = None
    work_queue_id: list[UUID] | None = None
    flow_run_id: list[UUID] | None = None
    state: list[CleanupState] | None = None
    kind: list[str] | None = None
    cause: list[CleanupCause] | None = None
    worker_name: list[str] | None = None
    """Name of the worker that holds it, or held it last."""
    reason: list[str] | None = None
    """Reason of its death, or else of the last release or expiry."""
    created_before: datetime | None = None
    created_after: datetime | None = None


class CleanupSort(StrEnum):
    CREATED_DESC = "CREATED_DESC"
    CREATED_ASC = "CREATED_ASC"


class CleanupPage(Strict):
    cleanup_messages: CleanupFilter | None = None
    sort: CleanupSort = CleanupSort.CREATED_DESC
    limit: CleanupLimit = 200
    cursor: str | None = None
    """`next` of the page before."""


class CleanupMessages(Entity):
    results: list[CleanupMessage]
    next: str | None = None
    """The cursor of the next page; null on the last one."""


class CleanupGroup(StrEnum):
    STATE = "state"
    REASON = "reason"


class CleanupCountBody(Strict):
    cleanup_messages: CleanupFilter | None = None
    group_by: CleanupGroup = CleanupGroup.STATE


class CleanupRequeueBody(Strict):
    """What to change while a dead or cancelled message is made ready again."""

    infrastructure_pid: str | None = None
    placement: CleanupPlacement | None = None
    work_pool_name: str | None = None
    """Another pool that has workers for it; needed when its own was deleted."""


class CleanupCancelBody(Strict):
    force: bool = False
    """Also when a worker holds it: the worker's token dies."""


class CleanupBulkBody(Strict):
    """A change of every message that a filter selects; the filter needs a condition."""

    cleanup_messages: CleanupFilter
    limit: CleanupLimit = 200
    preview: bool = False
    """Only say which messages it would be."""


class CleanupBulkCancelBody(Strict):
    cleanup_messages: CleanupFilter
    limit: CleanupLimit = 200
    preview: bool = False
    force: bool = False


class CleanupBulkResult(Entity):
    ids: list[UUID]
    """The messages that were changed or, in a preview, would be."""
    matched: int
    """How many messages the filter selects in all."""
    preview: bool = False


class FlowRunCleanupBody(Strict):
    """A request to tear down what a flow run left behind."""

    infrastructure_pid: str | None = None
    """Instead of the one the run has."""
    placement: CleanupPlacement | None = None


class CleanupPoolStatus(Entity):
    """How the cleanup of one work pool is doing."""

    work_pool_id: UUID
    counts: dict[str, int]
    """Number of messages by state."""
    oldest_ready_seconds: float | None = None
    """How long the oldest due message has been waiting."""
    overdue_leases: int = 0
    capable_workers: list[str] = field(default_factory=list)
    """Names of online workers that take teardowns over their channel."""
    last_dead_at: datetime | None = None
    last_dead_reason: str | None = None


class CleanupEvidence(Entity):
    """One step of what happened to a flow run's infrastructure."""

    at: datetime
    step: str
    detail: str
    message_id: UUID | None = None
    worker_name: str | None = None


class CleanupHistory(Entity):
    """All that is known about the cleanup of one flow run, in order of time."""

    flow_run_id: UUID
    infrastructure_pid: str | None
    messages: list[CleanupMessageDetail]
    evidence: list[CleanupEvidence]
