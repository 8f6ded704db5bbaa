"""When a failed run is tried again, and after how long."""

from collections.abc import Callable, Sequence
from typing import Any

MAXIMUM_DELAYS = 50

Delay = float | int | Sequence[float] | Callable[[int], Sequence[float]] | None


def exponential_backoff(backoff_factor: float) -> Callable[[int], list[float]]:
    """Delays that double: `backoff_factor`, twice it, four times it, ... for up to 50 retries."""

    def delays(retries: int) -> list[float]:
        return [backoff_factor * 2.0**attempt for attempt in range(min(retries, MAXIMUM_DELAYS))]

    return delays


def delays_of(value: Delay, retries: int) -> float | list[float]:
    """The delay, or the list of delays, that a declaration means for `retries` retries.

    Raises `ValueError` for a list of more than 50 delays or a negative delay, `TypeError` for
    something that is neither number, list nor function of the number of retries.
    """
    if callable(value):
        value = value(retries)
    if value is None:
        return 0.0
    if isinstance(value, int | float):
        if value < 0:
            raise ValueError(f"retry_delay_seconds is {value}; give zero or a positive number")
        return float(value)
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(
            f"retry_delay_seconds is {value!r}; give a number, a list of numbers or a function "
            "from the number of retries to such a list"
        )
    if len(value) > MAXIMUM_DELAYS:
        raise ValueError(
            f"retry_delay_seconds has {len(value)} entries; give at most {MAXIMUM_DELAYS}"
        )
    if any(delay < 0 for delay in value):
        raise ValueError("retry_delay_seconds has a negative entry; give zero or positive numbers")
    return [float(delay) for delay in value]


def delay_before(
    retry: int, delays: float | Sequence[float], jitter: float | None, chance: float
) -> float:
    """Seconds to wait before retry number `retry` (1 is the first).

    A list is read by that number, its last entry repeating. With a jitter factor j the delay d
    becomes a value between d and d * (1 + j), chosen by `chance` in [0, 1): never shorter than
    declared, and apart for runs that failed together.
    """
    if isinstance(delays, int | float):
        delay = float(delays)
    elif not delays:
        delay = 0.0
    else:
        delay = float(delays[min(retry, len(delays)) - 1])
    return delay * (1.0 + jitter * chance) if jitter else delay


def is_coroutine_callable(fn: Any) -> bool:
    """Whether calling `fn` (function, partial, method or callable object) gives a coroutine."""
    fn = getattr(fn, "func", fn) if hasattr(fn, "keywords") else fn
    code = getattr(getattr(fn, "__func__", fn), "__code__", None)
    if code is None and callable(fn):
        code = getattr(type(fn).__call__, "__code__", None)
    return code is not None and bool(code.co_flags & 0x80)
