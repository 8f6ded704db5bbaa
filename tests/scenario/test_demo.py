"""The demo pipeline on its real input, as a newcomer runs it."""

import csv
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "examples" / "timezones.py"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict[str, str]]]:
    """What the demo printed, and the rows of its report."""
    home = tmp_path_factory.mktemp("demo")
    report = home / "out" / "timezones.csv"
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PENSTOCK_", "PREFECT_"))
    }
    done = subprocess.run(
        [sys.executable, str(DEMO), "--from", "2024", "--to", "2025", "--report", str(report)],
        env=environment | {"PENSTOCK_HOME": str(home)},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with report.open(newline="", encoding="utf-8") as file:
        return done.stdout, list(csv.DictReader(file))


def changes(rows: list[dict[str, str]], zone: str) -> list[str]:
    return [row["instant_utc"] for row in rows if row["zone"] == zone]


def test_the_summary_says_what_was_done_and_how_to_look_at_it(
    demo: tuple[str, list[dict[str, str]]],
) -> None:
    printed, rows = demo
    assert f"changes            {len(rows):>6}" in printed
    assert "penstock flow-run ls" in printed
    assert "timezones.csv" in printed


def test_the_report_has_the_clock_changes_everybody_knows(
    demo: tuple[str, list[dict[str, str]]],
) -> None:
    _, rows = demo
    assert changes(rows, "Europe/Berlin") == [
        "2024-03-31T01:00:00+00:00",
        "2024-10-27T01:00:00+00:00",
        "2025-03-30T01:00:00+00:00",
        "2025-10-26T01:00:00+00:00",
    ]
    assert changes(rows, "America/New_York")[0] == "2024-03-10T07:00:00+00:00"
    assert changes(rows, "Asia/Tokyo") == []


def test_rows_are_in_order_and_inside_the_years(demo: tuple[str, list[dict[str, str]]]) -> None:
    _, rows = demo
    instants = [datetime.fromisoformat(row["instant_utc"]) for row in rows]
    assert instants == sorted(instants)
    assert datetime(2024, 1, 1, tzinfo=UTC) <= instants[0]
    assert instants[-1] < datetime(2026, 1, 1, tzinfo=UTC)
    assert all(row["offset_before_seconds"] != row["offset_after_seconds"] for row in rows)


def test_the_years_are_checked() -> None:
    done = subprocess.run(
        [sys.executable, str(DEMO), "--from", "2025", "--to", "2024"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "years must rise" in done.stderr
