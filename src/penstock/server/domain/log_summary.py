"""A run's log in a few lines: its last error, how many records of each level, its last lines."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

LINES = 5
WIDTH = 200
_LEVELS = ((50, "critical"), (40, "error"), (30, "warning"), (20, "info"), (0, "debug"))


class Line(NamedTuple):
    """One record: the number of its level, and its message."""

    level: int
    message: str


def summary(lines: Sequence[Line], *, earlier: int = 0) -> str:
    """The summary of the last records of a log, oldest first; `earlier` were left out before them.

    The empty text for an empty log. Each line is cut to 200 characters.
    """
    if not lines:
        return ""
    told: list[str] = []
    error = next((line for line in reversed(lines) if line.level >= 40), None)
    if error is not None:
        told.append(f"Last error: {_first_line(error.message)}")
    counts = Counter(_name(line.level) for line in lines)
    counted = ", ".join(f"{counts[name]} {name}" for _, name in _LEVELS if counts[name])
    told.append(f"{counted}{f', and {earlier} earlier records' if earlier else ''}")
    told += [f"{_name(line.level).upper()}: {_first_line(line.message)}" for line in lines[-LINES:]]
    return "\n".join(told)


def _name(level: int) -> str:
    return next(name for least, name in _LEVELS if level >= least)


def _first_line(message: str) -> str:
    line = message.strip().partition("\n")[0]
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."
