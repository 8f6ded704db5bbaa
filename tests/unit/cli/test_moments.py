"""Moments and durations as people write them."""

from datetime import datetime, timedelta, timezone

import pytest

from penstock.cli.moments import duration, moment
from penstock.cli.output import Failure

NOW = datetime(2026, 3, 4, 10, 30, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90 seconds", 90),
        ("90s", 90),
        ("1h 30m", 5400),
        ("in 2 days and 4 hours", 2 * 86400 + 4 * 3600),
        ("an hour", 3600),
        ("1.5 hours", 5400),
        ("1 week, 1 minute", 7 * 86400 + 60),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "soon", "5", "5 parsecs", "5 minutes ago", "minutes"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(Failure, match="no duration"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-03-04T10:30:00+01:00"),
        ("2026-05-06T07:08:09Z", "2026-05-06T07:08:09+00:00"),
        ("2026-05-06 07:08", "2026-05-06T07:08:00+01:00"),
        ("11:00", "2026-03-04T11:00:00+01:00"),
        ("9am", "2026-03-05T09:00:00+01:00"),
        ("12 am", "2026-03-05T00:00:00+01:00"),
        ("at 5:15 pm", "2026-03-04T17:15:00+01:00"),
        ("tomorrow at 9:30", "2026-03-05T09:30:00+01:00"),
        ("today 9am", "2026-03-04T09:00:00+01:00"),
        ("tomorrow", "2026-03-05T00:00:00+01:00"),
        ("in 10 minutes", "2026-03-04T10:40:00+01:00"),
    ],
)
def test_moments(text: str, expected: str) -> None:
    assert moment(text, NOW).isoformat() == expected


@pytest.mark.parametrize("text", ["whenever", "25:00", "13pm", "0am", "yesterday at 9"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(Failure, match="no moment"):
        moment(text, NOW)
