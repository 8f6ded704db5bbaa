"""Cron schedules.

Five fields, or six with seconds last; names, ranges, steps, `L` and `#`; the `@` aliases. A fixed
time inside the gap of a clock change means the first instant after it, a fixed time inside the
fold happens once, a repeating one (`*`, `*/30`) goes on through the fold in elapsed time: what
Debian's cron does.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class CronInvalid(ValueError):
    """A cron expression that cannot be read, or that never happens."""


def fields(expression: str) -> list[str]:
    """The fields in the order minute, hour, day, month, weekday and, where given, second.

    Raises `CronInvalid`.
    """
    text = ALIASES.get(expression.strip().lower(), expression)
    parts = text.split()
    if len(parts) not in {5, 6}:
        raise CronInvalid(
            f"cron expression {expression!r} has {len(parts)} fields; give five, or six with "
            "seconds last, or one of " + ", ".join(sorted(ALIASES))
        )
    return parts


def check(expression: str) -> None:
    """Raise `CronInvalid` unless the expression can be read and happens at least once."""
    _simulate(fields(expression), expression, datetime(2024, 1, 1, tzinfo=UTC))


def dates(expression: str, day_or: bool, zone: ZoneInfo, start: datetime) -> Iterator[datetime]:
    """Instants at or after `start`, in UTC, rising.

    With `day_or` false a day must satisfy both the day field and the weekday field. Raises
    `CronInvalid`.
    """
    parts = fields(expression)
    # The library yields dates strictly after its start, which is a whole second.
    before = datetime.fromtimestamp(start.timestamp() // 1 - (start.microsecond == 0), UTC)
    before = before.astimezone(zone)
    both = not day_or and parts[2] != "*" and parts[4] != "*"
    if not both:
        yield from _upwards(_simulate(parts, expression, before), start)
        return
    by_day = _simulate([*parts[:4], "*", *parts[5:]], expression, before)
    for moment in _upwards(by_day, start):
        if _on_weekday(moment.astimezone(zone), parts[4], expression):
            yield moment


def _on_weekday(moment: datetime, weekday: str, expression: str) -> bool:
    """Whether the day of `moment` satisfies the weekday field alone."""
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    eve = datetime.fromtimestamp(midnight.replace(tzinfo=UTC).timestamp() - 1, UTC)
    first = next(iter(_simulate(["0", "0", "*", "*", weekday], expression, eve)))
    return first.date() == midnight.date()


def _upwards(found: CronSim, start: datetime) -> Iterator[datetime]:
    last: datetime | None = None
    for moment in found:
        result = moment.astimezone(UTC)
        if result >= start and (last is None or result > last):
            yield result
            last = result


def _simulate(parts: list[str], expression: str, start: datetime) -> CronSim:
    # The library takes seconds first.
    ordered = [parts[5], *parts[:5]] if len(parts) == 6 else parts
    try:
        return CronSim(" ".join(ordered), start)
    except CronSimError as error:
        raise CronInvalid(
            f"cron expression {expression!r} cannot be used: {str(error).lower()}; "
            "fields are minute, hour, day, month, weekday and optionally second"
        ) from error
