"""Messages of cleanup delivery as rows: read, written with their delivery and event, shown.

Every change of a message goes through `apply`, which writes it guarded by its fence, the delivery
it begins or ends, and its event, in the transaction of the change.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Raw

from penstock.base import json
from penstock.base.ids import uuid_of
from penstock.schemas.cleanup import (
    CleanupDelivery,
    CleanupMessage,
    CleanupOutcome,
    CleanupPlacement,
    CleanupState,
)
from penstock.schemas.events import RESOURCE_ID, RESOURCE_NAME, RESOURCE_ROLE, Resource
from penstock.server.domain.cleanup import LEASED, Binding, Change, Message
from penstock.server.ops.emit import emit
from penstock.server.store.transaction import Row, Tx

STATES = tuple(CleanupState)
NUMBERS = {state: number for number, state in enumerate(STATES)}
EVENT = "penstock.cleanup-message."
TOPIC = "cleanup:"
_FIELDS = Message.__struct_fields__
_EMPTY = Raw(b"[]")
_ACTIVE = frozenset({"PENDING", "RUNNING", "PAUSED"})


def moment(tx: Tx) -> datetime:
    """The time by which leases are counted: the database's clock, for SQLite that of the host."""
    if tx.dialect == "sqlite":
        return tx.now
    row = tx.one("cleanup.clock")
    assert row is not None, "a clock always answers"
    return row["at"]


def message_of(row: Row) -> Message:
    """The message a row holds."""
    values = {name: row[name] for name in _FIELDS}
    values["state"] = STATES[row["state"]]
    values["target"] = json.decode(row["target"])
    values["data"] = json.decode(row["data"])
    values["placement"] = CleanupPlacement(row["placement"])
    values["tried_workers"] = tuple(json.decode(row["tried_workers"]))
    return Message(**values)


def values_of(message: Message) -> dict[str, Any]:
    """The columns of a message."""
    values = {name: getattr(message, name) for name in _FIELDS}
    values["state"] = NUMBERS[message.state]
    values["placement"] = message.placement.value
    return values


def binding_of(row: Row) -> Binding | None:
    """What the flow run beside a message says; None when the run is gone."""
    if row["run_id"] is None:
        return None
    return Binding(infrastructure_pid=row["run_pid"], active=row["run_state"] in _ACTIVE)


def locked(tx: Tx, id: str) -> Message | None:
    row = tx.one("cleanup.lock", id=id)
    return None if row is None else message_of(row)


def insert(tx: Tx, message: Message, *, synced: bool) -> bool:
    """Insert a new message; False when its key or its id is taken."""
    return bool(tx.run("cleanup.insert", synced=synced, **values_of(message)))


def apply(tx: Tx, change: Change, *, synced: bool = True, silent: bool = False) -> None:
    """Write a change: message, delivery and, unless `silent`, its event; wake its pool.

    `synced` False asks for the change to be carried into the working set elsewhere. Raises
    `RuntimeError` when the message was changed since it was read, which the lock prevents.
    """
    before, after = change.before, change.after
    if not tx.run("cleanup.update", found=before.fence, synced=synced, **values_of(after)):
        raise RuntimeError(f"cleanup message {after.id} was changed without its lock")
    record_delivery(tx, change)
    if change.event and not silent:
        tell(tx, change)
    if change.wakes or not synced:
        wake(tx, after.work_pool_id)


def record_delivery(tx: Tx, change: Change) -> None:
    """The row of the delivery that a change begins or ends."""
    after = change.after
    if after.state is LEASED and after.deliveries > change.before.deliveries:
        tx.run("cleanup_delivery.insert", **delivery_of(after))
    elif change.ending is not None and after.deliveries:
        tx.run("cleanup_delivery.end", **ending_of(change))


def delivery_of(message: Message) -> dict[str, Any]:
    return {
        "message_id": message.id,
        "number": message.deliveries,
        "worker_name": message.lease_worker_name,
        "consumer_id": message.lease_consumer_id,
        "server_id": message.lease_server_id,
        "reserved_at": message.lease_since,
    }


