"""Databases with our tables in them, for tests that do not care how the tables came there.

Building the tables takes far longer than most tests: an SQLite file is copied instead, and a
schema of PostgreSQL is emptied and used again.
"""

import atexit
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql

from penstock.server.store import open_store


def copy_sqlite(path: Path) -> None:
    """Make an SQLite database file without any rows of ours at `path`."""
    path.write_bytes(_sqlite_file())


@cache
def _sqlite_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        store = open_store(f"sqlite:///{path}")
        store.start()
        store.stop()
        return path.read_bytes()


@contextmanager
def postgres_schema(url: str) -> Iterator[str]:
    """The URL of a schema of that database with empty tables. Raises `psycopg.OperationalError`."""
    pool = _pool(url)
    schema = pool.take()
    try:
        yield schema.url
    finally:
        pool.give_back(schema)


def in_schema(url: str, schema: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}search_path={schema}"


class _Schema:
    """A schema and the rows that building its tables put into them."""

    def __init__(self, connection: psycopg.Connection, url: str) -> None:
        self._connection = connection
        self.name = f"kept_{uuid4().hex}"
        self.url = in_schema(url, self.name)
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self.name)))
        store = open_store(self.url)
        store.start()
        store.stop()
        self._tables = self._present()
        for table in self._tables:
            # Its transactions would hold up the readers of the event log now and then.
            connection.execute(
                sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = false)").format(
                    sql.Identifier(self.name, table)
                )
            )
        self._first_rows = {table: rows for table in self._tables if (rows := self._rows(table))}
        self._sequences = [
            row[0]
            for row in connection.execute(
                "SELECT sequencename FROM pg_sequences WHERE schemaname = %s", (self.name,)
            )
        ]

    def empty(self) -> bool:
        """Put every table back to what it was; whether that was possible."""
        if self._present() != self._tables:
            return False
        try:
            with self._connection.transaction():
                self._connection.execute("SET LOCAL lock_timeout = '5s'")
                # Neither triggers nor references: all tables end up as they were.
                self._connection.execute("SET LOCAL session_replication_role = replica")
                for table in self._tables:
                    self._connection.execute(
                        sql.SQL("DELETE FROM {}").format(sql.Identifier(self.name, table))
                    )
                for table, rows in self._first_rows.items():
                    self._insert(table, rows)
                for sequence in self._sequences:
                    self._connection.execute(
                        sql.SQL("SELECT setval({}, 1, false)").format(
                            sql.Literal(f"{self.name}.{sequence}")
                        )
                    )
        except psycopg.Error:
            return False
        return True

    def drop(self) -> None:
        self._connection.execute(
            sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(self.name))
        )

    def _present(self) -> list[str]:
        found = self._connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY tablename", (self.name,)
        )
        return [row[0] for row in found]

    def _rows(self, table: str) -> list[tuple[object, ...]]:
        query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(self.name, table))
        return self._connection.execute(query).fetchall()

    def _insert(self, table: str, rows: list[tuple[object, ...]]) -> None:
        marks = sql.SQL(", ").join([sql.Placeholder()] * len(rows[0]))
        statement = sql.SQL("INSERT INTO {} OVERRIDING SYSTEM VALUE VALUES ({})").format(
            sql.Identifier(self.name, table), marks
        )
        with self._connection.cursor() as cursor:
            cursor.executemany(statement, rows)


class _Pool:
    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = psycopg.connect(url, autocommit=True, connect_timeout=3)
        self._idle: list[_Schema] = []
        atexit.register(self._close)

    def take(self) -> _Schema:
        return self._idle.pop() if self._idle else _Schema(self._connection, self._url)

    def give_back(self, schema: _Schema) -> None:
        if schema.empty():
            self._idle.append(schema)
        else:
            schema.drop()

    def _close(self) -> None:
        # The whole database may be gone already.
        with suppress(psycopg.Error), closing(self._connection):
            for schema in self._idle:
                schema.drop()


@cache
def _pool(url: str) -> _Pool:
    return _Pool(url)
