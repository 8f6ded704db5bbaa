"""Recurrence rules (RFC 5545): RRULE with RDATE, EXDATE, EXRULE, UNTIL and COUNT.

DTSTART and all dates of a rule are wall time in the schedule's zone, expanded as such and turned
into instants one by one, so a rule keeps its time of day through clock changes.

Expansion is bounded: a rule without COUNT starts near where the search starts instead of at
DTSTART, in whole steps of its interval, and looks at most `HORIZON` ahead. A rule that matches no
day within the horizon has no dates.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from dateutil.rrule import (
    DAILY,
    HOURLY,
    MINUTELY,
    SECONDLY,
    WEEKLY,
    rrule,
    rruleset,
    rrulestr,
)

from penstock.server.domain.schedules.wall import instant, wall

LONGEST = 6500
HORIZON = timedelta(days=3660)
DEFAULT_START = datetime(2020, 1, 1)  # noqa: DTZ001 - wall time
STEPS = {
    SECONDLY: timedelta(seconds=1),
    MINUTELY: timedelta(minutes=1),
    HOURLY: timedelta(hours=1),
    DAILY: timedelta(days=1),
    WEEKLY: timedelta(weeks=1),
}
_UTC_DATE = re.compile(r"(?<=[=:,])(\d{8}T\d{6})Z")


class RRuleInvalid(ValueError):
    """A recurrence rule that cannot be read."""


def parse(text: str, zone: ZoneInfo) -> rrule | rruleset:
    """The rule in wall time. Raises `RRuleInvalid`."""
    if len(text) > LONGEST:
        raise RRuleInvalid(f"the rrule has {len(text)} characters; at most {LONGEST} are taken")
    local = _UTC_DATE.sub(lambda found: _local(found[1], zone), text)
    local = re.sub(r"DTSTART;TZID=[^:]+:", "DTSTART:", local)
    try:
        return rrulestr(local, dtstart=DEFAULT_START)
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        raise RRuleInvalid(
            f"rrule {text[:80]!r} cannot be read: {error}; write it as in RFC 5545, for example "
            "RRULE:FREQ=DAILY;BYHOUR=9;BYMINUTE=0"
        ) from error


def check(text: str, zone: ZoneInfo) -> None:
    """Raise `RRuleInvalid` unless the rule can be read and happens at least once.

    Costs up to some seconds for a rule that never happens, a fraction of a millisecond otherwise.
    """
    rule = parse(text, zone)
    parts = [rule] if isinstance(rule, rrule) else rule._rrule  # pyright: ignore[reportAttributeAccessIssue]
    begins = [part._dtstart for part in parts]  # pyright: ignore[reportAttributeAccessIssue]
    begin = min(begins, default=DEFAULT_START)
    if next(iter(_bounded(rule, begin)), None) is None:
        raise RRuleInvalid(f"rrule {text[:80]!r} never happens; check its BY parts and its UNTIL")


def dates(text: str, zone: ZoneInfo, start: datetime) -> Iterator[datetime]:
    """Instants at or after `start`, in UTC, rising. Raises `RRuleInvalid`."""
    # A day early: the instant of a wall time may differ from it by the zone's offset.
    low = wall(start, zone) - timedelta(days=1)
    last: datetime | None = None
    for moment in _bounded(parse(text, zone), low):
        if moment < low:
            continue
        if moment > low + HORIZON:
            return
        result = instant(moment, zone)
        if result >= start and (last is None or result > last):
            yield result
            last = result


def _local(text: str, zone: ZoneInfo) -> str:
    moment = datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return wall(moment, zone).strftime("%Y%m%dT%H%M%S")


def _bounded(rule: rrule | rruleset, low: datetime) -> rrule | rruleset:
    """The same dates from `low` on, without walking through all that came before."""
    if isinstance(rule, rrule):
        return _near(rule, low) or rruleset()
    result = rruleset()
    for part in rule._rrule:  # pyright: ignore[reportAttributeAccessIssue]
        if near := _near(part, low):
            result.rrule(near)
    for part in rule._exrule:  # pyright: ignore[reportAttributeAccessIssue]
        if near := _near(part, low):
            result.exrule(near)
    for moment in rule._rdate:  # pyright: ignore[reportAttributeAccessIssue]
        result.rdate(moment)
    for moment in rule._exdate:  # pyright: ignore[reportAttributeAccessIssue]
        result.exdate(moment)
    return result


def _near(rule: rrule, low: datetime) -> rrule | None:
    """`rule` begun near `low` and ended at the horizon; None when no day in between matches."""
    frequency, interval = rule._freq, rule._interval  # pyright: ignore[reportAttributeAccessIssue]
    begin, until, count = rule._dtstart, rule._until, rule._count  # pyright: ignore[reportAttributeAccessIssue]
    if count is not None:
        return rule
    end = low + HORIZON if until is None else min(until, low + HORIZON)
    step = STEPS.get(frequency)
    if step is None:
        return rule.replace(until=end)
    if frequency in {SECONDLY, MINUTELY, HOURLY}:
        begin_of_day = max(begin, low).replace(hour=0, minute=0, second=0, microsecond=0)
        days = rule.replace(
            freq=DAILY,
            interval=1,
            dtstart=begin_of_day,
            until=end,
            byhour=0,
            byminute=0,
            bysecond=0,
        )
        day = next(iter(days), None)
        if day is None:
            return None
        low = max(low, day)
    if begin < low:
        begin += (low - begin) // (step * interval) * (step * interval)
    return rule.replace(dtstart=begin, until=end)
