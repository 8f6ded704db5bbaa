"""Every named statement is one that the database understands."""

import sqlite3
from contextlib import closing

import psycopg

from penstock.server.store import Store
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
