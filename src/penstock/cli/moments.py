"""Moments and durations as people write them on a command line."""

import re
from datetime import datetime, time, timedelta

from penstock.cli.output import Failure

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PART = re.compile(r"(?P<count>\d+(?:\.\d+)?)\s*(?P<unit>[a-z]+)")
_NAMES = {
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "min": "m",
    "mins": "m",
    "minute": "m",
    "minutes": "m",
    "hr": "h",
    "hrs": "h",
    "hour": "h",
    "hours": "h",
    "day": "d",
    "days": "d",
    "week": "w",
    "weeks": "w",
    **{letter: letter for letter in _UNITS},
}
_CLOCK = re.compile(r"(\d{1,2})(?::(\d{2}))?(?::(\d{2}))?\s*(am|pm)?")


def duration(text: str) -> timedelta:
    """A duration such as `90 seconds`, `1h 30m` or `2 days and 4 hours`. Raises `Failure`."""
    plain = text.strip().lower().removeprefix("in ").replace(",", " ").replace(" and ", " ")
    plain = re.sub(r"\b(an|a)\b", "1", plain)
    total, end = timedelta(), 0
    for part in _PART.finditer(plain):
        unit = _NAMES.get(part["unit"])
        if unit is None or plain[end : part.start()].strip():
            break
        total += timedelta(**{_UNITS[unit]: float(part["count"])})
        end = part.end()
    if not end or plain[end:].strip():
        raise Failure(f"{text!r} is no duration; write for example '90 seconds' or '1h 30m'")
    return total


def moment(text: str, now: datetime) -> datetime:
    """A moment: ISO 8601, a time of day (the next one), `tomorrow at 9am`, or `in 10 minutes`.

    Without an offset it is local time, that of `now`, which is aware. Raises `Failure`.
    """
    plain = text.strip().lower()
    if plain == "now":
        return now
    if plain.startswith("in "):
        return now + duration(plain)
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return _spoken(plain, text, now)
    return found if found.tzinfo is not None else found.replace(tzinfo=now.tzinfo)


def _spoken(plain: str, text: str, now: datetime) -> datetime:
    day = now.date()
    words = plain.replace(" at ", " ").removeprefix("at ").split(None, 1)
    named = words[0] if words and words[0] in ("today", "tomorrow") else None
    if named is not None:
        day += timedelta(days=named == "tomorrow")
        plain = words[1] if len(words) > 1 else "00:00"
    clock = _time(plain.removeprefix("at ").strip())
    if clock is None:
        raise Failure(
            f"{text!r} is no moment; write for example '2026-01-31 09:00', '9am', "
            "'tomorrow at 9:30' or 'in 10 minutes'"
        )
    found = datetime.combine(day, clock, now.tzinfo)
    return found + timedelta(days=1) if named is None and found <= now else found


def _time(text: str) -> time | None:
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    hour, minute, second = (int(part or 0) for part in found.groups()[:3])
    if found[4] is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found[4] == "pm" else 0)
    try:
        return time(hour, minute, second)
    except ValueError:
        return None


def past(text: str, now: datetime) -> datetime:
    """A moment, or a duration before now: `2h`, `30 minutes ago`. Raises `Failure`."""
    plain = text.strip().lower().removesuffix("ago").strip()
    try:
        return now - duration(plain)
    except Failure:
        return moment(text, now)
