import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest

from penstock.cli import output
from penstock.cli.output import ago, print_table, waiting

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


def test_a_long_wait_is_said_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "PATIENCE_SECONDS", 0)
    said = threading.Event()
    echo = click.echo

    def tell(*args: Any, **kwargs: Any) -> None:
        echo(*args, **kwargs)
        said.set()

    monkeypatch.setattr(click, "echo", tell)
    with waiting("Waiting ..."):
        assert said.wait(10)
    assert capsys.readouterr() == ("", "Waiting ...\n")


def test_a_short_wait_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    before = threading.active_count()
    with waiting("Waiting ..."):
        pass
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join()
    assert capsys.readouterr() == ("", "")
    assert threading.active_count() <= before
