from pathlib import Path

import pytest

from penstock.schemas.errors import ConfigurationError
from penstock.server.store.migration import (
    Migration,
    migrate,
    migrations,
    missing,
    objects,
    parts,
)


def write(directory: Path, *names: str) -> Path:
    for name in names:
        (directory / name).write_text(f"-- {name}\nCREATE TABLE t{name[:4]} (seq $serial);\n")
    return directory


def test_common_text_comes_first_and_serial_is_filled_in(tmp_path: Path) -> None:
    write(tmp_path, "0001_a.sql", "0001_a.sqlite.sql", "0001_a.postgresql.sql", "0002_b.sql")
    first, second = migrations("sqlite", tmp_path)
    assert (first.version, first.name) == (1, "a")
    assert first.sql.index("-- 0001_a.sql") < first.sql.index("-- 0001_a.sqlite.sql")
    assert "postgresql" not in first.sql
    assert "AUTOINCREMENT" in second.sql
    assert "IDENTITY" in migrations("postgresql", tmp_path)[1].sql
    assert first.checksum != second.checksum


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["0001_a.sql", "0003_c.sql"], "without gap or double"),
        (["0001_a.sql", "0001_b.sql"], "without gap or double"),
        (["0002_a.sql"], "without gap or double"),
        (["1_a.sql"], "is no migration"),
        (["0001_a.oracle.sql"], "is no migration"),
    ],
)
def test_wrong_names_are_refused(tmp_path: Path, names: list[str], complaint: str) -> None:
    write(tmp_path, *names)
    with pytest.raises(ConfigurationError, match=complaint):
        migrations("sqlite", tmp_path)


ONE, TWO = Migration(1, "one", "SELECT 1;"), Migration(2, "two", "SELECT 2;")


def test_what_is_missing_is_what_was_not_applied() -> None:
    assert missing([ONE, TWO], []) == [ONE, TWO]
    assert missing([ONE, TWO], [(1, ONE.checksum)]) == [TWO]
    assert missing([ONE, TWO], [(1, ONE.checksum), (2, TWO.checksum)]) == []


def test_a_database_that_disagrees_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"0001 \(one\) is not the one"):
        missing([ONE], [(1, "other")])
    with pytest.raises(ConfigurationError, match="0002, which this release does not know"):
        missing([ONE], [(1, ONE.checksum), (2, TWO.checksum)])


def test_a_script_is_split_into_statements() -> None:
    script = """
-- A comment; with a semicolon.
CREATE TABLE a (x TEXT DEFAULT ';');
CREATE TRIGGER t AFTER INSERT ON a BEGIN
    INSERT INTO b VALUES (1);
    DELETE FROM c;
END;
-- The end.
"""
    first, second = parts(script)
    assert first.strip().endswith("DEFAULT ';');")
    assert second.strip().startswith("CREATE TRIGGER")
    assert second.strip().endswith("END;")


def test_only_what_is_missing_is_run_and_recorded() -> None:
    scripts: list[str] = []
    recorded: list[tuple[object, ...]] = []

    def execute(sql: str, params: tuple[object, ...]) -> list[tuple[object, ...]]:
        if sql.startswith("INSERT"):
            recorded.append(params)
        return [(1, known[0].checksum)] if sql.startswith("SELECT") else []

    known = migrations("sqlite")
    done = migrate(execute, scripts.append, "sqlite", 42)
    assert done == known[1:]
    assert scripts == [migration.sql for migration in known[1:]]
    assert recorded == [(m.version, m.name, m.checksum, 42) for m in known[1:]]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_everything_that_is_made_can_be_dropped_last_first(dialect: str) -> None:
    made = objects(dialect)  # type: ignore[arg-type]
    names = [name for _, name in made]
    assert names.index("flow_run") < names.index("flow")
    assert made[-1] == ("TABLE", "migration")
    assert (("FUNCTION", "penstock_event_seq") in made) is (dialect == "postgresql")
