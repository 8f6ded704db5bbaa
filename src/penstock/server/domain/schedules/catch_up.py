"""What becomes of dates that passed while nobody planned.

Each schedule says which of its missed dates still get a run: all of them, the latest alone, or
those that are no older than so many seconds. It is decided as the place behind which planning goes
on; from there it is as without downtime.
"""

from datetime import datetime, timedelta

from penstock.server.domain.schedules.dates import Schedule, dates_from

ALL = "all"
LATEST = "latest"
_TICK = timedelta(microseconds=1)
_FIRST_LOOK = timedelta(hours=1)


def resumed(schedule: Schedule, cursor: datetime, now: datetime, policy: str | float) -> datetime:
    """Where planning of a schedule goes on whose last planned date is `cursor`.

    `policy` is "all", "latest", or the age in seconds up to which a missed date is made up for.
    Never before `cursor`, so that no date gets a second run. Raises `RequestInvalid` when the
    schedule cannot be evaluated.
    """
    if policy == ALL or cursor >= now:
        return cursor
    if policy == LATEST:
        latest = _latest(schedule, cursor, now)
        return cursor if latest is None else latest - _TICK
    oldest = now - timedelta(seconds=min(float(policy), (now - cursor).total_seconds()))
    return max(cursor, oldest - _TICK)


def _latest(schedule: Schedule, cursor: datetime, now: datetime) -> datetime | None:
    """The last date behind `cursor` up to `now`, looked for from the new end: however long nobody
    planned, it costs a few short looks."""
    reach = _FIRST_LOOK
    while True:
        start = max(cursor + _TICK, now - reach)
        found = None
        for date in dates_from(schedule, start):
            if date > now:
                break
            found = date
        if found is not None or start <= cursor + _TICK:
            return found
        reach *= 4
