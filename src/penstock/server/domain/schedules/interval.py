"""Interval schedules: every so many seconds from an anchor.

Intervals of a day or more are counted in wall time of the zone, so "every day at nine" stays at
nine; shorter ones are counted in elapsed time, so "every hour" is every hour, also on the night
the clock is turned. Either way the dates depend on the anchor alone, not on where the search
starts.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from penstock.server.domain.schedules.wall import instant, wall

DAY = timedelta(days=1)


def dates(
    interval: timedelta, anchor: datetime, zone: ZoneInfo, start: datetime
) -> Iterator[datetime]:
    """Instants at or after `start`, in UTC, rising, without end.

    `interval` is positive; `anchor` and `start` are aware.
    """
    if interval >= DAY:
        yield from _by_wall_time(interval, wall(anchor, zone), zone, start)
    else:
        yield from _by_elapsed_time(interval, anchor.astimezone(UTC), start.astimezone(UTC))


def _by_elapsed_time(interval: timedelta, anchor: datetime, start: datetime) -> Iterator[datetime]:
    steps = -((anchor - start) // interval)
    while True:
        yield anchor + steps * interval
        steps += 1


def _by_wall_time(
    interval: timedelta, anchor: datetime, zone: ZoneInfo, start: datetime
) -> Iterator[datetime]:
    # One step early: a wall time before that of `start` can mean a later instant (in the gap).
    steps = (wall(start, zone) - anchor) // interval - 1
    while True:
        moment = instant(anchor + steps * interval, zone)
        if moment >= start:
            yield moment
        steps += 1
