"""Numbers, sizes and times as people say them: the filters that templates have for it."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_LARGE = (
    (10**12, "trillion"),
    (10**9, "billion"),
    (10**6, "million"),
    (10**3, "thousand"),
)
_METRIC = ("y", "z", "a", "f", "p", "n", "μ", "m", "", "k", "M", "G", "T", "P", "E", "Z", "Y")
_UNITS = (
    ("year", 365 * 86_400),
    ("month", 30.5 * 86_400),
    ("day", 86_400),
    ("hour", 3_600),
    ("minute", 60),
    ("second", 1),
)


def ordinal(value: Any) -> str:
    number = int(value)
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{('th', 'st', 'nd', 'rd')[number % 10] if number % 10 < 4 else 'th'}"


def apnumber(value: Any) -> str:
    number = int(value)
    return _WORDS[number] if 0 <= number < 10 else str(number)


def intcomma(value: Any, ndigits: int | None = None) -> str:
    number = float(value) if "." in str(value) else int(value)
    return f"{number:,}" if ndigits is None else f"{float(number):,.{min(int(ndigits), 20)}f}"


def intword(value: Any, format: str = "%.1f") -> str:
    number = int(value)
    for size, name in _LARGE:
        if abs(number) >= size:
            return f"{number / size:.1f} {name}"
    return str(number)


def fractional(value: Any) -> str:
    number = Fraction(float(value)).limit_denominator(1000)
    whole, rest = divmod(number.numerator, number.denominator)
    if not rest:
        return str(whole)
    part = f"{rest}/{number.denominator}"
    return f"{whole} {part}" if whole else part


def scientific(value: Any, precision: int = 2) -> str:
    mantissa, _, exponent = f"{float(value):.{min(int(precision), 20)}e}".partition("e")
    digits = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa} x 10{digits}"


def metric(value: Any, unit: str = "", precision: int = 3) -> str:
    number = float(value)
    power = math.floor(math.log10(abs(number)) / 3) if number else 0
    power = max(-8, min(8, power))
    scaled = number / 1000**power
    digits = len(str(int(abs(scaled))))
    text = f"{scaled:.{max(0, min(int(precision), 20) - digits)}f}"
    prefix = f"{_METRIC[power + 8]}{unit}"
    return f"{text} {prefix}" if prefix else text


def clamp(value: Any, floor: float | None = None, ceil: float | None = None) -> str:
    number = float(value)
    if floor is not None and number < floor:
        return f"<{floor:g}"
    if ceil is not None and number > ceil:
        return f">{ceil:g}"
    return f"{number:g}"


def naturalsize(value: Any, binary: bool = False, gnu: bool = False) -> str:
    number, base = float(value), 1024 if binary or gnu else 1000
    if abs(number) < base:
        return f"{int(number)}B" if gnu else f"{int(number)} Byte{'' if abs(number) == 1 else 's'}"
    power = min(int(math.log(abs(number), base)), 8)
    name = "kMGTPEZY"[power - 1]
    scaled = f"{number / base**power:.1f}"
    if gnu:
        return f"{scaled}{name.upper()}"
    return f"{scaled} {f'{name.upper()}iB' if binary else f'{name}B'}"


def gnusize(value: Any) -> str:
    return naturalsize(value, gnu=True)


def _span(value: Any) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(seconds=float(value))


def naturaldelta(value: Any) -> str:
    seconds = abs(_span(value).total_seconds())
    for name, length in _UNITS:
        if seconds >= length:
            amount = int(seconds // length)
            article = "an" if name == "hour" else "a"
            return f"{article} {name}" if amount == 1 else f"{amount} {name}s"
    return "a moment"


def precisedelta(value: Any) -> str:
    seconds, parts = abs(_span(value).total_seconds()), []
    for name, length in _UNITS[:-1]:
        amount = int(seconds // length)
        seconds -= amount * length
        if amount:
            parts.append(f"{amount} {name}{'' if amount == 1 else 's'}")
    if seconds or not parts:
        parts.append(
            f"{seconds:.2f}".rstrip("0").rstrip(".") + f" second{'' if seconds == 1 else 's'}"
        )
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _instant(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _day(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    return _instant(value).date()


def filters(now: datetime) -> dict[str, Callable[..., Any]]:
    """All filters by name; times are told from `now`."""

    def naturaltime(value: Any) -> str:
        is_span = isinstance(value, timedelta | int | float)
        past = _span(value) if is_span else now - _instant(value)
        if abs(past.total_seconds()) < 1:
            return "now"
        told = naturaldelta(past)
        return f"{told} ago" if past.total_seconds() > 0 else f"{told} from now"

    def naturalday(value: Any) -> str:
        day = _day(value)
        known = {0: "today", 1: "tomorrow", -1: "yesterday"}
        return known.get((day - now.date()).days) or f"{day:%b %d}"

    def naturaldate(value: Any) -> str:
        day = _day(value)
        near = abs((day - now.date()).days) < 5 * 365 / 12
        return naturalday(day) if near else f"{day:%b %d %Y}"

    plain: tuple[Callable[..., Any], ...] = (
        apnumber,
        clamp,
        fractional,
        gnusize,
        intcomma,
        intword,
        metric,
        naturaldelta,
        naturalsize,
        ordinal,
        precisedelta,
        scientific,
        naturaltime,
        naturalday,
        naturaldate,
    )
    return {f"humanize_{one.__name__}": one for one in plain}
