"""Firings of automations: why they happened, and what came of them. Beyond the contract."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, field

from penstock.schemas.shapes import Entity, Strict

Page = Annotated[int, Meta(ge=1, le=200)]


class FiringEvent(Entity):
    """An event that made an automation fire."""

    id: UUID
    event: str
    occurred: datetime
    resource_id: str


class ActionRun(Entity):
    """One action of a firing. `status` is waiting, executed, failed, dead or discarded."""

    firing_id: UUID
    position: int
    type: str
    status: str
    attempts: int
    reason: str | None = None
    details: dict[str, Any] | None = None
    flow_run_id: UUID | None = None
    due: datetime | None = None
    finished: datetime | None = None
    automation_id: UUID | None = None
    automation_name: str | None = None


class AutomationFiring(Entity):
    """One firing, with the events that caused it and its actions."""

    id: UUID
    automation_id: UUID
    automation_name: str
    trigger_id: UUID
    fired: datetime
    labels: dict[str, str] = field(default_factory=dict)
    suppressed: bool = False
    """Stopped because the automation fired too often because of itself."""
    events: list[FiringEvent] = field(default_factory=list)
    """The one that completed the trigger is the last. Events that are deleted are left out."""
    actions: list[ActionRun] = field(default_factory=list)


class FiringsBody(Strict):
    limit: Page = 50
    offset: Annotated[int, Meta(ge=0)] = 0


class DeadActionsBody(Strict):
    limit: Page = 50
    offset: Annotated[int, Meta(ge=0)] = 0


class AutomationTestBody(Strict):
    """Which stored events to play through an automation."""

    since: datetime
    until: datetime | None = None
    limit: Page = 50
    """Most firings to be told."""


class TestedFiring(Entity):
    """When the automation would have fired, because of which events."""

    at: datetime
    labels: dict[str, str] = field(default_factory=dict)
    events: list[FiringEvent] = field(default_factory=list)


class AutomationTestResult(Entity):
    """What would have happened. Nothing was done."""

    events: int
    """Stored events that were looked at."""
    firings: list[TestedFiring]
    actions: list[str]
    """Types of the actions that each firing would have begun, in order."""
    truncated: bool = False
    """Whether there would have been more firings than were asked for, or there are more events
    than one request looks at."""
