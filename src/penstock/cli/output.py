"""What commands print: tables for people, JSON for machines, errors with the next step."""

import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from penstock.settings import get_current_settings


def output_option(command: Any) -> Any:
    """The option `--output json`."""
    return click.option(
        "--output",
        "-o",
        type=click.Choice(["json"], case_sensitive=False),
        help="Print machine-readable output instead of a table.",
    )(command)


def print_json(value: Any) -> None:
    """`value` as indented JSON on stdout, nothing else: no colour, no wrapping."""
    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode())


PATIENCE_SECONDS = 2.0


@contextmanager
def waiting(message: str) -> Iterator[None]:
    """Say `message` on stderr, once, when the block takes longer than two seconds."""
    timer = threading.Timer(PATIENCE_SECONDS, click.echo, (message,), {"err": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Failure(click.ClickException):
    """A command that could not do what it was asked; the message says the next step."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        click.echo(f"Error: {self.format_message()}", err=True)


def console() -> Any:
    """A writer of styled text that writes plain text where stdout is no terminal.

    `NO_COLOR` and the setting `cli.colors` turn colours off.
    """
    # Only commands that print tables pay for this library.
    from rich.console import Console

    terminal = sys.stdout.isatty()
    plain = not terminal or bool(os.environ.get("NO_COLOR")) or not colours()
    width = None if terminal and get_current_settings().cli.wrap_lines else 10_000
    return Console(no_color=plain, highlight=False, width=width, soft_wrap=not terminal)


def colours() -> bool:
    return bool(get_current_settings().cli.colors)


STATE_COLOURS = {
    "COMPLETED": "green",
    "FAILED": "red",
    "CRASHED": "dark_orange",
    "CANCELLED": "bright_black",
    "CANCELLING": "bright_black",
    "RUNNING": "blue",
    "PENDING": "cyan",
    "SCHEDULED": "yellow",
    "PAUSED": "magenta",
}


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
    """A table; `empty` is said when there are no rows. Cells are text or `(text, style)`."""
    rows = list(rows)
    if not rows:
        click.echo(empty)
        return
    if not sys.stdout.isatty():
        _print_plain(columns, rows)
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        # The first column is what one copies into the next command, so it is never cut.
        table.add_column(name, no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text(*cell) if isinstance(cell, tuple) else Text(cell) for cell in row))
    console().print(table)


def _print_plain(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    # One line per row and two blanks between columns, which text tools can split.
    texts = [columns, *([_plain(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in texts) for i in range(len(columns))]
    for row in texts:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def _plain(cell: Any) -> str:
    text = cell[0] if isinstance(cell, tuple) else cell
    return " ".join(text.split())


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago a moment was, or how soon it will be, in the largest fitting unit."""
    if moment is None:
        return "-"
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    size = abs(seconds)
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        if size >= length:
            count = int(size // length)
            words = f"{count} {unit}{'s' if count != 1 else ''}"
            return f"{words} ago" if seconds > 0 else f"in {words}"
    return "now"


def may_ask(ctx: click.Context) -> bool:
    """Whether there is somebody to ask: `--prompt`, then the setting, then a terminal."""
    if ctx.find_root().obj is not None:
        return bool(ctx.find_root().obj)
    setting = get_current_settings().cli.prompt
    return sys.stdin.isatty() if setting is None else bool(setting)


def ask_before(ctx: click.Context, question: str) -> None:
    """Ask before something is removed; goes on when there is nobody to ask."""
    if may_ask(ctx) and not click.confirm(question):
        raise Failure("nothing was changed")


def confirm(ctx: click.Context, question: str, *, yes: bool) -> None:
    """Ask before something is destroyed. Without anybody to ask, `--yes` must be given."""
    if yes:
        return
    if not may_ask(ctx):
        raise Failure(
            f"this cannot be undone and nobody can be asked: {question} Repeat with --yes."
        )
    if not click.confirm(question):
        raise Failure("nothing was changed")
