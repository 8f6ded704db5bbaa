"""The one way a change of an object is recorded: its event and its audit row.

Both are rows of the transaction of the change. A change of nothing records nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.schemas.events import RESOURCE_ID, RESOURCE_NAME, RESOURCE_ROLE, Resource
from penstock.server.domain.differences import differences
from penstock.server.domain.redaction import redacted
from penstock.server.ops.context import Context
from penstock.server.ops.emit import emit
from penstock.server.store.transaction import Tx

# Columns that change with every write and say nothing about what was changed.
_BOOKKEEPING = frozenset({"created", "updated", "version"})


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

    Costs two statements. Call it after the change itself was written.
    """
    before = _snapshot(change.before, context, change.secret)
    after = _snapshot(change.after, context, change.secret)
    changed = differences(before, after) if before is not None and after is not None else []
    if before is not None and after is not None and not changed:
        return None
    id = change.event_id or uuid7()
    if not change.silent:
        _emit(tx, context, change, id, changed)
    request = context.request
    tx.run(
        "audit.insert",
        id=id,
        at=tx.now,
        actor_type=context.actor.type,
        actor_id=context.actor.id,
        actor_name=context.actor.name,
        actor_auth=context.actor.auth,
        request_id=request.id if request else None,
        request_route=request.route if request else None,
        request_ip=request.ip if request else None,
        request_user_agent=request.user_agent if request else None,
        action=change.action,
        kind=change.kind,
        object_id=change.id,
        object_name=change.name,
        before=before,
        after=after,
        changes=changed,
        caused_by=change.caused_by,
        claims=dict(context.claims) or None,
    )
    return id


def _emit(
    tx: Tx, context: Context, change: Change, id: UUID, changed: list[dict[str, Any]]
) -> None:
    emit(
        tx,
        event=change.event or f"prefect.{change.kind}.{change.action}",
        resource={
            RESOURCE_ID: f"prefect.{change.kind}.{change.id}",
            RESOURCE_NAME: change.name,
            **change.labels,
        },
        related=[*change.related, *_involved(context)],
        payload=change.payload,
        id=id,
        occurred=change.occurred,
        follows=change.follows,
        members=_members(context, change, changed),
    )


def _snapshot(
    row: Mapping[str, Any] | None, context: Context, secret: tuple[str, ...]
) -> dict[str, Any] | None:
    """`row` as plain JSON without bookkeeping and without secrets."""
    if row is None:
        return None
    kept = {name: value for name, value in row.items() if name not in _BOOKKEEPING}
    plain = json.decode(json.encode(kept))
    return redacted(plain, context.fingerprint_key, secret=secret)


def _members(context: Context, change: Change, changed: list[dict[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {"actor": context.actor}
    if context.request is not None:
        members["request"] = context.request
    if change.caused_by is not None:
        members["caused_by"] = change.caused_by
    if changed:
        members["changes"] = changed
    return members


def _involved(context: Context) -> list[Resource]:
    """The actor, and for whom it says it works, as related resources that filters can use."""
    actor = context.actor
    found: list[Resource] = [
        {
            RESOURCE_ID: f"penstock.actor.{actor.type}.{actor.id}",
            RESOURCE_ROLE: "actor",
            RESOURCE_NAME: actor.name,
            **({"penstock.request.id": context.request.id} if context.request else {}),
        }
    ]
    found += [
        {
            RESOURCE_ID: f"prefect.{kind}.{id}",
            RESOURCE_ROLE: "initiator",
            "penstock.claimed": "true",
        }
        for kind, id in context.claims
    ]
    return found
