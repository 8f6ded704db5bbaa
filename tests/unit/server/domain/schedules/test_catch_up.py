"""Where planning goes on after a time in which nobody planned."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.schemas.schedules import CronSchedule, IntervalSchedule
from penstock.server.domain.schedules.catch_up import resumed
from penstock.server.domain.schedules.dates import dates_from

NOW = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)
HOURLY = CronSchedule(cron="0 * * * *")
YEARLY = CronSchedule(cron="0 0 1 1 *")


def missed(schedule: CronSchedule, cursor: datetime, policy: str | float) -> list[datetime]:
    """The dates up to now that are still planned."""
    behind = resumed(schedule, cursor, NOW, policy)
    found = []
    for date in dates_from(schedule, behind + timedelta(microseconds=1)):
        if date > NOW:
            return found
        found.append(date)
    return found


@pytest.mark.parametrize(
    ("policy", "hours"),
    [("all", [9, 10, 11, 12]), ("latest", [12]), (2 * 3600.0, [11, 12]), (0.0, []), (1e12, None)],
)
def test_which_missed_dates_get_a_run(policy: str | float, hours: list[int] | None) -> None:
    cursor = NOW.replace(hour=8, minute=0, second=0)
    found = missed(HOURLY, cursor, policy)
    assert [date.hour for date in found] == (hours or ([] if hours == [] else [9, 10, 11, 12]))


def test_the_latest_date_is_found_however_long_ago() -> None:
    cursor = datetime(2020, 6, 1, tzinfo=UTC)
    assert missed(YEARLY, cursor, "latest") == [datetime(2026, 1, 1, tzinfo=UTC)]
    assert resumed(YEARLY, datetime(2026, 2, 1, tzinfo=UTC), NOW, "latest").month == 2


def test_nothing_was_missed() -> None:
    ahead = NOW + timedelta(hours=1)
    for policy in ("all", "latest", 60.0):
        assert resumed(HOURLY, ahead, NOW, policy) == ahead


@given(
    st.integers(min_value=30, max_value=50_000),
    st.integers(min_value=0, max_value=3 * 86_400),
    st.one_of(st.just("all"), st.just("latest"), st.floats(0, 1e7)),
)
def test_planning_never_goes_back_and_never_leaves_out_what_the_policy_keeps(
    step: int, away: int, policy: str | float
) -> None:
    schedule = IntervalSchedule(interval=step, anchor_date=NOW - timedelta(days=9, seconds=17))
    cursor = NOW - timedelta(seconds=away)
    behind = resumed(schedule, cursor, NOW, policy)
    assert cursor <= behind <= NOW
    skipped, kept = [], []
    for date in dates_from(schedule, cursor + timedelta(microseconds=1)):
        if date > NOW:
            break
        (kept if date > behind else skipped).append(date)
    match policy:
        case "all":
            assert not skipped
        case "latest":
            assert len(kept) == min(1, len(kept) + len(skipped))
        case float():
            oldest = NOW - timedelta(seconds=policy)
            assert all(date < oldest for date in skipped)
            assert all(date >= oldest - timedelta(microseconds=1) for date in kept)
