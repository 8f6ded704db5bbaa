"""What is owed when a run ends without its infrastructure: the message to make, or why none.

Where infrastructure is addressed decides who may tear it down. A process is known to one host
only, a container to one daemon of several; everything else is reached through a shared API.
"""

from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from msgspec import Struct

from penstock.schemas.cleanup import CleanupCause, CleanupKind, CleanupPlacement
from penstock.server.domain.cleanup import Message

_PLACEMENTS = {"process": CleanupPlacement.REQUIRE, "docker": CleanupPlacement.PREFER}
_WITHOUT_WORKERS = (":push", ":managed")


class Owed(Struct, frozen=True, kw_only=True):
    """A run whose infrastructure must go, with where its workers are."""

    flow_run_id: str
    state_id: str
    """Of the state that ended the run; part of the key, so that each end owes one teardown."""
    work_pool_id: str | None
    work_pool_type: str | None
    work_queue_id: str | None
    infrastructure_pid: str | None
    worker_name: str | None
    """Of the worker that launched it."""
    deployment_id: str | None = None
    flow_id: str | None = None
    kind: CleanupKind = CleanupKind.CANCELLING_TIMEOUT
    placement: CleanupPlacement | None = None
    """Instead of the one that follows from the pool's type."""
    target: dict[str, Any] = {}
    """Further members of the target."""


def why_not(owed: Owed) -> str | None:
    """Why no worker could be asked to tear down, None when one can."""
    if owed.work_pool_id is None:
        return "no_work_pool"
    if (owed.work_pool_type or "").endswith(_WITHOUT_WORKERS):
        return "pool_without_workers"
    return None


def message_of(owed: Owed, cause: CleanupCause, now: datetime) -> Message:
    """The message for a teardown that a worker can do. The same end of a run gives the same id."""
    if owed.work_pool_id is None:
        raise ValueError(f"flow run {owed.flow_run_id} has no work pool to send its teardown to")
    placement = owed.placement or _PLACEMENTS.get(owed.work_pool_type or "", CleanupPlacement.ANY)
    key = f"{owed.kind}:{owed.flow_run_id}:{owed.state_id}"
    data = {"cause": cause.value}
    if owed.deployment_id is not None:
        data["deployment_id"] = owed.deployment_id
    if owed.flow_id is not None:
        data["flow_id"] = owed.flow_id
    target = {
        **owed.target,
        "flow_run_id": owed.flow_run_id,
        "infrastructure_pid": owed.infrastructure_pid,
    }
    return Message(
        id=id_of(key),
        work_pool_id=owed.work_pool_id,
        work_queue_id=owed.work_queue_id,
        kind=owed.kind.value,
        cause=cause.value,
        flow_run_id=owed.flow_run_id,
        target=target,
        data=data,
        idempotency_key=key,
        available_at=now,
        affinity_worker_name=owed.worker_name,
        host_id=host_of(owed.infrastructure_pid) if owed.work_pool_type == "process" else None,
        placement=placement,
        created_at=now,
        updated_at=now,
        queued_at=now,
    )


def id_of(idempotency_key: str) -> str:
    """The id of the message with this key."""
    return str(uuid5(NAMESPACE_URL, f"penstock:{idempotency_key}"))


def cancelled_state_id(flow_run_id: str, cancelling_state_id: str) -> str:
    """The id of the state that ends a cancellation nobody confirmed: the same at every try."""
    return str(uuid5(NAMESPACE_URL, f"penstock:cancelled:{flow_run_id}:{cancelling_state_id}"))


def host_of(infrastructure_pid: str | None) -> str | None:
    """The host in an identifier `host:pid` or `host:pid:start`, where it names one."""
    if not infrastructure_pid:
        return None
    parts = infrastructure_pid.rsplit(":", 2)
    if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit():
        return parts[0] or None
    host, colon, pid = infrastructure_pid.rpartition(":")
    return host or None if colon and pid.isdigit() else None
