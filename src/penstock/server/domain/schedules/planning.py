"""Which runs of a schedule to make now, and when to look at it again.

A schedule is planned ahead: at least so many runs, at least so far, at most so many and at most
so far. Its cursor is the last date a run was made for; planning goes on behind it, so that every
date is planned once however often and wherever it is asked for. Dates that passed while nobody
planned come first, in slices.

A schedule is due again when what is planned ahead has shrunk enough, not at each of its dates: one
with a run every minute is looked at every few minutes, and many of them not all at once.
"""

from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from penstock.server.domain.schedules.dates import Schedule, dates_from

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""When a schedule is due that makes no more runs as it is."""
_TICK = timedelta(microseconds=1)
_COUNTED = 10
"""Planned dates to come that are counted; counting all of them costs as much as planning."""


class Horizon(Struct, frozen=True, kw_only=True):
    """How far ahead runs are planned. Durations are seconds."""

    min_runs: int = 3
    max_runs: int = 100
    min_seconds: float = 3_600.0
    max_seconds: float = 100 * 86_400.0
    slack: float = 0.05
    """The part of `min_seconds` that may at most be used up before a schedule is due again."""
    end: datetime | None = None
    """No date behind this one is planned."""
    first_seconds: float | None = None
    """How far ahead a new schedule is planned at first, so that many of them are made quickly;
    the rest follows within a minute. None: all at once."""

    def at_first(self) -> "Horizon":
        """The horizon for a schedule that has no planned date yet."""
        if self.first_seconds is None:
            return self
        return replace(self, min_seconds=min(self.first_seconds, self.min_seconds))


class Plan(Struct, frozen=True):
    """Dates to make runs for, in order, and when to look at the schedule again."""

    dates: list[datetime]
    due: datetime


class Dates:
    """The dates of one schedule from a start on, each worked out once, for many who ask.

    Deployments often have equal schedules; asking again costs a search in a list.
    """

    def __init__(self, schedule: Schedule, start: datetime) -> None:
        self._start = start
        self._known: list[datetime] = []
        self._rest = dates_from(schedule, start)

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The dates behind `moment`, which is not before the start."""
        index = bisect_left(self._known, moment + _TICK)
        while True:
            if index >= len(self._known):
                found = next(self._rest, None)
                if found is None:
                    return
                self._known.append(found)
            found = self._known[index]
            index += 1
            if found > moment:
                yield found


def plan(
    dates: Dates, cursor: datetime, now: datetime, horizon: Horizon, share: float = 1.0
) -> Plan:
    """What to plan of a schedule whose last planned date is `cursor`.

    `share`, from 0 to 1 and different from schedule to schedule, is how much of the horizon's
    slack it uses, so that equal schedules are due at different times.

    Raises `RequestInvalid` when the schedule cannot be evaluated.
    """
    counted = max(horizon.min_runs, _COUNTED)
    ahead = list(islice(_until(dates.after(now), cursor), counted))
    # Where more are ahead than were counted, they are half of the most at the time it is due.
    taken = len(ahead) if len(ahead) < counted else horizon.max_runs // 2
    most = max(horizon.max_runs - taken, 1)
    enough = now + timedelta(seconds=horizon.min_seconds)
    limit = now + timedelta(seconds=horizon.max_seconds)
    found: list[datetime] = []
    future = list(ahead)
    reached = cursor
    for date in dates.after(cursor):
        if len(future) >= horizon.min_runs and reached >= enough:
            return Plan(found, _shrunk(future, now, horizon, share))
        if horizon.end is not None and date > horizon.end:
            return Plan(found, NEVER)
        if date > limit:
            return Plan(found, date - timedelta(seconds=horizon.max_seconds))
        if len(found) >= most:
            return Plan(found, now if date <= now else found[len(found) // 2])
        found.append(date)
        reached = date
        if date > now:
            future.append(date)
    return Plan(found, NEVER)


def _until(dates: Iterator[datetime], last: datetime) -> Iterator[datetime]:
    for date in dates:
        if date > last:
            return
        yield date


def _shrunk(future: list[datetime], now: datetime, horizon: Horizon, share: float) -> datetime:
    """When fewer than enough runs, or runs for less than enough time, will be ahead."""
    reach = horizon.min_seconds * (1 - horizon.slack * share)
    by_time = future[-1] - timedelta(seconds=reach)
    by_count = future[-horizon.min_runs] if horizon.min_runs else by_time
    return max(min(by_time, by_count), now + _TICK)
