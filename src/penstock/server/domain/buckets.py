"""Cutting a stretch of time into equal intervals, for counts of events over time."""

from datetime import UTC, datetime, timedelta

from penstock.schemas.events import TimeUnit

PIVOT = datetime(2024, 4, 1, tzinfo=UTC)
"""Every interval is a whole number of its length away from this Monday."""
MAXIMUM_BUCKETS = 1_000

_UNITS = {
    TimeUnit.WEEK: timedelta(weeks=1),
    TimeUnit.DAY: timedelta(days=1),
    TimeUnit.HOUR: timedelta(hours=1),
    TimeUnit.MINUTE: timedelta(minutes=1),
    TimeUnit.SECOND: timedelta(seconds=1),
}
_MICROSECOND = timedelta(microseconds=1)


class TooMany(ValueError):
    """The stretch cannot be cut so; the message says why and what to change."""


def step(unit: TimeUnit, interval: float) -> timedelta:
    """The length of `interval` units. Raises `TooMany` beyond the range of time."""
    try:
        return _UNITS[unit] * interval
    except OverflowError:
        raise TooMany(f"{interval} {unit.value}s are longer than time; shorten them") from None


def align(instant: datetime, length: timedelta) -> datetime:
    """The start of the interval of that length which holds `instant`."""
    return PIVOT + (instant - PIVOT) // length * length


def starts(
    since: datetime, until: datetime, now: datetime, unit: TimeUnit, length: timedelta
) -> list[datetime]:
    """The starts of the intervals that cover `since` to `until`, at most 1000 of them.

    When `until` lies in the future the last interval is the one that holds the end of the present
    unit, so that a chart does not trail into empty time. Raises `TooMany` above the bound.
    """
    try:
        if until > now:
            one = _UNITS[unit]
            until = min(until, align(now, one) + one - _MICROSECOND)
        first = align(since, length)
        amount = max((until - first) // length + 1, 0) if since <= until else 0
        # Computed here, because the end of the last interval must be a time, too.
        end = first + length * amount
    except OverflowError:
        raise TooMany("the intervals reach beyond the years 1 to 9999; shorten them") from None
    if amount > MAXIMUM_BUCKETS:
        raise TooMany(
            f"the time up to {end:%Y-%m-%d} holds {amount} intervals and the limit is "
            f"{MAXIMUM_BUCKETS}; shorten the range or lengthen the interval"
        )
    return [first + length * index for index in range(amount)]
