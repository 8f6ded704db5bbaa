"""Rows for tests of transitions and of the recorder, and what became of them."""

from typing import Any

from msgspec import Raw

from penstock.base import json
from penstock.base.ids import uuid7
from penstock.server.store.transaction import Row, Tx

FLOW = "11111111-1111-7111-8111-111111111111"


def put_flow(tx: Tx, *, name: str = "etl", tags: tuple[str, ...] = ()) -> str:
    """The one flow of the test; made once."""
    if not tx.fetch("SELECT id FROM flow WHERE id = ?", [FLOW]):
        tx.fetch(
            "INSERT INTO flow (id, name, tags, created, updated) VALUES (?, ?, ?, 1, 1)"
            " RETURNING id",
            [FLOW, name, list(tags)],
        )
    return FLOW


def put_flow_run(tx: Tx, **fields: Any) -> str:
    """A flow run without a state."""
    columns = {"id": str(uuid7()), "flow_id": put_flow(tx), "name": "run", **fields}
    return _put(tx, "flow_run", columns)


def put_deployment(tx: Tx, **fields: Any) -> str:
    """A deployment of the one flow."""
    id = str(uuid7())
    return _put(tx, "deployment", {"id": id, "flow_id": put_flow(tx), "name": id, **fields})


def put_task_run(tx: Tx, **fields: Any) -> str:
    """A task run without a state."""
    id = str(uuid7())
    columns = {"id": id, "task_key": "add", "dynamic_key": id, "name": "add-0", **fields}
    return _put(tx, "task_run", columns)


def _put(tx: Tx, table: str, columns: dict[str, Any]) -> str:
    columns = {**columns, "created": 1, "updated": 1}
    marks = ", ".join("?" for _ in columns)
    tx.fetch(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) RETURNING id",
        list(columns.values()),
    )
    return columns["id"]


def run_row(tx: Tx, table: str, id: str) -> Row:
    """The row of a run with its documents decoded."""
    (row,) = tx.fetch(f"SELECT * FROM {table} WHERE id = ?", [id])
    return decoded(row)


def state_rows(tx: Tx, table: str, run_id: str) -> list[Row]:
    """All states of a run, oldest first."""
    sql = f"SELECT * FROM {table}_state WHERE {table}_id = ? ORDER BY timestamp, id"
    return [decoded(row) for row in tx.fetch(sql, [run_id])]


def events(tx: Tx) -> list[Row]:
    """All events in the order of their recording."""
    return [decoded(row) for row in tx.fetch("SELECT * FROM event ORDER BY seq", [])]


def timers(tx: Tx) -> list[Row]:
    return [decoded(row) for row in tx.fetch("SELECT * FROM timer ORDER BY kind, key", [])]


def decoded(row: Row) -> Row:
    return {
        name: json.decode(value) if isinstance(value, Raw) else value for name, value in row.items()
    }
