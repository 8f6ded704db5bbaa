"""The types a setting can have.

A kind turns what a source gives (text from the environment, a TOML value, a Python value) into
the setting's value, and a value back into text that parses to the same value. `parse` raises
`ValueError` for anything it does not take; `allowed` says in words what it takes.

Values are immutable: sets are frozensets, lists are tuples, mappings are read-only views.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from penstock.settings.secret import Secret


class Kind:
    """One type of settings."""

    allowed = "any value"
    type_name = "any"
    takes_empty = False
    """Whether empty text from the environment is a value; else it leaves the setting unset."""

    def __init__(self, *, optional: bool = False) -> None:
        self.optional = optional

    def parse(self, raw: Any) -> Any:
        """The value `raw` means. Raises `ValueError` when it means none."""
        if raw is None or (isinstance(raw, str) and not raw.strip()):
            if self.optional:
                return None
            if raw is None:
                raise ValueError("it has no value")
        return self.convert(raw)

    def convert(self, raw: Any) -> Any:
        return raw

    def render(self, value: Any) -> str:
        """`value` as text; `parse(render(value)) == value`."""
        return "" if value is None else self.text(value)

    def text(self, value: Any) -> str:
        return str(value)

    @property
    def description(self) -> str:
        """What is allowed, in words for messages and reference."""
        return f"{self.allowed}, or nothing" if self.optional else self.allowed


class Anything(Kind):
    """Whatever the source gives, unchanged."""


class Text(Kind):
    allowed = "a text"
    type_name = "text"

    def convert(self, raw: Any) -> str:
        if isinstance(raw, bool) or not isinstance(raw, str | int | float | Path):
            raise ValueError("it is not a text")
        return str(raw)


class SecretText(Kind):
    allowed = "a text"
    type_name = "secret text"

    def convert(self, raw: Any) -> Secret:
        if isinstance(raw, Secret):
            return raw
        if isinstance(raw, bool) or not isinstance(raw, str | int):
            raise ValueError("it is not a text")
        return Secret(str(raw))

    def text(self, value: Secret) -> str:
        return value.get_secret_value()


class FilePath(Kind):
    allowed = "a path"
    type_name = "path"

    def convert(self, raw: Any) -> Path:
        if not isinstance(raw, str | Path) or not str(raw).strip():
            raise ValueError("it is not a path")
        return Path(raw).expanduser()


_TRUE = frozenset(("true", "1", "yes", "on", "t", "y"))
_FALSE = frozenset(("false", "0", "no", "off", "f", "n"))


class Boolean(Kind):
    allowed = "true or false (also 1/0, yes/no, on/off)"
    type_name = "boolean"

    def convert(self, raw: Any) -> bool:
        word = str(raw).strip().lower()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        raise ValueError("it is neither true nor false")

    def text(self, value: bool) -> str:
        return "true" if value else "false"


class Bounds:
    """An interval of numbers, open or closed below, closed above."""

    def __init__(self, ge: float | None, gt: float | None, le: float | None) -> None:
        self.ge, self.gt, self.le = ge, gt, le

    def words(self) -> str:
        below = f" of at least {self.ge}" if self.ge is not None else ""
        above = f" and at most {self.le}" if self.le is not None else ""
        return (f" greater than {self.gt}" if self.gt is not None else below) + above

    def check(self, number: float) -> None:
        if self.ge is not None and not number >= self.ge:
            raise ValueError(f"it is less than {self.ge}")
        if self.gt is not None and not number > self.gt:
            raise ValueError(f"it is not greater than {self.gt}")
        if self.le is not None and not number <= self.le:
            raise ValueError(f"it is greater than {self.le}")


def _integer(raw: Any) -> int:
    if isinstance(raw, bool) or (isinstance(raw, float) and not raw.is_integer()):
        raise ValueError("it is not a whole number")
    try:
        return int(raw)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("it is not a whole number") from None


def _number(raw: Any) -> float:
    if isinstance(raw, bool):
        raise ValueError("it is not a number")
    try:
        number = float(raw)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("it is not a number") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError("it is not a finite number")
    return number


class Integer(Kind):
    type_name = "integer"

    def __init__(
        self,
        *,
        ge: int | None = None,
        gt: int | None = None,
        le: int | None = None,
        optional: bool = False,
    ) -> None:
        super().__init__(optional=optional)
        self._bounds = Bounds(ge, gt, le)
        self.allowed = "a whole number" + self._bounds.words()

    def convert(self, raw: Any) -> int:
        number = _integer(raw)
        self._bounds.check(number)
        return number


class Number(Kind):
    type_name = "number"

    def __init__(
        self,
        *,
        ge: float | None = None,
        gt: float | None = None,
        le: float | None = None,
        optional: bool = False,
    ) -> None:
        super().__init__(optional=optional)
        self._bounds = Bounds(ge, gt, le)
        self.allowed = "a number" + self._bounds.words()

    def convert(self, raw: Any) -> float:
        number = _number(raw)
        self._bounds.check(number)
        return number


class Choice(Kind):
    """One word of a closed list; case does not matter."""

    type_name = "choice"

    def __init__(self, *words: str, optional: bool = False) -> None:
        super().__init__(optional=optional)
        self._words = {word.lower(): word for word in words}
        self.words = words
        self.allowed = "one of " + ", ".join(words)

    def convert(self, raw: Any) -> str:
        word = self._words.get(str(raw).strip().lower())
        if word is None:
            raise ValueError("it is not in the list")
        return word


class Duration(Kind):
    """A span of time: seconds, `1d 2h 3m 4.5s`, `[days,] hh:mm:ss`, or ISO 8601 `P1DT2H`."""

    type_name = "duration"

    def __init__(self, *, gt: float | None = None, optional: bool = False) -> None:
        super().__init__(optional=optional)
        self._bounds = Bounds(None, gt, None)
        more = f" longer than {gt} seconds" if gt is not None else ""
        self.allowed = f"a duration{more}: seconds, 1d2h3m4s, hh:mm:ss or ISO 8601 such as PT15M"

    def convert(self, raw: Any) -> timedelta:
        span = raw if isinstance(raw, timedelta) else _span(raw)
        self._bounds.check(span.total_seconds())
        return span

    def text(self, value: timedelta) -> str:
        # Whole and microsecond parts are written apart, so that no binary fraction rounds them.
        sign, rest = ("-", -value) if value < timedelta() else ("", value)
        seconds = rest.days * 86_400 + rest.seconds
        fraction = f".{rest.microseconds:06d}".rstrip("0") if rest.microseconds else ""
        return f"{sign}{seconds}{fraction}"


_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}


def _span(raw: Any) -> timedelta:
    try:
        return _seconds(_number(raw) if not isinstance(raw, str) else raw)
    except (ValueError, OverflowError):
        raise ValueError("it is not a duration") from None


def _seconds(raw: float | str) -> timedelta:
    if not isinstance(raw, str):
        return timedelta(seconds=raw)
    word = raw.strip().lower()
    try:
        return _decimal(word)
    except ValueError:
        pass
    if ":" in word:
        return _clock(word)
    return _iso(word) if word.lstrip("+-").startswith("p") else _suffixed(word)


def _decimal(word: str) -> timedelta:
    whole, _, fraction = word.partition(".")
    if fraction.isdigit() and len(fraction) <= 6 and whole.lstrip("+-").isdigit():
        span = timedelta(seconds=int(whole.lstrip("+-")), microseconds=int(fraction.ljust(6, "0")))
        return -span if whole.startswith("-") else span
    return timedelta(seconds=_number(word))


def _clock(word: str) -> timedelta:
    before, _, clock = word.rpartition(" ")
    days = int(before.rstrip(",").removesuffix("s").removesuffix("day").strip()) if before else 0
    parts = [float(part) for part in clock.split(":")]
    if len(parts) > 3 or any(part < 0 for part in parts):
        raise ValueError
    hours, minutes, seconds = [*parts, 0.0][:3]
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _iso(word: str) -> timedelta:
    sign = -1 if word.startswith("-") else 1
    dates, _, times = word.lstrip("+-")[1:].partition("t")
    if not dates and not times:
        raise ValueError
    days = _suffixed(dates, "wd") if dates else timedelta()
    return sign * (days + (_suffixed(times, "hms") if times else timedelta()))


def _suffixed(word: str, units: str = "wdhms") -> timedelta:
    total, number, last = timedelta(), "", -1
    for letter in word.replace(" ", ""):
        if letter in units and number:
            if units.index(letter) <= last:
                raise ValueError
            last = units.index(letter)
            total += timedelta(seconds=float(number) * _UNITS[letter])
            number = ""
        else:
            number += letter
    if number or last < 0:
        raise ValueError
    return total


def _members(raw: Any) -> list[Any]:
    """The members of a list that may be written as comma-separated text."""
    if isinstance(raw, str):
        return [part.strip() for part in raw.split(",") if part.strip()]
    if isinstance(raw, Iterable) and not isinstance(raw, Mapping | bytes):
        return list(raw)
    return [raw]


class TextSet(Kind):
    allowed = "names separated by commas"
    type_name = "set of text"
    takes_empty = True

    def convert(self, raw: Any) -> frozenset[str]:
        return frozenset(str(member) for member in _members(raw))

    def text(self, value: frozenset[str]) -> str:
        return ",".join(sorted(value))


class TextList(Kind):
    allowed = "names separated by commas"
    type_name = "list of text"
    takes_empty = True

    def convert(self, raw: Any) -> tuple[str, ...]:
        return tuple(str(member) for member in _members(raw))

    def text(self, value: tuple[str, ...]) -> str:
        return ",".join(value)


class StatusCodes(Kind):
    allowed = "HTTP status codes (100 to 599) separated by commas"
    type_name = "set of integer"
    takes_empty = True

    def convert(self, raw: Any) -> frozenset[int]:
        codes = frozenset(_integer(member) for member in _members(raw))
        if any(not 100 <= code <= 599 for code in codes):
            raise ValueError("it holds a number that is no HTTP status code")
        return codes

    def text(self, value: frozenset[int]) -> str:
        return ",".join(str(code) for code in sorted(value))


class TextMap(Kind):
    allowed = "a JSON object of texts"
    type_name = "mapping of text"

    def convert(self, raw: Any) -> Mapping[str, str]:
        document = _object(raw)
        if not all(isinstance(value, str) for value in document.values()):
            raise ValueError("it is not an object whose members are all texts")
        return MappingProxyType(document)

    def text(self, value: Mapping[str, str]) -> str:
        return _json(dict(value))


class DurationMap(Kind):
    allowed = "a JSON object of durations in seconds"
    type_name = "mapping of duration"

    def convert(self, raw: Any) -> Mapping[str, timedelta]:
        spans = {}
        for key, value in _object(raw).items():
            spans[key] = value if isinstance(value, timedelta) else _span(value)
            if spans[key] <= timedelta():
                raise ValueError(f"its member {key!r} is not longer than zero")
        return MappingProxyType(spans)

    def text(self, value: Mapping[str, timedelta]) -> str:
        return _json({key: span.total_seconds() for key, span in value.items()})


class Delays(Kind):
    """One delay in seconds, or one per attempt."""

    allowed = "a number of seconds, or several separated by commas"
    type_name = "delays"

    def convert(self, raw: Any) -> float | tuple[float, ...]:
        if isinstance(raw, str) and raw.strip().startswith("["):
            raw = _load(raw)
        several = not isinstance(raw, str | int | float) or (isinstance(raw, str) and "," in raw)
        delays = tuple(self._delay(member) for member in _members(raw))
        if not delays or any(delay < 0 for delay in delays):
            raise ValueError("it is not made of numbers of at least 0")
        return delays if several else delays[0]

    @staticmethod
    def _delay(raw: Any) -> float:
        number = _number(raw)
        return int(number) if number.is_integer() else number

    def text(self, value: float | tuple[float, ...]) -> str:
        return _json(list(value)) if isinstance(value, tuple) else str(value)


class Vacuum(Kind):
    """What the retention loop removes: a switch for everything, or a set of record types."""

    RECORDS = frozenset(("events", "flow_runs"))
    allowed = "true, false, or some of events, flow_runs separated by commas"
    type_name = "set of text"

    def convert(self, raw: Any) -> frozenset[str]:
        word = str(raw).strip().lower()
        if isinstance(raw, bool | str) and word in _TRUE | _FALSE | {"none"}:
            return self.RECORDS if word in _TRUE else frozenset()
        names = frozenset(str(member) for member in _members(raw))
        if not names <= self.RECORDS:
            raise ValueError("it names something that cannot be removed by age")
        return names

    def text(self, value: frozenset[str]) -> str:
        return ",".join(sorted(value)) or "false"


def _object(raw: Any) -> dict[str, Any]:
    document = _load(raw) if isinstance(raw, str) else raw
    if not isinstance(document, Mapping):
        raise ValueError("it is not an object")
    return {str(key): value for key, value in document.items()}


def _load(raw: str) -> Any:
    # The JSON module costs as much as all settings together and few settings need it.
    import json

    try:
        return json.loads(raw)
    except ValueError:
        raise ValueError("it is not JSON") from None


def _json(value: Any) -> str:
    import json

    return json.dumps(value, sort_keys=True)
