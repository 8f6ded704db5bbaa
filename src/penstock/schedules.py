"""Schedules as values: `Cron`, `Interval` and `RRule`, for `flow.serve`, `deploy` and the like."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from penstock.base.clock import utc_now


@dataclass(frozen=True)
class Schedule:
    """When a deployment runs. Exactly one of `interval`, `cron` and `rrule` is given.

    `parameters` are those of the runs it makes, on top of the deployment's; `slug` names it, so
    that a later deployment changes this schedule instead of making another one.
    """

    interval: timedelta | None = None
    cron: str | None = None
    rrule: str | None = None
    timezone: str | None = None
    anchor_date: datetime = field(default_factory=utc_now)
    day_or: bool = True
    active: bool = True
    parameters: dict[str, Any] = field(default_factory=dict)
    slug: str | None = None

    def __post_init__(self) -> None:
        given = [kind for kind in ("interval", "cron", "rrule") if getattr(self, kind) is not None]
        if len(given) != 1:
            what = " and ".join(given) if given else "none of them"
            raise ValueError(
                f"a schedule has exactly one of interval, cron and rrule; this one has {what}"
            )
        if self.interval is not None and self.interval <= timedelta(0):
            raise ValueError(f"the interval of a schedule is longer than 0, not {self.interval}")


def Cron(
    cron: str,
    /,
    timezone: str | None = None,
    day_or: bool = True,
    active: bool = True,
    parameters: Mapping[str, Any] | None = None,
    slug: str | None = None,
) -> Schedule:
    """At the times that a cron expression names, in `timezone`.

    Without `day_or`, day of month and day of week must both match where both are given.
    """
    return Schedule(
        cron=cron,
        timezone=timezone,
        day_or=day_or,
        active=active,
        parameters=dict(parameters or {}),
        slug=slug,
    )


def Interval(
    interval: timedelta | float,
    /,
    anchor_date: datetime | None = None,
    timezone: str | None = None,
    active: bool = True,
    parameters: Mapping[str, Any] | None = None,
    slug: str | None = None,
) -> Schedule:
    """Every `interval` (seconds when it is a number), counted from `anchor_date` (now)."""
    every = interval if isinstance(interval, timedelta) else timedelta(seconds=interval)
    return Schedule(
        interval=every,
        anchor_date=anchor_date or utc_now(),
        timezone=timezone,
        active=active,
        parameters=dict(parameters or {}),
        slug=slug,
    )


def RRule(
    rrule: str,
    /,
    timezone: str | None = None,
    active: bool = True,
    parameters: Mapping[str, Any] | None = None,
    slug: str | None = None,
) -> Schedule:
    """At the dates of an iCalendar recurrence rule."""
    return Schedule(
        rrule=rrule,
        timezone=timezone,
        active=active,
        parameters=dict(parameters or {}),
        slug=slug,
    )
