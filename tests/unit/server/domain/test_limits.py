"""Decay, waits and averages of slots, as numbers."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.domain.limits import (
    Usage,
    expected_wait,
    spread_wait,
    usage_at,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("slots", "decay", "seconds", "left", "worked_out"),
    [
        (3, 0.0, 100, 3, 100),  # nothing decays
        (0, 0.5, 100, 0, 100),  # nothing is taken
        (3, 0.5, 1.9, 3, 0),
        (3, 0.5, 2.0, 2, 2),
        (3, 0.5, 3.9, 2, 2),  # 1.9 seconds count for the next slot
        (3, 0.5, 6.0, 0, 6),
        (3, 0.5, 100, 0, 100),
        (2, 10.0, 0.15, 1, 0.1),
        (3, 0.5, -5, 3, 0),  # a clock that went back
    ],
)
def test_decay(slots: int, decay: float, seconds: float, left: int, worked_out: float) -> None:
    assert usage_at(later(seconds), slots, decay, START) == Usage(left, later(worked_out))


@given(
    slots=st.integers(1, 50),
    decay=st.floats(0.01, 20),
    steps=st.lists(st.floats(0.001, 30), min_size=1, max_size=20),
)
def test_decay_in_steps_is_decay_at_once(slots: int, decay: float, steps: list[float]) -> None:
    """However often usage is looked at, no more than one slot's fraction differs by rounding."""
    usage = Usage(slots, START)
    for end in (sum(steps[: n + 1]) for n in range(len(steps))):
        usage = usage_at(later(end), usage.slots, decay, usage.decayed)
    whole = usage_at(later(sum(steps)), slots, decay, START)
    assert abs(usage.slots - whole.slots) <= 1


def test_the_expected_wait() -> None:
    assert expected_wait(2, 0.0, 3.0) == 6.0
    assert expected_wait(2, 0.5, 3.0) == 4.0
    assert expected_wait(1, 0.0, 0.0) == 0.1


@given(st.floats(0.1, 30), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_spread_below_its_bound(seconds: float, chance: float) -> None:
    assert seconds / 2 <= spread_wait(seconds, chance) <= seconds
