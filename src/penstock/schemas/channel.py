"""Frames of the worker channel: one WebSocket for each worker and work pool.

A frame is `{type, id, sent_at, payload}`. What workers send is closed: a member that is not
declared makes the frame malformed. What the server sends is open, so that a worker goes on with a
newer server. Frames and capabilities whose names begin with `penstock` are extensions; each side
uses them only when the other has said that it knows them.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, field

from penstock.schemas.cleanup import CleanupKind, CleanupOperation, CleanupStatus
from penstock.schemas.shapes import Entity, Strict

VERSION = "work_pool_worker_channel.v1"

HEARTBEAT = "worker_heartbeat.v1"
SNAPSHOT = "work_pool_snapshot.v1"
CLEANUP = "cleanup_delivery.v1"
PENSTOCK_CLEANUP = "penstock_cleanup.v1"
"""Any worker kind of cleanup, and routing by host."""
WORK_READY = "penstock_work_ready.v1"
"""The server says when a run becomes ready."""

REQUIRED_CAPABILITIES = (HEARTBEAT, SNAPSHOT)
EXTENSIONS = (PENSTOCK_CLEANUP, WORK_READY)

CANCELLING_TIMEOUT_TEARDOWN = CleanupKind.CANCELLING_TIMEOUT.value
KINDS = tuple(kind.value for kind in CleanupKind)

MAXIMUM_FRAME = 1_048_576
"""Bytes of a frame that either side takes."""

Text = Annotated[str, Meta(min_length=1)]
Positive = Annotated[int, Meta(gt=0)]
Count = Annotated[int, Meta(ge=0)]


class CloseReason(StrEnum):
    """Why the server closes a channel; the text of the close frame."""

    AUTHENTICATION_FAILED = "authentication_failed"
    AUTHORIZATION_FAILED = "authorization_failed"
    UNSUPPORTED_VERSION = "unsupported_version"
    PROTOCOL_ERROR = "protocol_error"
    HEARTBEAT_PERSISTENCE_FAILED = "heartbeat_persistence_failed"
    TRANSIENT_SERVER_ERROR = "transient_server_error"


CLOSE_CODES: dict[CloseReason, int] = {
    CloseReason.AUTHENTICATION_FAILED: 1008,
    CloseReason.AUTHORIZATION_FAILED: 1008,
    CloseReason.UNSUPPORTED_VERSION: 1008,
    CloseReason.PROTOCOL_ERROR: 1002,
    CloseReason.HEARTBEAT_PERSISTENCE_FAILED: 1011,
    CloseReason.TRANSIENT_SERVER_ERROR: 1011,
}
TERMINAL_CODES = frozenset({1002, 1008})
"""Codes after which a worker does not open the channel again; all others are retried."""


class AuthRequest(Strict, tag_field="type", tag="auth"):
    """The first message of a worker; it has no envelope."""

    token: str | None = None


# --- what workers send ---------------------------------------------------------------------------


class WorkerHello(Strict):
    """Who the worker is and what it can do. `work_queue_names` empty stands for all queues."""

    consumer_id: UUID
    worker_name: Text
    worker_type: Text
    heartbeat_interval_seconds: Positive
    supported_channel_versions: Annotated[list[Text], Meta(min_length=1)]
    requested_capabilities: Annotated[list[Text], Meta(min_length=1)]
    work_queue_names: list[Text] = field(default_factory=list)
    handled_cleanup_kinds: list[Text] = field(default_factory=list)
    max_cleanup_concurrency: Count | None = None
    create_pool_if_not_found: bool = False
    default_base_job_template: dict[str, Any] = field(default_factory=dict)
    worker_metadata: dict[str, Any] | None = None


class WorkerBeat(Strict):
    consumer_id: UUID
    worker_name: Text
    heartbeat_interval_seconds: Positive


class Reservation(Strict):
    """A message and the token that proves who holds it."""

    message_id: UUID
    reservation_token: Text


class Release(Reservation):
    reason: Text


class _FromWorker(Strict):
    id: UUID
    sent_at: datetime


class HelloFrame(_FromWorker, tag_field="type", tag="worker.hello.v1"):
    payload: WorkerHello


class HeartbeatFrame(_FromWorker, tag_field="type", tag="worker.heartbeat.v1"):
    payload: WorkerBeat


class AckFrame(_FromWorker, tag_field="type", tag="cleanup.ack.v1"):
    payload: Reservation


class RenewFrame(_FromWorker, tag_field="type", tag="cleanup.renew.v1"):
    payload: Reservation


class ReleaseFrame(_FromWorker, tag_field="type", tag="cleanup.release.v1"):
    payload: Release


OperationFrame = AckFrame | RenewFrame | ReleaseFrame
WorkerFrame = HelloFrame | HeartbeatFrame | OperationFrame


# --- what the server sends -----------------------------------------------------------------------


class PoolSnapshot(Entity):
    """The pool as it is now; `work_pool` is the whole object of the API."""

    snapshot_sequence: Positive
    reason: Text
    work_pool: dict[str, Any]


class ResolvedQueue(Entity):
    id: UUID
    name: str


class WorkerReady(Entity):
    """The answer to a hello; `worker_id` is null on servers that run on their own."""

    consumer_id: UUID
    worker_id: UUID | None
    selected_channel_version: str
    effective_heartbeat_interval_seconds: Positive
    accepted_capabilities: list[str]
    rejected_capabilities: list[str]
    effective_max_cleanup_concurrency: Count
    resolved_work_queues: list[ResolvedQueue]
    initial_snapshot: PoolSnapshot


class CleanupMessage(Entity):
    """One teardown, reserved for this worker until `lease_expires_at`."""

    message_id: UUID
    kind: str
    reservation_token: Text
    lease_expires_at: datetime
    delivery_count: Positive
    target: dict[str, Any]
    work_queue_id: UUID | None = None
    data: dict[str, Any] = field(default_factory=dict)


class OperationResult(Entity):
    """The answer to an operation. `lease_expires_at` is there for an accepted renewal only."""

    request_frame_id: UUID
    message_id: UUID
    operation: CleanupOperation
    status: CleanupStatus
    lease_expires_at: datetime | None = None
    reason: str | None = None
    detail: str | None = None


class WorkReady(Entity):
    """An extension: runs of these queues can be polled for now, the next one is due then."""

    work_queue_ids: list[UUID]
    ready: Count
    next_due: datetime | None = None


class _FromServer(Entity):
    id: UUID
    sent_at: datetime


class ReadyFrame(_FromServer, tag_field="type", tag="worker.ready.v1"):
    payload: WorkerReady


class SnapshotFrame(_FromServer, tag_field="type", tag="work_pool.snapshot.v1"):
    payload: PoolSnapshot


class CleanupMessageFrame(_FromServer, tag_field="type", tag="cleanup.message.v1"):
    payload: CleanupMessage


class OperationResultFrame(_FromServer, tag_field="type", tag="cleanup.operation_result.v1"):
    payload: OperationResult


class WorkReadyFrame(_FromServer, tag_field="type", tag="penstock.work_ready.v1"):
    payload: WorkReady


ServerFrame = (
    ReadyFrame | SnapshotFrame | CleanupMessageFrame | OperationResultFrame | WorkReadyFrame
)


def channel_path(work_pool_name: str) -> str:
    """The path of a pool's channel below the API; the name is percent-encoded already."""
    return f"/work_pools/{work_pool_name}/workers/connect"
