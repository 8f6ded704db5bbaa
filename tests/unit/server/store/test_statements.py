from pathlib import Path
from typing import Literal

import pytest

from penstock.server.store.statements import StatementError, load, numbered, statements


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        (directory / f"{name.replace('__', '.')}.sql").write_text(text)
    return directory


def test_parameters_are_placed_as_each_driver_wants_them(tmp_path: Path) -> None:
    write(tmp_path, a="-- name: a.b\nSELECT :x, :y, :x FROM t WHERE z = :y\n")
    sqlite = load("sqlite", tmp_path)["a.b"]
    assert sqlite.sql == "SELECT ?, ?, ? FROM t WHERE z = ?"
    assert sqlite.parameters == ("x", "y", "x", "y")
    assert sqlite.values({"x": 1, "y": 2}) == [1, 2, 1, 2]
    postgresql = load("postgresql", tmp_path)["a.b"]
    assert postgresql.sql == "SELECT $1, $2, $1 FROM t WHERE z = $2"
    assert postgresql.values({"x": 1, "y": 2}) == [1, 2]


def test_what_only_looks_like_a_parameter_is_left_alone(tmp_path: Path) -> None:
    text = """-- A file may begin with comments.

-- name: a.b
SELECT ':no', "col:no", 'it''s :no', x::text, y ::bigint, :yes::text -- :no
/* :no
   :no */
FROM t;
-- :no
"""
    write(tmp_path, a=text)
    statement = load("postgresql", tmp_path)["a.b"]
    assert statement.parameters == ("yes",)
    for kept in ("':no'", '"col:no"', "'it''s :no'", "x::text", "y ::bigint", "$1::text"):
        assert kept in statement.sql
    assert "--" not in statement.sql
    assert "/*" not in statement.sql
    assert statement.sql.endswith("FROM t")


def test_a_dialect_replaces_and_adds(tmp_path: Path) -> None:
    write(
        tmp_path,
        a="-- name: a.one\nSELECT 1\n-- name: a.two\nSELECT 2\n",
        a__postgresql="-- name: a.two\nSELECT 22\n-- name: a.three\nSELECT 3\n",
    )
    found = {
        dialect: {statement.name: statement.sql for statement in load(dialect, tmp_path)}
        for dialect in ("sqlite", "postgresql")
    }
    assert found["sqlite"] == {"a.one": "SELECT 1", "a.two": "SELECT 2"}
    assert found["postgresql"] == {
        "a.one": "SELECT 1",
        "a.two": "SELECT 22",
        "a.three": "SELECT 3",
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("SELECT 1\n-- name: a.b\nSELECT 2", "before its first"),
        ("-- name: a.b\nSELECT 1\n-- name: a.b\nSELECT 2", "a.b of x.sql is defined twice"),
        ("-- name: a.b\n-- nothing\n", "a.b is empty"),
        ("-- name: a.b\n", "a.b is empty"),
        ("-- name: ab\nSELECT 1", "'ab' is no statement name"),
        ("-- name:\nSELECT 1", "'' is no statement name"),
        ("-- name: a.b\nSELECT 1; SELECT 2", "text after its semicolon"),
        ("-- name: a.b\nSELECT 1;;", "text after its semicolon"),
        ("-- name: a.b\nSELECT 1; 'x'", "text after its semicolon"),
        ("-- name: a.b\nSELECT ?", "parameters are written :name"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    write(tmp_path, x=text)
    with pytest.raises(StatementError) as refused:
        load("sqlite", tmp_path)
    assert complaint in str(refused.value)


def test_a_file_for_an_unknown_database_is_refused(tmp_path: Path) -> None:
    write(tmp_path, x__oracle="-- name: a.b\nSELECT 1")
    with pytest.raises(StatementError, match=r"x\.oracle\.sql is for no known database"):
        load("sqlite", tmp_path)


def test_a_wrong_use_is_named(tmp_path: Path) -> None:
    write(tmp_path, x="-- name: a.b\nSELECT :x")
    found = load("sqlite", tmp_path)
    with pytest.raises(StatementError, match=r"no statement 'a\.c'"):
        found["a.c"]
    with pytest.raises(StatementError, match=r"a\.b was run without its parameter :x"):
        found["a.b"].values({"y": 1})
    with pytest.raises(StatementError, match=r"a\.b: a set cannot be"):
        found["a.b"].values({"x": set()})


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_the_project_s_own_statements_load(dialect: Literal["sqlite", "postgresql"]) -> None:
    names = {statement.name for statement in statements(dialect)}
    assert {"lease.acquire", "timer.due", "event.after", "consumer.advance"} <= names
    assert statements(dialect) is statements(dialect)


def test_marks_are_numbered() -> None:
    sql = "SELECT ?::text, '?', \"a?\" FROM t WHERE a = ? -- ?\nAND b LIKE ?"
    assert numbered(sql) == "SELECT $1::text, '?', \"a?\" FROM t WHERE a = $2 -- ?\nAND b LIKE $3"
