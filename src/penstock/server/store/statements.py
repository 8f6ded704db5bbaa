"""The named statements of `sql/*.sql`.

A file holds statements, each under a header `-- name: aggregate.verb`, with `:name` parameters.
`<aggregate>.<dialect>.sql` replaces or adds statements for one database. What is wrong with a
file (no header, a name used twice, two statements under one name) is an error when it is loaded.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from penstock.server.store.columns import RowMaker
from penstock.server.store.parameters import values
from penstock.server.store.transaction import Dialect

DIRECTORY = Path(__file__).parent / "sql"

_HEADER = re.compile(r"^--\s*name:\s*(?P<name>\S*)\s*$", re.MULTILINE)
_NAME = re.compile(r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")
_TOKEN = re.compile(
    r"""
      (?P<literal>'(?:[^']|'')*' | "(?:[^"]|"")*")
    | (?P<comment>--[^\n]* | /\*.*?\*/)
    | (?P<cast>::)
    | (?P<end>;)
    | :(?P<parameter>[a-z_][a-z0-9_]*)
    | (?P<mark>\?)
    """,
    re.VERBOSE | re.DOTALL,
)


class StatementError(Exception):
    """A statement file is wrong, or a statement is used wrongly. Always a programming error."""


class Statement:
    """One statement, ready for its driver.

    `parameters` are the names in the order the driver wants their values: SQLite wants one for
    each mark, PostgreSQL one for each number.
    """

    __slots__ = ("changes", "maker", "name", "parameters", "sql")

    def __init__(self, name: str, sql: str, parameters: tuple[str, ...]) -> None:
        self.name = name
        self.sql = sql
        self.parameters = parameters
        self.changes = not sql.lstrip().upper().startswith("SELECT")
        self.maker: RowMaker | None = None
        """Filled with the first result; rows of one statement always have the same columns."""

    def values(self, params: Mapping[str, Any]) -> list[Any]:
        try:
            return values(self.parameters, params)
        except KeyError as missing:
            raise StatementError(
                f"statement {self.name} was run without its parameter :{missing.args[0]}; pass it"
            ) from None
        except TypeError as error:
            raise StatementError(f"statement {self.name}: {error}") from None


class Statements:
    """All statements of one dialect by name."""

    def __init__(self, statements: Mapping[str, Statement]) -> None:
        self._statements = dict(statements)

    def __iter__(self):
        return iter(self._statements.values())

    def __getitem__(self, name: str) -> Statement:
        try:
            return self._statements[name]
        except KeyError:
            raise StatementError(
                f"there is no statement {name!r} in {DIRECTORY.name}/*.sql; add it there"
            ) from None


def load(dialect: Dialect, directory: Path = DIRECTORY) -> Statements:
    """The statements of `directory` for one dialect, checked. Raises `StatementError`."""
    texts: dict[str, str] = {}
    overrides: dict[str, str] = {}
    for path in sorted(directory.glob("*.sql")):
        _, _, only = path.stem.partition(".")
        if only and only not in ("sqlite", "postgresql"):
            raise StatementError(f"{path.name} is for no known database; rename it")
        found = overrides if only else texts
        if only and only != dialect:
            continue
        for name, sql in _split(path):
            if name in found:
                raise StatementError(f"statement {name} of {path.name} is defined twice")
            found[name] = sql
    return Statements(
        {name: _prepare(name, sql, dialect) for name, sql in {**texts, **overrides}.items()}
    )


@lru_cache(maxsize=4)
def statements(dialect: Dialect) -> Statements:
    """The project's own statements for one dialect; read once in a process."""
    return load(dialect)


def _split(path: Path) -> list[tuple[str, str]]:
    """Pairs of name and text in one file."""
    parts = _HEADER.split(path.read_text(encoding="utf-8"))
    if any(line.strip() and not line.startswith("--") for line in parts[0].splitlines()):
        raise StatementError(f"{path.name} has text before its first `-- name:` header")
    return list(zip(parts[1::2], parts[2::2], strict=True))


def _prepare(name: str, text: str, dialect: Dialect) -> Statement:
    if not _NAME.match(name):
        raise StatementError(f"{name!r} is no statement name; write it like flow_run.insert")
    names: list[str] = []
    sql: list[str] = []
    at = 0
    ended = False
    for token in _TOKEN.finditer(text):
        between = text[at : token.start()]
        at = token.end()
        if ended and (between.strip() or token.lastgroup != "comment"):
            raise StatementError(f"statement {name} has text after its semicolon; give it a name")
        sql.append(between)
        if token.lastgroup == "parameter":
            sql.append(_placeholder(token["parameter"], names, dialect))
        elif token.lastgroup == "end":
            ended = True
        elif token.lastgroup == "mark":
            raise StatementError(f"statement {name} holds `?`; parameters are written :name")
        elif token.lastgroup != "comment":
            sql.append(token[0])
    if ended and text[at:].strip():
        raise StatementError(f"statement {name} has text after its semicolon; give it a name")
    sql.append(text[at:])
    joined = "".join(sql).strip()
    if not joined:
        raise StatementError(f"statement {name} is empty; write it or remove its header")
    return Statement(name, joined, tuple(names))


def _placeholder(parameter: str, names: list[str], dialect: Dialect) -> str:
    if dialect == "sqlite":
        names.append(parameter)
        return "?"
    if parameter not in names:
        names.append(parameter)
    return f"${names.index(parameter) + 1}"


@lru_cache(maxsize=512)
def numbered(sql: str) -> str:
    """`sql` with its `?` marks as `$1`, `$2`, ..., the way PostgreSQL takes them."""
    count = 0

    def number(token: re.Match[str]) -> str:
        nonlocal count
        if token.lastgroup != "mark":
            return token[0]
        count += 1
        return f"${count}"

    return _TOKEN.sub(number, sql)


@lru_cache(maxsize=256)
def _maker(names: tuple[str, ...]) -> RowMaker:
    return RowMaker(names)


def maker_of(names: Iterable[str]) -> RowMaker:
    """The row maker for results with these columns."""
    return _maker(tuple(names))
