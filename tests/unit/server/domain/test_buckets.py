from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.schemas.events import TimeUnit
from penstock.server.domain.buckets import PIVOT, TooMany, align, starts, step

NOW = datetime(2026, 1, 14, 12, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def test_weeks_begin_on_monday() -> None:
    assert PIVOT.weekday() == 0
    assert align(NOW, step(TimeUnit.WEEK, 1)) == datetime(2026, 1, 12, tzinfo=UTC)


def test_intervals_cover_the_stretch() -> None:
    cut = starts(NOW - 2 * DAY, NOW, NOW, TimeUnit.DAY, DAY)
    assert cut == [datetime(2026, 1, day, tzinfo=UTC) for day in (12, 13, 14)]


def test_the_last_interval_holds_the_end_of_the_present_unit() -> None:
    hours = starts(NOW, NOW + timedelta(days=9), NOW, TimeUnit.HOUR, timedelta(hours=1))
    assert hours == [NOW.replace(minute=0)]
    halves = starts(NOW, NOW + timedelta(days=9), NOW, TimeUnit.DAY, timedelta(hours=12))
    assert halves == [NOW.replace(hour=12, minute=0)]


def test_a_stretch_that_ends_before_it_begins_has_no_intervals() -> None:
    assert starts(NOW, NOW - DAY, NOW, TimeUnit.DAY, DAY) == []


def test_a_thousand_intervals_are_the_most() -> None:
    second = timedelta(seconds=1)
    since = NOW - timedelta(seconds=999)
    assert len(starts(since, NOW, NOW, TimeUnit.SECOND, second)) == 1000
    with pytest.raises(TooMany, match="1001"):
        starts(since - second, NOW, NOW, TimeUnit.SECOND, second)


def test_what_is_beyond_time_is_refused() -> None:
    with pytest.raises(TooMany):
        step(TimeUnit.WEEK, 1e300)
    with pytest.raises(TooMany):
        starts(datetime(1, 1, 1, tzinfo=UTC), NOW, NOW, TimeUnit.WEEK, step(TimeUnit.WEEK, 1e7))


INSTANTS = st.datetimes(
    min_value=datetime(2000, 1, 1), max_value=datetime(2050, 1, 1), timezones=st.just(UTC)
)


@given(INSTANTS, st.sampled_from(TimeUnit), st.floats(0.01, 50))
def test_every_instant_lies_in_its_interval(at: datetime, unit: TimeUnit, interval: float) -> None:
    length = step(unit, interval)
    start = align(at, length)
    assert start <= at < start + length
    assert (start - PIVOT) % length == timedelta()


@given(INSTANTS, INSTANTS)
def test_intervals_are_adjacent_and_cover(since: datetime, until: datetime) -> None:
    length = timedelta(days=30)
    cut = starts(since, until, NOW, TimeUnit.DAY, length)
    assert bool(cut) == (since <= until and cut[:1] != [])
    assert all(after - before == length for before, after in pairwise(cut))
    if cut:
        assert cut[0] <= since