def ending_of(change: Change) -> dict[str, Any]:
    ending, after = change.ending, change.after
    assert ending is not None
    return {
        "message_id": after.id,
        "number": after.deliveries,
        "ended_at": after.updated_at,
        "outcome": ending.outcome.value,
        "reason": ending.reason,
        "charged": ending.charged,
        "renewals": change.before.lease_renewals,
    }


def tell(tx: Tx, change: Change) -> None:
    """The event of a change that nobody asked for by name."""
    after = change.after
    emit(
        tx,
        event=EVENT + change.event,
        resource=resource_of(after),
        related=related_of(after),
        payload=payload_of(after),
    )


def resource_of(message: Message) -> Resource:
    return {
        RESOURCE_ID: f"{EVENT}{message.id}",
        RESOURCE_NAME: message.kind,
        "penstock.cause": message.cause,
    }


def related_of(message: Message) -> list[Resource]:
    """The flow run, deployment, pool, queue and worker of a message, as far as they are known."""
    known = (
        ("flow-run", message.flow_run_id),
        ("deployment", message.data.get("deployment_id")),
        ("work-pool", message.work_pool_id),
        ("work-queue", message.work_queue_id),
    )
    found: list[Resource] = [
        {RESOURCE_ID: f"prefect.{kind}.{id}", RESOURCE_ROLE: kind} for kind, id in known if id
    ]
    if message.lease_worker_name:
        found.append(
            {
                RESOURCE_ID: f"prefect.worker.{message.lease_worker_name}",
                RESOURCE_ROLE: "worker",
                RESOURCE_NAME: message.lease_worker_name,
            }
        )
    return found


def payload_of(message: Message) -> dict[str, Any]:
    """What a reader of the event needs to act on it."""
    return {
        "state": message.state.value,
        "kind": message.kind,
        "cause": message.cause,
        "infrastructure_pid": message.target.get("infrastructure_pid"),
        "worker_name": message.lease_worker_name,
        "launched_by": message.affinity_worker_name,
        "placement": message.placement.value,
        "attempts": message.attempts,
        "deliveries": message.deliveries,
        "reason": message.dead_reason or message.last_reason,
    }


def wake(tx: Tx, work_pool_id: str) -> None:
    """Tell the dispatchers of a pool, after the commit, that there may be something to do."""
    tx.wake(TOPIC + work_pool_id)


def message_view(message: Message) -> CleanupMessage:
    """A message as it is shown: without its token."""
    return CleanupMessage(
        id=uuid_of(message.id),
        work_pool_id=uuid_of(message.work_pool_id),
        work_queue_id=_uuid(message.work_queue_id),
        kind=message.kind,
        cause=message.cause,
        flow_run_id=uuid_of(message.flow_run_id),
        target=message.target,
        data=message.data,
        idempotency_key=message.idempotency_key,
        state=message.state,
        attempts=message.attempts,
        deliveries=message.deliveries,
        available_at=message.available_at,
        created_at=message.created_at,
        updated_at=message.updated_at,
        queued_at=message.queued_at,
        lease_expires_at=message.lease_expires_at,
        lease_consumer_id=_uuid(message.lease_consumer_id),
        lease_worker_name=message.lease_worker_name,
        lease_server_id=_uuid(message.lease_server_id),
        lease_renewals=message.lease_renewals,
        affinity_worker_name=message.affinity_worker_name,
        host_id=message.host_id,
        placement=message.placement,
        tried_workers=list(message.tried_workers),
        last_reason=message.last_reason,
        dead_reason=message.dead_reason,
        requeue_count=message.requeue_count,
        finished_at=message.finished_at,
    )


def delivery_view(row: Mapping[str, Any]) -> CleanupDelivery:
    return CleanupDelivery(
        number=row["number"],
        worker_name=row["worker_name"],
        consumer_id=uuid_of(row["consumer_id"]),
        server_id=uuid_of(row["server_id"]),
        reserved_at=row["reserved_at"],
        ended_at=row["ended_at"],
        outcome=None if row["outcome"] is None else CleanupOutcome(row["outcome"]),
        reason=row["reason"],
        charged=bool(row["charged"]),
        renewals=row["renewals"],
    )


def _uuid(text: str | None) -> Any:
    return None if text is None else uuid_of(text)
