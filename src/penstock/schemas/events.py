"""Events: what happened, to which resource, in relation to which others."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, field

from penstock.base.clock import utc_now
from penstock.base.ids import uuid7
from penstock.schemas.shapes import Entity, Strict

Resource = dict[str, str]
RESOURCE_ID = "prefect.resource.id"
RESOURCE_ROLE = "prefect.resource.role"
RESOURCE_NAME = "prefect.resource.name"
MAXIMUM_RELATED = 100
MAXIMUM_LABELS = 500
MAXIMUM_EVENT_NAME = 1024
MAXIMUM_EVENT_BYTES = 1_500_000


class Event(Entity):
    """An event as a client sends it."""

    occurred: datetime
    event: str
    resource: Resource
    related: list[Resource] = field(default_factory=list)
    payload: dict[str, Any] = field(default_factory=dict)
    id: UUID = field(default_factory=uuid7)
    follows: UUID | None = None


class ReceivedEvent(Event):
    """An event as the server gives it back, with the time it was received."""

    received: datetime = field(default_factory=utc_now)
    # Extensions of the contract; those after `seq` are on events the server made.
    seq: int | UnsetType = UNSET
    actor: dict[str, Any] | UnsetType = UNSET
    request: dict[str, Any] | UnsetType = UNSET
    caused_by: UUID | UnsetType = UNSET
    changes: list[dict[str, Any]] | UnsetType = UNSET


class Countable(StrEnum):
    DAY = "day"
    TIME = "time"
    EVENT = "event"
    RESOURCE = "resource"


class TimeUnit(StrEnum):
    WEEK = "week"
    DAY = "day"
    HOUR = "hour"
    MINUTE = "minute"
    SECOND = "second"


class EventOrder(StrEnum):
    ASC = "ASC"
    DESC = "DESC"


def _since() -> datetime:
    day = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=180)


class EventOccurredFilter(Strict):
    """Inclusive bounds on `occurred`; by default the last 180 days up to now."""

    since: datetime = field(default_factory=_since)
    until: datetime = field(default_factory=utc_now)


class EventNameFilter(Strict):
    exclude_name: list[str] | None = None
    exclude_prefix: list[str] | None = None
    name: list[str] | None = None
    prefix: list[str] | None = None


Specification = dict[str, str | list[str]]


class EventResourceFilter(Strict):
    distinct: bool = False
    id: list[str] | None = None
    id_prefix: list[str] | None = None
    labels: Specification | None = None


class EventRelatedFilter(Strict):
    id: list[str] | None = None
    labels: Specification | None = None
    resources_in_roles: list[tuple[str, str]] | None = None
    role: list[str] | None = None


class EventAnyResourceFilter(Strict):
    id: list[str] | None = None
    id_prefix: list[str] | None = None
    labels: Specification | None = None


class EventIdFilter(Strict):
    id: list[UUID] | None = None


class EventTextFilter(Strict):
    query: Annotated[str, Meta(max_length=200)]


class EventFilter(Strict):
    any_resource: EventAnyResourceFilter | list[EventAnyResourceFilter] | None = None
    event: EventNameFilter | None = None
    id: EventIdFilter = field(default_factory=EventIdFilter)
    occurred: EventOccurredFilter = field(default_factory=EventOccurredFilter)
    order: EventOrder = EventOrder.DESC
    related: EventRelatedFilter | list[EventRelatedFilter] | None = None
    resource: EventResourceFilter | None = None
    text: EventTextFilter | None = None


class EventsFilterBody(Entity):
    filter: EventFilter | None = None
    limit: Annotated[int, Meta(ge=0, le=50)] = 50


class EventPage(Entity):
    events: list[ReceivedEvent]
    next_page: str | None
    total: int


class EventsCountBody(Entity):
    filter: EventFilter
    time_unit: TimeUnit = TimeUnit.DAY
    time_interval: Annotated[float, Meta(ge=0.01)] = 1.0


class EventCount(Entity):
    count: int
    end_time: datetime
    label: str
    start_time: datetime
    value: str
