"""Planning: whatever happens between, each date of a schedule is planned once (invariant S1)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from penstock.server.domain.schedules.dates import next_dates
from penstock.server.domain.schedules.planning import NEVER, Dates, Horizon, Plan, plan

NOW = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu")


def planned(schedule: Any, cursor: datetime, now: datetime, **horizon: Any) -> Plan:
    return plan(Dates(schedule, min(cursor, now)), cursor, now, Horizon(**horizon))


def cron(expression: str) -> CronSchedule:
    return CronSchedule(cron=expression)


@pytest.mark.parametrize(
    ("schedule", "count", "due"),
    [
        # An hour of minutes; due when 3 minutes of the hour are used up.
        (cron("* * * * *"), 61, datetime(2026, 1, 1, 12, 4, tzinfo=UTC)),
        # Three days; due when one of them has passed.
        (cron("0 9 * * *"), 3, datetime(2026, 1, 2, 9, tzinfo=UTC)),
        # Nothing within a hundred days; due when there is.
        (cron("0 0 1 6 *"), 0, datetime(2026, 2, 21, tzinfo=UTC)),
        # As many as are allowed; due when half of them have passed.
        (cron("* * * * * *"), 100, datetime(2026, 1, 1, 12, 1, 21, tzinfo=UTC)),
        # Two at all.
        (RRuleSchedule(rrule="DTSTART:20260102T000000\nRRULE:FREQ=DAILY;COUNT=2"), 2, NEVER),
    ],
)
def test_how_far_and_until_when(schedule: Any, count: int, due: datetime) -> None:
    found = planned(schedule, NOW, NOW)
    assert (len(found.dates), found.due) == (count, due)
    assert all(date > NOW for date in found.dates)


def test_missed_dates_come_in_slices() -> None:
    cursor = NOW - timedelta(hours=5)
    dates: list[datetime] = []
    rounds = 0
    due = NOW
    while due <= NOW:
        found = planned(cron("* * * * *"), cursor, NOW)
        assert len(found.dates) <= 100
        dates += found.dates
        cursor, due, rounds = found.dates[-1], found.due, rounds + 1
    assert rounds == 4
    assert dates == next_dates(cron("* * * * *"), NOW - timedelta(hours=5), len(dates))
    assert dates[-1] >= NOW + timedelta(hours=1)


def test_equal_schedules_are_due_at_different_times() -> None:
    dates = Dates(cron("* * * * *"), NOW)
    dues = {plan(dates, NOW, NOW, Horizon(), share).due for share in (0.0, 0.5, 1.0)}
    assert len(dues) == 3
    assert min(dues) > NOW


def test_an_end_is_the_last_date() -> None:
    end = NOW + timedelta(minutes=10)
    found = planned(cron("* * * * *"), NOW, NOW, end=end)
    assert len(found.dates) == 10
    assert found.dates[-1] <= end


schedules = st.one_of(
    st.builds(
        CronSchedule,
        cron=st.sampled_from(
            ["*/20 * * * *", "30 2 * * *", "0 * * * *", "15 1 * * 0", "0 0 1 * *", "5,35 2 * * *"]
        ),
        timezone=st.sampled_from(ZONES),
    ),
    st.builds(
        IntervalSchedule,
        interval=st.sampled_from([900.0, 3600.0, 5400.0, 86400.0, 7 * 86400.0]),
        anchor_date=st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)).map(
            lambda moment: moment.replace(tzinfo=UTC, microsecond=0)
        ),
        timezone=st.sampled_from(ZONES),
    ),
    st.builds(
        RRuleSchedule,
        rrule=st.sampled_from(["FREQ=DAILY;BYHOUR=2;BYMINUTE=30;BYSECOND=0", "FREQ=HOURLY"]),
        timezone=st.sampled_from(ZONES),
    ),
)
# Around the changes of the clock in spring and in autumn.
starts = st.sampled_from(
    [datetime(2026, 3, 7, 3, tzinfo=UTC), datetime(2026, 10, 24, 20, tzinfo=UTC), NOW]
)


@given(
    schedule=schedules,
    start=starts,
    steps=st.lists(st.integers(0, 3 * 86400), min_size=1, max_size=6),
    share=st.floats(0, 1),
)
def test_each_date_is_planned_once(
    schedule: Any, start: datetime, steps: list[int], share: float
) -> None:
    """Rounds at any times, with a fresh evaluation each, plan exactly the schedule's dates."""
    cursor, now, due = start, start, start
    dates: list[datetime] = []
    for seconds in [0, *steps]:
        now += timedelta(seconds=seconds)
        while due <= now:
            found = plan(Dates(schedule, min(cursor, now)), cursor, now, Horizon(), share)
            dates += found.dates
            cursor = found.dates[-1] if found.dates else cursor
            due = found.due
        last = dates[-1] if dates else start
        expected = next_dates(schedule, start + timedelta(microseconds=1), len(dates), last)
        assert dates == expected
        following = next_dates(schedule, last + timedelta(microseconds=1), 1)
        assert all(date > now for date in following), "nothing that is due was left out"
