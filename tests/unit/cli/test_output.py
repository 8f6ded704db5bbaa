from datetime import UTC, datetime, timedelta

import pytest

from penstock.cli.output import ago, print_table

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (timedelta(0), "now"),
        (timedelta(milliseconds=900), "now"),
        (timedelta(seconds=1), "1 second ago"),
        (timedelta(seconds=59.9), "59 seconds ago"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(hours=5), "5 hours ago"),
        (timedelta(days=400), "400 days ago"),
        (timedelta(minutes=-10), "in 10 minutes"),
        (timedelta(days=-1), "in 1 day"),
    ],
)
def test_how_long_ago(difference: timedelta, words: str) -> None:
    assert ago(NOW - difference, NOW) == words


def test_no_moment_is_a_dash() -> None:
    assert ago(None) == "-"


def test_a_table_without_terminal_is_one_line_per_row(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("1", ("Completed", "green"), "two\nlines"), ("22", ("Failed", "red"), "")]
    print_table(("ID", "State", "Name"), rows, "nothing")
    assert capsys.readouterr().out == (
        "ID  State      Name\n"
        "1   Completed  two lines\n"
        "22  Failed\n"
    )  # fmt: skip


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("ID",), [], "There is nothing.")
    assert capsys.readouterr().out == "There is nothing.\n"
