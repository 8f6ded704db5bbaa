"""Schedules as they are sent: from whatever a user may give for one."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from msgspec import UNSET, convert

from penstock.schedules import Cron, Interval, RRule, Schedule
from penstock.schemas.deployments import DeploymentScheduleCreate, DeploymentScheduleUpdate
from penstock.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule

FlexibleScheduleList = Sequence[Any]
_SENT = (IntervalSchedule, CronSchedule, RRuleSchedule)


def create_deployment_schedule_create(
    schedule: Any, active: bool | None = True
) -> DeploymentScheduleCreate:
    """A schedule of any kind as one of a deployment."""
    if isinstance(schedule, Schedule):
        return DeploymentScheduleCreate(
            schedule=sent_schedule(schedule),
            active=schedule.active,
            parameters=dict(schedule.parameters),
            slug=schedule.slug,
        )
    return DeploymentScheduleCreate(schedule=schedule, active=bool(active))


def sent_schedule(schedule: Schedule) -> Any:
    """The schedule in the shape of the API."""
    if schedule.interval is not None:
        return IntervalSchedule(
            interval=schedule.interval.total_seconds(),
            anchor_date=schedule.anchor_date,
            timezone=schedule.timezone,
        )
    if schedule.cron is not None:
        return CronSchedule(cron=schedule.cron, timezone=schedule.timezone, day_or=schedule.day_or)
    assert schedule.rrule is not None
    return RRuleSchedule(rrule=schedule.rrule, timezone=schedule.timezone)


def normalize_to_deployment_schedule(
    schedules: FlexibleScheduleList | None,
) -> list[DeploymentScheduleCreate | DeploymentScheduleUpdate]:
    """Schedules, mappings and structs of the API as schedules of a deployment.

    Raises `ValueError` for anything else.
    """
    return [_normal(one) for one in schedules or ()]


def _normal(one: Any) -> DeploymentScheduleCreate | DeploymentScheduleUpdate:
    if isinstance(one, (DeploymentScheduleCreate, DeploymentScheduleUpdate)):
        return one
    if isinstance(one, (Schedule, *_SENT)):
        return create_deployment_schedule_create(one)
    if isinstance(one, Mapping):
        if "schedule" in one:
            inner = one["schedule"]
            given = {**one, "schedule": UNSET}
            if isinstance(inner, Schedule):
                inner = sent_schedule(inner)
            del given["schedule"]
            return DeploymentScheduleCreate(schedule=inner, **given)
        return convert({"schedule": dict(one)}, DeploymentScheduleCreate, strict=False)
    raise ValueError(
        f"{one!r} is no schedule; give Cron(...), Interval(...) or RRule(...) of penstock.schedules"
    )


def chosen_schedules(
    *,
    interval: Iterable[float | timedelta] | float | timedelta | None = None,
    cron: Iterable[str] | str | None = None,
    rrule: Iterable[str] | str | None = None,
    schedule: Any = None,
    schedules: FlexibleScheduleList | None = None,
) -> list[DeploymentScheduleCreate | DeploymentScheduleUpdate] | None:
    """The schedules that these arguments name; None when none is given.

    `interval`, `cron` and `rrule` may be one or several. Raises `ValueError` when more than one
    argument is given, because then nobody knows which one is meant.
    """
    arguments = {
        "interval": interval,
        "cron": cron,
        "rrule": rrule,
        "schedule": schedule,
        "schedules": schedules,
    }
    given = [name for name, value in arguments.items() if value is not None]
    if len(given) > 1:
        raise ValueError(
            f"give exactly one of interval, cron, rrule, schedule and schedules, not "
            f"{' and '.join(given)}"
        )
    if not given:
        return None
    if schedules is not None:
        return normalize_to_deployment_schedule(schedules)
    if schedule is not None:
        return normalize_to_deployment_schedule([schedule])
    if interval is not None:
        intervals = [interval] if isinstance(interval, (int, float, timedelta)) else interval
        return normalize_to_deployment_schedule([Interval(one) for one in intervals])
    if cron is not None:
        return normalize_to_deployment_schedule(
            [Cron(one) for one in ([cron] if isinstance(cron, str) else cron)]
        )
    assert rrule is not None
    return normalize_to_deployment_schedule(
        [RRule(one) for one in ([rrule] if isinstance(rrule, str) else rrule)]
    )
