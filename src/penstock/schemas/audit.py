"""The audit trail: who changed which object, when, on whose request, and how."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta

from penstock.schemas.shapes import Entity, Strict

MAXIMUM_PAGE = 200


class AuditActor(Entity):
    """Who asked for a change, as the server established it."""

    type: str
    id: str | None = None
    name: str | None = None
    auth: str | None = None


class AuditRequest(Entity):
    """The request a change came with."""

    id: str
    route: str | None = None
    ip: str | None = None
    user_agent: str | None = None


class AuditRecord(Entity):
    """One change. `id` is that of its event; secrets are fingerprints."""

    seq: int
    id: UUID
    at: datetime
    actor: AuditActor
    action: str
    kind: str
    object_id: str
    object_name: str
    request: AuditRequest | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    changes: list[dict[str, Any]] = []
    caused_by: str | None = None
    claims: dict[str, str] | None = None


class AuditTimeFilter(Strict):
    """Inclusive bounds."""

    since: datetime | None = None
    until: datetime | None = None


class AuditActorFilter(Strict):
    """`like` is part of the actor's name, in any case."""

    type: str | None = None
    id: str | None = None
    name: str | None = None
    like: str | None = None


class AuditAnyFilter(Strict):
    any_: list[str]


class AuditObjectFilter(Strict):
    """`name` is any name the object had in the row itself; a history follows renames."""

    id: str | None = None
    name: str | None = None


class AuditFilter(Strict):
    """All given conditions hold. `changed_path` finds changes at or below JSON pointers."""

    at: AuditTimeFilter | None = None
    actor: AuditActorFilter | None = None
    action: AuditAnyFilter | None = None
    kind: AuditAnyFilter | None = None
    object: AuditObjectFilter | None = None
    request_id: str | None = None
    text: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    changed_path: AuditAnyFilter | None = None


class AuditOrder(StrEnum):
    ASC = "ASC"
    DESC = "DESC"


class AuditFilterBody(Strict):
    """`after` is the `next` of the page before."""

    filter: AuditFilter | None = None
    order: AuditOrder = AuditOrder.DESC
    limit: Annotated[int, Meta(ge=1, le=MAXIMUM_PAGE)] = MAXIMUM_PAGE
    after: Annotated[int, Meta(ge=-1, le=2**63 - 1)] | None = None


class AuditPage(Entity):
    """Changes in the order asked for; `next` continues the list, null at its end."""

    records: list[AuditRecord]
    next: int | None = None


class AuditObjectState(Entity):
    """An object as it was at `time`; `value` is null when it was not there."""

    kind: str
    object_id: str
    object_name: str | None
    time: datetime
    value: dict[str, Any] | None
    last_change: UUID | None = None


class AuditProblem(Entity):
    """One finding of a verification.

    `found` is one of `altered`, `missing`, `inserted` (rows, with their `seq`), `seal` (what a
    seal says was changed), `missing_seal`, `unknown_key`, `weaker_key` and `shortened` (the newest
    seals are gone).
    """

    found: str
    segment: int
    message: str
    seq: int | None = None
    id: str | None = None


class AuditVerification(Entity):
    """What a stretch of seals showed. `next` continues it, null when all were looked at.

    `head` is the last seal that was reached: noted outside of the database it proves that nothing
    up to `segment` was altered since. `database_key` counts the seals whose key is kept in the
    same database, so that they only tell of changes by somebody who does not know of seals.
    """

    segment: int
    head: str | None
    segments: int
    rows: int
    deleted_rows: int
    database_key: int
    unsealed_rows: int | None
    problems: list[AuditProblem]
    next: int | None = None
