"""Dates of schedules, above all on the nights when clocks are turned."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.schemas.errors import RequestInvalid
from penstock.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from penstock.server.domain.schedules.dates import Schedule, check, next_dates

NEW_YORK = "America/New_York"
SPRING = datetime(2025, 3, 8, 5, tzinfo=UTC)  # midnight before the day with the gap
AUTUMN = datetime(2025, 11, 2, 4, tzinfo=UTC)  # midnight of the day with the fold


def local(schedule: Schedule, start: datetime, count: int) -> list[str]:
    zone = ZoneInfo(schedule.timezone or "UTC")
    found = next_dates(schedule, start, count)
    return [moment.astimezone(zone).strftime("%m-%d %H:%M%z") for moment in found]


def daily(hour: int, minute: int) -> IntervalSchedule:
    anchor = datetime(2025, 1, 1, hour + 5, minute, tzinfo=UTC)
    return IntervalSchedule(interval=86400, anchor_date=anchor, timezone=NEW_YORK)


def at(hour: int, minute: int) -> RRuleSchedule:
    rule = f"FREQ=DAILY;BYHOUR={hour};BYMINUTE={minute};BYSECOND=0"
    return RRuleSchedule(rrule=rule, timezone=NEW_YORK)


@pytest.mark.parametrize(
    "schedule", [CronSchedule(cron="30 2 * * *", timezone=NEW_YORK), daily(2, 30), at(2, 30)]
)
def test_a_time_in_the_gap_means_the_first_instant_after_it(schedule: Schedule) -> None:
    assert local(schedule, SPRING, 3) == [
        "03-08 02:30-0500",
        "03-09 03:00-0400",
        "03-10 02:30-0400",
    ]


@pytest.mark.parametrize(
    "schedule", [CronSchedule(cron="30 1 * * *", timezone=NEW_YORK), daily(1, 30), at(1, 30)]
)
def test_a_time_in_the_fold_happens_once_the_first_time(schedule: Schedule) -> None:
    assert local(schedule, AUTUMN, 2) == ["11-02 01:30-0400", "11-03 01:30-0500"]


@pytest.mark.parametrize(
    "schedule",
    [
        CronSchedule(cron="0 * * * *", timezone=NEW_YORK),
        IntervalSchedule(
            interval=3600, anchor_date=datetime(2025, 1, 1, tzinfo=UTC), timezone=NEW_YORK
        ),
    ],
)
def test_an_hourly_schedule_runs_in_both_passes_of_the_fold(schedule: Schedule) -> None:
    assert local(schedule, AUTUMN, 4) == [
        "11-02 00:00-0400",
        "11-02 01:00-0400",
        "11-02 01:00-0500",
        "11-02 02:00-0500",
    ]


def test_a_daily_interval_keeps_its_wall_time_whatever_the_start() -> None:
    early = next_dates(daily(9, 0), datetime(2025, 3, 6, tzinfo=UTC), 6)
    late = next_dates(daily(9, 0), datetime(2025, 3, 9, tzinfo=UTC), 3)
    assert early[3:] == late
    assert {moment.astimezone(ZoneInfo(NEW_YORK)).hour for moment in early} == {9}


def test_start_and_until_are_both_included() -> None:
    start = datetime(2025, 6, 1, tzinfo=UTC)
    found = next_dates(CronSchedule(cron="0 0 * * *"), start, 10, start + timedelta(days=2))
    assert found == [start, start + timedelta(days=1), start + timedelta(days=2)]


def test_six_fields_have_seconds_last() -> None:
    start = datetime(2025, 6, 1, 0, 0, 10, tzinfo=UTC)
    found = next_dates(CronSchedule(cron="* * * * * 10"), start, 2)
    assert found == [start, start + timedelta(minutes=1)]


def test_day_or_false_asks_for_both_day_fields() -> None:
    schedule = CronSchedule(cron="0 0 13 * 5", day_or=False)
    found = next_dates(schedule, datetime(2025, 1, 1, tzinfo=UTC), 3)
    assert [(moment.day, moment.isoweekday()) for moment in found] == [(13, 5)] * 3


def test_a_rule_with_exceptions_skips_them() -> None:
    schedule = RRuleSchedule(
        rrule="DTSTART:20250101T090000\n"
        "RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;UNTIL=20250401T000000Z\n"
        "EXDATE:20250224T090000",
        timezone=NEW_YORK,
    )
    assert local(schedule, datetime(2025, 2, 20, tzinfo=UTC), 9) == [
        "03-10 09:00-0400",
        "03-24 09:00-0400",
    ]


def test_a_count_is_counted_from_the_first_date_of_the_rule() -> None:
    schedule = RRuleSchedule(rrule="DTSTART:20250101T000000\nRRULE:FREQ=DAILY;COUNT=3")
    assert len(next_dates(schedule, datetime(2025, 1, 2, tzinfo=UTC), 10)) == 2


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (CronSchedule(cron="0 0 31 2 *"), "day-of-month"),
        (CronSchedule(cron="0 0"), "2 fields"),
        (CronSchedule(cron="@daily", timezone="Mars/Olympus"), "IANA"),
        (IntervalSchedule(interval=0), "positive"),
        (RRuleSchedule(rrule="FREQ=NEVER"), "RFC 5545"),
        (RRuleSchedule(rrule="FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"), "never happens"),
        (RRuleSchedule(rrule="FREQ=DAILY;" + "X" * 6500), "characters"),
    ],
)
def test_what_cannot_be_scheduled_is_refused(schedule: Schedule, words: str) -> None:
    with pytest.raises(RequestInvalid, match=words):
        check(schedule)


SCHEDULES = st.one_of(
    st.builds(
        lambda minute, hour, zone: CronSchedule(cron=f"{minute} {hour} * * *", timezone=zone),
        st.sampled_from(["0", "30", "*/20"]),
        st.sampled_from(["*", "1", "2", "*/6"]),
        st.sampled_from([NEW_YORK, "Europe/Berlin", "Australia/Lord_Howe", "UTC"]),
    ),
    st.builds(
        lambda seconds, zone: IntervalSchedule(
            interval=seconds, anchor_date=datetime(2025, 1, 1, 2, 30, tzinfo=UTC), timezone=zone
        ),
        st.sampled_from([600.0, 3600.0, 7 * 3600.0, 86400.0, 2 * 86400.0, 90000.0]),
        st.sampled_from([NEW_YORK, "Europe/Berlin", "Australia/Lord_Howe"]),
    ),
    st.builds(
        lambda hour, zone: RRuleSchedule(
            rrule=f"FREQ=DAILY;INTERVAL=2;BYHOUR={hour};BYMINUTE=30;BYSECOND=0", timezone=zone
        ),
        st.integers(0, 4),
        st.sampled_from([NEW_YORK, "Europe/Berlin"]),
    ),
)
STARTS = st.datetimes(
    datetime(2025, 2, 1),
    datetime(2025, 12, 1),
    timezones=st.just(UTC),
)


@settings(max_examples=150, deadline=None)
@given(SCHEDULES, STARTS, st.integers(1, 5))
def test_dates_do_not_depend_on_where_the_search_starts(
    schedule: Schedule, start: datetime, skipped: int
) -> None:
    found = next_dates(schedule, start, 12)
    assert found == sorted(set(found))
    assert all(moment >= start for moment in found)
    later = next_dates(schedule, found[skipped], 12 - skipped)
    assert later == found[skipped:]
