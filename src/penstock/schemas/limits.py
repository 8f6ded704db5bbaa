"""Concurrency limits and the leases on their slots.

Version 1 of the API knows a limit by the tag it is for; it is the limit named `tag:<tag>` of
version 2.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, field

from penstock.schemas.shapes import Entity, Strict

LimitName = Annotated[str, Meta(pattern="^[^/%&><]+$")]
Slots = Annotated[int, Meta(gt=0)]
LeaseSeconds = Annotated[float, Meta(ge=60, le=86400)]
Mode = Literal["concurrency", "rate_limit"]


class ConcurrencyLeaseHolder(Strict):
    """Who holds the slots of a lease."""

    id: UUID
    type: Literal["flow_run", "task_run", "deployment"]


# --- version 2 -----------------------------------------------------------------------------------


class ConcurrencyLimitV2Create(Strict):
    limit: Annotated[int, Meta(ge=0)]
    name: LimitName
    active: bool = True
    active_slots: Annotated[int, Meta(ge=0)] = 0
    denied_slots: Annotated[int, Meta(ge=0)] = 0
    slot_decay_per_second: Annotated[float, Meta(ge=0)] = 0


class ConcurrencyLimitV2Update(Strict):
    """Null leaves a value as it is: none of them can be absent."""

    active: bool | UnsetType | None = UNSET
    active_slots: Annotated[int, Meta(ge=0)] | UnsetType | None = UNSET
    denied_slots: Annotated[int, Meta(ge=0)] | UnsetType | None = UNSET
    limit: Annotated[int, Meta(ge=0)] | UnsetType | None = UNSET
    name: LimitName | UnsetType | None = UNSET
    slot_decay_per_second: Annotated[float, Meta(ge=0)] | UnsetType | None = UNSET


class ConcurrencyLimitV2(Entity):
    created: datetime | None
    id: UUID
    limit: int
    name: LimitName
    updated: datetime | None
    active: bool = True
    active_slots: int = 0
    avg_slot_occupancy_seconds: float = 2.0
    denied_slots: int = 0
    slot_decay_per_second: float = 0


class GlobalConcurrencyLimitResponse(Entity):
    active_slots: int
    created: datetime | None
    id: UUID
    limit: int
    name: str
    updated: datetime | None
    active: bool = True
    slot_decay_per_second: float = 2.0


class MinimalConcurrencyLimitResponse(Entity):
    id: UUID
    limit: int
    name: str


class ConcurrencyLimitsPage(Entity):
    limit: int | None = None
    offset: Annotated[int, Meta(ge=0)] = 0


class SlotsIncrement(Entity):
    names: list[str]
    slots: Slots
    create_if_missing: bool | None = None
    mode: Mode = "concurrency"


class SlotsIncrementWithLease(Entity):
    names: list[str]
    slots: Slots
    holder: ConcurrencyLeaseHolder | None = None
    lease_duration: LeaseSeconds = 300
    mode: Mode = "concurrency"


class ConcurrencyLimitWithLeaseResponse(Entity):
    lease_id: UUID
    limits: list[MinimalConcurrencyLimitResponse]


class SlotsDecrement(Entity):
    names: list[str]
    slots: Slots
    create_if_missing: bool | None = None
    occupancy_seconds: Annotated[float, Meta(gt=0)] | None = None


class LeaseRelease(Entity):
    lease_id: UUID


class LeaseRenewal(Entity):
    lease_duration: LeaseSeconds = 300


# --- version 1 -----------------------------------------------------------------------------------


class ConcurrencyLimitCreate(Strict):
    concurrency_limit: int
    tag: str


class ConcurrencyLimit(Entity):
    """`active_slots` are the task runs that hold one."""

    concurrency_limit: int
    created: datetime | None
    id: UUID
    tag: str
    updated: datetime | None
    active_slots: list[UUID] = field(default_factory=list)


class TaggedSlotsIncrement(Entity):
    names: list[str]
    task_run_id: UUID


class TaggedSlotsDecrement(Entity):
    names: list[str]
    task_run_id: UUID
    occupancy_seconds: float | None = None


class TaggedSlotsReset(Entity):
    slot_override: list[UUID] | None = None
