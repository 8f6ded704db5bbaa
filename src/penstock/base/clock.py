"""Time as a parameter: the system clock, and a clock that tests turn by hand."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


def utc_now() -> datetime:
    """The present instant, aware, in UTC, microsecond resolution."""
    return datetime.now(UTC)


class Clock(Protocol):
    """Whatever needs the time takes one of these, so that a test can choose it."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards; only differences mean something."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return utc_now()

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that stands still until `advance` or `set` is called."""

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._elapsed = timedelta()

    def now(self) -> datetime:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed.total_seconds()

    def advance(self, seconds: float) -> datetime:
        """Move on by `seconds` (not negative) and return the new instant."""
        if seconds < 0:
            raise ValueError(f"a clock cannot be advanced by {seconds} seconds; pass zero or more")
        self._elapsed += timedelta(seconds=seconds)
        return self.now()


SYSTEM_CLOCK = SystemClock()
