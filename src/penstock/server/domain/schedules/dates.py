"""Which dates a schedule has.

The result depends on the schedule and the start only, never on the machine's zone or clock.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from penstock.schemas.errors import RequestInvalid
from penstock.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from penstock.server.domain.schedules import cron, interval, rrule

Schedule = IntervalSchedule | CronSchedule | RRuleSchedule
CANDIDATES = 1000
"""The most dates one call looks at."""


def zone_of(name: str | None) -> ZoneInfo:
    """The zone of an IANA name, UTC for none. Raises `RequestInvalid`."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise RequestInvalid(
            f"{name!r} is not a time zone; give an IANA name such as Europe/Berlin"
        ) from error


def dates_from(schedule: Schedule, start: datetime) -> Iterator[datetime]:
    """The instants (UTC, rising) of a schedule from `start`, which is aware, on; maybe endless.

    Raises `RequestInvalid`, at the latest where the first date is asked for, for a schedule that
    cannot be used.
    """
    zone = zone_of(schedule.timezone)
    try:
        match schedule:
            case IntervalSchedule():
                step = timedelta(seconds=schedule.interval)
                yield from interval.dates(step, _anchor(schedule, start), zone, start)
            case CronSchedule():
                yield from cron.dates(schedule.cron, schedule.day_or, zone, start)
            case RRuleSchedule():
                yield from rrule.dates(schedule.rrule, zone, start)
    except (cron.CronInvalid, rrule.RRuleInvalid) as error:
        raise RequestInvalid(str(error)) from error


def next_dates(
    schedule: Schedule, start: datetime, count: int, until: datetime | None = None
) -> list[datetime]:
    """At most `count` instants (UTC, rising) from `start` to `until`, both included.

    `start` and `until` are aware. Raises `RequestInvalid` for a schedule that cannot be used.
    """
    bounded = islice(dates_from(schedule, start), min(count, CANDIDATES))
    return list(takewhile(lambda moment: until is None or moment <= until, bounded))


def _anchor(schedule: IntervalSchedule, start: datetime) -> datetime:
    anchor = schedule.anchor_date
    if not isinstance(anchor, datetime):
        return start
    return anchor if anchor.tzinfo is not None else anchor.replace(tzinfo=UTC)


def check(schedule: Schedule) -> None:
    """Raise `RequestInvalid` unless the schedule can be evaluated."""
    zone = zone_of(schedule.timezone)
    try:
        match schedule:
            case IntervalSchedule():
                if schedule.interval <= 0:
                    raise RequestInvalid(
                        f"a schedule's interval must be positive, not {schedule.interval} seconds"
                    )
            case CronSchedule():
                cron.check(schedule.cron)
            case RRuleSchedule():
                rrule.check(schedule.rrule, zone)
    except (cron.CronInvalid, rrule.RRuleInvalid) as error:
        raise RequestInvalid(str(error)) from error
