"""The one way a change of an object is recorded: its event and its audit row.

Both are rows of the transaction of the change. A change of nothing records nothing.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.events import (
    MAXIMUM_RELATED,
    RESOURCE_ID,
    RESOURCE_NAME,
    RESOURCE_ROLE,
    Resource,
)
from penstock.server.domain.differences import differences
from penstock.server.domain.redaction import redacted, shown
from penstock.server.ops.context import Context
from penstock.server.ops.emit import payload_text
from penstock.server.store.transaction import Tx

# Columns that change with every write and say nothing about what was changed.
_BOOKKEEPING = frozenset({"created", "updated"})
ACTORS = "penstock.actor."
"""What the id of an actor's resource begins with."""
CLAIMED = "penstock.claimed"
"""Marks a related resource that only the caller vouches for."""
MAXIMUM_INVOLVED = 5
"""Related resources kept free for the actor and what it claims to work for."""


class Change(Struct, frozen=True, kw_only=True):
    """One object changed in one way.

    `before` and `after` are rows or snapshots of the object (documents may be raw JSON), None
    where there is none; `secret` names their members that hold secrets whatever they are called.
    `payload`, `labels` and `related` are those of the event, which is `prefect.<kind>.<action>`
    unless `event` names another.
    """

    kind: str
    action: str
    id: str
    name: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    payload: Mapping[str, Any] = {}
    labels: Mapping[str, str] = {}
    related: Sequence[Resource] = ()
    event: str | None = None
    event_id: UUID | None = None
    occurred: datetime | None = None
    follows: UUID | None = None
    caused_by: str | None = None
    secret: tuple[str, ...] = ()
    silent: bool = False
    """Only the audit row: of objects about which the contract emits nothing."""


def record(tx: Tx, context: Context, change: Change) -> UUID | None:
    """Write the event and the audit row of a change; their id, None for no change.

    Costs one statement. Call it after the change itself was written.
    """
    before = _snapshot(change.before, context, change.secret)
    after = _snapshot(change.after, context, change.secret)
    changed = differences(before, after) if before is not None and after is not None else []
    if before is not None and after is not None and not changed:
        return None
    id = change.event_id or uuid7()
    write(
        tx,
        context,
        id=id,
        event=change.event or f"prefect.{change.kind}.{change.action}",
        resource={
            RESOURCE_ID: f"prefect.{change.kind}.{change.id}",
            RESOURCE_NAME: change.name,
            **shown(dict(change.labels), context.redact_keys),
        },
        related=shown(list(change.related), context.redact_keys),
        payload=redacted(_plain(change.payload), context.fingerprint_key, context.redact_keys),
        occurred=change.occurred,
        follows=change.follows,
        kind=change.kind,
        action=change.action,
        object_id=change.id,
        object_name=change.name,
        before=before,
        after=after,
        changed=changed,
        caused_by=change.caused_by,
        silent=change.silent,
    )
    return id


def write(
    tx: Tx,
    context: Context,
    *,
    id: UUID,
    event: str,
    resource: Resource,
    related: Sequence[Resource],
    payload: Mapping[str, Any],
    occurred: datetime | None,
    follows: UUID | None,
    kind: str,
    action: str,
    object_id: str,
    object_name: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    changed: list[dict[str, Any]],
    caused_by: str | None = None,
    silent: bool = False,
) -> None:
    """Write the two rows of a change that was compared and freed of secrets already."""
    actor, request = context.actor, context.request
    audited = {
        "id": id,
        "now": tx.now,
        "actor_type": actor.type,
        "actor_id": actor.id,
        "actor_name": actor.name,
        "actor_auth": actor.auth,
        "request_id": request.id if request else None,
        "request_route": request.route if request else None,
        "request_ip": request.ip if request else None,
        "request_user_agent": request.user_agent if request else None,
        "action": action,
        "kind": kind,
        "object_id": object_id,
        "object_name": object_name,
        "before": before,
        "after": after,
        "changes": changed,
        "caused_by": caused_by,
        "claims": dict(context.claims) or None,
    }
    if silent:
        tx.run("audit.insert", **audited)
        return
    tx.run(
        "audit.record",
        occurred=occurred or tx.now,
        event=event,
        resource_id=resource[RESOURCE_ID],
        resource=resource,
        related=[
            *related[: MAXIMUM_RELATED - MAXIMUM_INVOLVED],
            *_involved(context, {resource[RESOURCE_ID], *(one[RESOURCE_ID] for one in related)}),
        ],
        payload=payload_text(payload, changed),
        follows=follows,
        members=_members(context, changed, caused_by),
        **audited,
    )
    tx.wake("events")


def _snapshot(
    row: Mapping[str, Any] | None, context: Context, secret: tuple[str, ...]
) -> dict[str, Any] | None:
    """`row` as plain JSON without bookkeeping and without secrets."""
    if row is None:
        return None
    kept = {name: value for name, value in row.items() if name not in _BOOKKEEPING}
    return redacted(_plain(kept), context.fingerprint_key, context.redact_keys, secret)


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    return json.decode(json.encode(document)) if document else {}


def _members(
    context: Context, changed: list[dict[str, Any]], caused_by: str | None
) -> dict[str, Any]:
    members: dict[str, Any] = {"actor": context.actor}
    if context.request is not None:
        members["request"] = context.request
    if caused_by is not None:
        members["caused_by"] = caused_by
    if changed:
        members["changes"] = changed
    return members


def _involved(context: Context, named: AbstractSet[str]) -> list[Resource]:
    """The actor, and for whom it says it works, as related resources that filters can use.

    What the event names anyway, such as the run that reports its own state, is not named again.
    """
    actor = context.actor
    found: list[Resource] = [
        {
            RESOURCE_ID: f"{ACTORS}{actor.type}.{actor.id}",
            RESOURCE_ROLE: "actor",
            RESOURCE_NAME: actor.name,
        }
    ]
    if context.request is not None:
        found[0]["penstock.request.id"] = context.request.id
    if context.claims:
        claimed = dict(context.claims)
        found += [
            {
                RESOURCE_ID: f"prefect.{kind}.{id}",
                RESOURCE_ROLE: "initiator",
                CLAIMED: "true",
                **({RESOURCE_NAME: claimed[f"{kind}-name"]} if f"{kind}-name" in claimed else {}),
            }
            for kind, id in context.claims
            if not kind.endswith("-name") and f"prefect.{kind}.{id}" not in named
        ]
    return found
