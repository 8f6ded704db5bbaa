"""Every named statement is one that the database understands."""

import sqlite3
from contextlib import closing

import psycopg
from msgspec import Raw

from penstock.server.store import Store, open_store
from penstock.server.store.columns import converter, instant
from penstock.server.store.statements import statements
from penstock.server.store.transaction import Tx


def test_every_statement_is_accepted_by_the_database(store: Store) -> None:
    def explain(tx: Tx) -> dict[str, str]:
        refused = {}
        for statement in statements(tx.dialect):
            refusal = _refusal(tx, statement.sql, len(statement.parameters))
            if refusal:
                refused[statement.name] = refusal
        return refused

    if store.dialect == "sqlite":
        assert store.read_sync(explain) == {}
    else:
        assert _refused_by_postgresql(store) == {}


def test_columns_hold_what_their_names_say(postgres_url: str) -> None:
    """PostgreSQL knows the type of each column; the names must tell the same."""
    store = open_store(postgres_url)
    store.start()
    sql = (
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = current_schema()"
    )
    columns = store.read_sync(lambda tx: tx.fetch(sql, ()))
    store.stop()
    allowed = {instant: {"bigint"}, Raw: {"text"}, bool: {"boolean"}}
    others = {"bigint", "text", "double precision"}
    wrong = [
        row
        for row in columns
        if row["data_type"] not in allowed.get(converter(row["column_name"]), others)
    ]
    assert wrong == []
    assert {row["data_type"] for row in columns} == others | {"boolean"}


def _refusal(tx: Tx, sql: str, parameters: int) -> str:
    try:
        tx.fetch(f"EXPLAIN {sql}", [None] * parameters)
    except sqlite3.Error as error:
        return str(error)
    return ""


def _refused_by_postgresql(store: Store) -> dict[str, str]:
    refused = {}
    with closing(psycopg.connect(store._conninfo, autocommit=True)) as connection:  # type: ignore[attr-defined]
        for statement in statements("postgresql"):
            result = connection.pgconn.prepare(statement.name.encode(), statement.sql.encode())
            if result.status != psycopg.pq.ExecStatus.COMMAND_OK:
                refused[statement.name] = result.get_error_message()
    return refused
