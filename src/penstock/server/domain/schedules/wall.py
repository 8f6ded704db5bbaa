"""Wall time and instants.

A wall time is a naive datetime, what a clock on the wall of a zone shows. Once a year in many
zones an hour of wall time does not exist (the gap) or exists twice (the fold). The rule, the same
for every kind of schedule: a time inside the gap means the first instant after the gap, a time
inside the fold means its first occurrence.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The instant, in UTC, that `wall` means in `zone`."""
    early = wall.replace(tzinfo=zone, fold=0)
    result = early.astimezone(UTC)
    if result.astimezone(zone).replace(tzinfo=None) == wall:
        return result
    # In the gap. The offset before it (fold 0) carries the wall time past the gap by as much as
    # the wall time lies inside it; the gap's end is where the two offsets meet.
    before = early.utcoffset() or timedelta()
    after = wall.replace(tzinfo=zone, fold=1).utcoffset() or timedelta()
    return _gap_end(result - (before - after if before > after else after - before), result, zone)


def _gap_end(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """The first instant in (low, high] with the offset that holds at `high`."""
    offset = high.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle <= low:
            break
        if middle.astimezone(zone).utcoffset() == offset:
            high = middle
        else:
            low = middle
    return high


def wall(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the clock of `zone` shows at an instant."""
    return moment.astimezone(zone).replace(tzinfo=None)
