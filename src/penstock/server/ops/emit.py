"""Recording an event in the transaction of the change it tells of."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.events import MAXIMUM_EVENT_BYTES, MAXIMUM_RELATED, RESOURCE_ID, Resource
from penstock.server.store.transaction import Tx


def emit(
    tx: Tx,
    *,
    event: str,
    resource: Resource,
    related: Sequence[Resource] = (),
    payload: Mapping[str, Any] | None = None,
    id: UUID | None = None,
    occurred: datetime | None = None,
    follows: UUID | None = None,
    members: Mapping[str, Any] | None = None,
) -> UUID:
    """Insert one event and wake whoever follows the event log; returns its id.

    The event exists exactly when the transaction commits. One statement. It is never dropped for
    its size: a payload that makes it larger than the limit is replaced by a note of its size, and
    related resources beyond the limit are left out, the first ones kept. `members` are further
    top-level members of the event: who asked for the change and what changed.
    """
    chosen = id or uuid7()
    tx.run(
        "emit.insert",
        id=chosen,
        occurred=occurred or tx.now,
        received=tx.now,
        event=event,
        resource_id=resource[RESOURCE_ID],
        resource=resource,
        related=list(related[:MAXIMUM_RELATED]),
        payload=payload_text(payload or {}),
        follows=follows,
        members=members,
    )
    tx.wake("events")
    return chosen


def payload_text(payload: Mapping[str, Any], changed: Sequence[Mapping[str, Any]] = ()) -> str:
    """The payload as JSON; one above the limit as a note of its size and of what was changed."""
    data = json.encode(payload)
    if len(data) > MAXIMUM_EVENT_BYTES:
        fields = sorted({change["path"].split("/")[1] for change in changed if change["path"]})
        data = json.encode(
            {"truncated": True, "original_size": len(data), "updated_fields": fields}
        )
    return data.decode()
