"""The estimates in answers; everything else in a view is tested where it is read."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock.server.ops.views import estimated_run_time, estimated_start_time_delta

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("state", "since", "total", "expected"),
    [
        ("RUNNING", at(-10), 5.0, 15.0),
        ("COMPLETED", at(-10), 5.0, 5.0),
        ("PAUSED", at(-10), 5.0, 5.0),
        (None, None, 0.0, 0.0),
        # The clock of the process that ran may be ahead of this one's.
        ("RUNNING", at(3), 5.0, 5.0),
    ],
)
def test_run_time_counts_the_stretch_that_has_not_ended(
    state: str | None, since: datetime | None, total: float, expected: float
) -> None:
    row = {"state_type": state, "state_timestamp": since, "total_run_time": total}
    assert estimated_run_time(row, NOW) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"expected": None}, 0.0),
        ({"expected": at(-20), "state": "SCHEDULED"}, 20.0),
        ({"expected": at(-20), "state": None}, 20.0),
        ({"expected": at(20), "state": "SCHEDULED"}, 0.0),
        ({"expected": at(-20), "state": "CANCELLED"}, 0.0),
        ({"expected": at(-20), "start": at(-15), "state": "COMPLETED"}, 5.0),
        ({"expected": at(-20), "start": at(-25), "state": "RUNNING"}, 0.0),
    ],
)
def test_lateness_ends_with_the_start(row: dict[str, Any], expected: float) -> None:
    full = {
        "expected_start_time": row["expected"],
        "start_time": row.get("start"),
        "state_type": row.get("state"),
    }
    assert estimated_start_time_delta(full, NOW) == expected
