"""One PostgreSQL connection, driven by the driver's own libpq calls.

The cursor of psycopg costs about as much CPU as the whole exchange with the server. An operation
needs little of it: prepared statements, parameters as text, rows as tuples. Rows are converted
and errors are made by psycopg.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

PREPARED = 256
"""Statements kept prepared on a connection; the one not used longest goes first."""
PIPELINED = 4
"""Rows from which on sending all before waiting is cheaper than one exchange for each."""

_SENT: dict[type, tuple[int, Callable[[Any], bytes | None]]] = {
    # The type of text and null is left to the server, which sees where they are used.
    type(None): (0, lambda value: None),
    str: (0, str.encode),
    int: (20, lambda value: b"%d" % value),
    bool: (16, lambda value: b"t" if value else b"f"),
    float: (701, lambda value: repr(value).encode()),
    bytes: (17, lambda value: b"\\x" + value.hex().encode()),
}


class Session:
    """An open connection, outside or inside a transaction that its user controls."""

    def __init__(self, conninfo: str) -> None:
        self.connection: psycopg.Connection[Any] = psycopg.connect(conninfo, autocommit=True)
        self._pgconn = self.connection.pgconn
        self._transformer = Transformer(self.connection)
        self._cursor = psycopg.RawCursor(self.connection)
        self._prepared: OrderedDict[tuple[str, tuple[int, ...]], bytes] = OrderedDict()
        self._made = 0

    def close(self) -> None:
        self.connection.close()

    @property
    def lost(self) -> bool:
        """Whether the connection is gone, with whatever transaction it had."""
        return (
            self.connection.closed
            or self._pgconn.transaction_status == TransactionStatus.UNKNOWN
            or self._pgconn.status == ConnStatus.BAD
        )

    def command(self, sql: bytes) -> None:
        """A statement without parameters or rows."""
        self._checked(self._pgconn.exec_(sql))

    def execute(self, sql: str, values: Sequence[Any]) -> PGresult:
        """One prepared statement. Raises `psycopg.Error`."""
        types: list[int] = []
        sent: list[Any] = []
        for value in values:
            oid, convert = _SENT[type(value)]
            types.append(oid)
            sent.append(convert(value))
        name = self._name(sql, tuple(types))
        return self._checked(self._pgconn.exec_prepared(name, sent))

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        """A statement for each of the rows; how many rows of the database they changed."""
        if len(rows) < PIPELINED:
            return sum(changed(self.execute(sql, values)) for values in rows)
        # The driver's types allow only literal text as a query; ours comes from checked files.
        cursor: Any = self._cursor
        cursor.executemany(sql, rows)
        return self._cursor.rowcount

    def rows(self, result: PGresult) -> list[tuple[Any, ...]]:
        if not result.ntuples:
            return []
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def _name(self, sql: str, types: tuple[int, ...]) -> bytes:
        key = (sql, types)
        name = self._prepared.get(key)
        if name is not None:
            self._prepared.move_to_end(key)
            return name
        if len(self._prepared) >= PREPARED:
            _, oldest = self._prepared.popitem(last=False)
            self.command(b"DEALLOCATE " + oldest)
        self._made += 1
        name = b"penstock_%d" % self._made
        self._checked(self._pgconn.prepare(name, sql.encode(), types))
        self._prepared[key] = name
        return name

    def _checked(self, result: PGresult) -> PGresult:
        if result.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
            return result
        if self.lost:
            reason = self._pgconn.error_message.decode(errors="replace").strip()
            raise psycopg.OperationalError(reason or "the connection was lost")
        raise error_from_result(result)


def names(result: PGresult) -> list[str]:
    """The column names of a result."""
    return [(result.fname(column) or b"").decode() for column in range(result.nfields)]


def changed(result: PGresult) -> int:
    """How many rows a statement inserted, updated or deleted, or returned."""
    return result.command_tuples or 0
