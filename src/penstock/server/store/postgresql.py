"""PostgreSQL: a thread per connection, one transaction per operation.

Writers run under READ COMMITTED and lock the rows they decide about in their statements; readers
see one snapshot. Commits of several connections are grouped by the server itself. A connection
lost before the commit was sent, a deadlock, or a serialization failure repeats the operation; a
connection lost during the commit cannot be told from a committed one and is refused.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime
from random import random
from time import sleep
from typing import Any, ClassVar, Never

import psycopg
from psycopg import errors
from psycopg.pq.abc import PGresult

from penstock.base.clock import Clock
from penstock.schemas.errors import ObjectConflict, PenstockException, ServiceUnavailable
from penstock.server.store import migration
from penstock.server.store.columns import microseconds
from penstock.server.store.dsn import conninfo
from penstock.server.store.jobs import Crew, Hand, Job, settle
from penstock.server.store.parameters import adapt
from penstock.server.store.session import Session, changed, names
from penstock.server.store.statements import Statements, maker_of, numbered, statements
from penstock.server.store.store import Store, runs
from penstock.server.store.transaction import Dialect, Row

WRITERS = 8
READERS = 4
ATTEMPTS = 4
"""Times an operation is run when the database asks for a repeat."""
PAUSE_SECONDS = 0.02
"""Longest pause before the first repeat; later ones may be longer."""
MIGRATION_LOCK = 0x50454E53
"""Key of the advisory lock held while the schema changes (the ASCII codes of PENS)."""
_LOCK_KEY = f"{MIGRATION_LOCK}, hashtext(current_schema())"

_BEGIN_WRITE = b"BEGIN"
_BEGIN_READ = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

_REPEAT = (errors.DeadlockDetected, errors.SerializationFailure)


def _translated(error: psycopg.Error) -> PenstockException | None:
    """The refusal that a driver error amounts to; None for an error of ours."""
    if isinstance(error, errors.UniqueViolation):
        names = f"{error.diag.table_name} ({error.diag.constraint_name})"
        return ObjectConflict(f"the value is taken by another object of {names}; choose another")
    if isinstance(error, errors.ForeignKeyViolation):
        return ObjectConflict("an object that this one refers to is not there; make it first")
    if isinstance(error, psycopg.OperationalError):
        reason = str(error).strip().splitlines()
        return ServiceUnavailable(
            f"the database cannot be used now ({reason[0] if reason else error!r}); try again"
        )
    return None


class PostgresqlTx:
    """One operation's transaction on its thread's connection."""

    __slots__ = ("_session", "_statements", "count", "dialect", "failure", "now", "topics")

    def __init__(self, session: Session, named: Statements, now: datetime) -> None:
        self.dialect: Dialect = "postgresql"
        self._session = session
        self._statements = named
        self.now = now
        self.count = 0
        self.topics: set[str] = set()
        self.failure: psycopg.Error | None = None

    def one(self, name: str, /, **params: Any) -> Row | None:
        rows = self.all(name, **params)
        return rows[0] if rows else None

    def all(self, name: str, /, **params: Any) -> list[Row]:
        statement = self._statements[name]
        result = self._run(statement.sql, statement.values(params))
        if statement.maker is None:
            statement.maker = maker_of(names(result))
        return statement.maker.rows(self._session.rows(result))

    def run(self, name: str, /, **params: Any) -> int:
        statement = self._statements[name]
        return changed(self._run(statement.sql, statement.values(params)))

    def many(self, name: str, rows: Sequence[Mapping[str, Any]], /) -> int:
        if not rows:
            return 0
        statement = self._statements[name]
        values = [statement.values(params) for params in rows]
        self._step()
        try:
            return self._session.execute_many(statement.sql, values)
        except psycopg.Error as error:
            self._refuse(error)

    def fetch(self, sql: str, params: Sequence[Any], /) -> list[Row]:
        columns, found = self.fetch_values(sql, params)
        return maker_of(columns).rows(found)

    def fetch_values(
        self, sql: str, params: Sequence[Any], /
    ) -> tuple[tuple[str, ...], Sequence[Sequence[Any]]]:
        result = self._run(numbered(sql), [adapt(value) for value in params])
        return tuple(names(result)), self._session.rows(result)

    def wake(self, topic: str, /) -> None:
        self.topics.add(topic)

    def _run(self, sql: str, values: list[Any]) -> PGresult:
        self._step()
        try:
            return self._session.execute(sql, values)
        except psycopg.Error as error:
            self._refuse(error)

    def _step(self) -> None:
        if self.failure is not None:
            raise _translated(self.failure) or self.failure
        self.count += 1

    def _refuse(self, error: psycopg.Error) -> Never:
        self.failure = error
        refusal = _translated(error)
        if refusal is None:
            raise error
        raise refusal from error


class PostgresqlStore(Store):
    """A store in one PostgreSQL database, in the first schema of the search path."""

    dialect: ClassVar[Dialect] = "postgresql"

    def __init__(self, url: str, clock: Clock) -> None:
        super().__init__(clock)
        self._conninfo = conninfo(url)
        self._statements = statements("postgresql")
        self._writers = Crew("penstock-postgresql-writer", WRITERS, self._serve_writes)
        self._readers = Crew("penstock-postgresql-reader", READERS, self._serve_reads)

    # --- life ------------------------------------------------------------------------------------

    def _open(self) -> None:
        with closing(self._connect()) as session, _AdvisoryLock(session.connection):
            self._migrate(session.connection)

    def _close(self) -> None:
        """Every connection belongs to a thread and was closed by it."""

    def _connect(self) -> Session:
        try:
            return Session(self._conninfo)
        except psycopg.Error as error:
            raise (_translated(error) or error) from error

    def _migrate(self, connection: psycopg.Connection[Any]) -> None:
        def execute(sql: str, params: tuple[Any, ...]) -> list[tuple[Any, ...]]:
            cursor = connection.execute(sql.encode(), params or None)
            return cursor.fetchall() if cursor.description else []

        def run_script(script: str) -> None:
            connection.execute(script.encode())

        try:
            with connection.transaction():
                migration.migrate(execute, run_script, "postgresql", microseconds(self.clock.now()))
                connection.execute(statements("postgresql")["event.align"].sql.encode())
        except psycopg.Error as error:
            raise (_translated(error) or error) from error

    def reset(self) -> None:
        with (
            self._lifecycle,
            closing(self._connect()) as session,
            _AdvisoryLock(connection := session.connection),
        ):
            with connection.transaction():
                for kind, name in migration.objects("postgresql"):
                    connection.execute(f"DROP {kind} IF EXISTS {name} CASCADE".encode())
            self._migrate(connection)

    # --- operations ------------------------------------------------------------------------------

    def _serve_writes(self, hand: Hand) -> None:
        self._serve(hand, _BEGIN_WRITE)

    def _serve_reads(self, hand: Hand) -> None:
        self._serve(hand, _BEGIN_READ)

    def _serve(self, hand: Hand, begin: bytes) -> None:
        line = _Line(self)
        while (job := hand.take()) is not None:
            if not job.abandoned():
                self._carry_out(line, job, begin)
            settle((job,))
        line.close()

    def _carry_out(self, line: "_Line", job: Job, begin: bytes) -> None:
        """Run a job's operation, again when the database asks for it, and keep its outcome."""
        for attempt in range(1, ATTEMPTS + 1):
            job.result = job.error = None
            failure = self._attempt(line, job, begin)
            if failure is None:
                return
            if attempt == ATTEMPTS or not line.worth_repeating(failure):
                if job.error is None:
                    job.fail(_translated(failure) or failure)
                return
            # Two that blocked each other must not meet again in step.
            sleep(random() * PAUSE_SECONDS * attempt)  # noqa: S311 - no secret

    def _attempt(self, line: "_Line", job: Job, begin: bytes) -> psycopg.Error | None:
        """One transaction. Returns the database's failure; any other outcome is in the job."""
        try:
            tx = PostgresqlTx(line.begin(begin), self._statements, self.clock.now())
            done = runs(job, tx) and tx.failure is None
            self.statistics.add(transactions=1, statements=tx.count)
            if not done:
                line.rollback()
                return tx.failure
            line.commit()
        except psycopg.Error as error:
            line.close()
            return error
        except (_CommitUnknown, ServiceUnavailable) as error:
            job.fail(ServiceUnavailable(str(error)))
            return None
        self.statistics.add(commits=1)
        self._woke(tx.topics)
        return None


class _CommitUnknown(Exception):
    """The connection broke while the commit was on its way."""


class _Line:
    """A thread's session, made when it is needed and again after it was lost."""

    def __init__(self, store: PostgresqlStore) -> None:
        self._store = store
        self._session: Session | None = None

    def begin(self, statement: bytes) -> Session:
        if self._session is None:
            self._session = self._store._connect()
        self._session.command(statement)
        return self._session

    def commit(self) -> None:
        """Commit. Raises `_CommitUnknown` when the answer was lost."""
        assert self._session is not None
        try:
            self._session.command(b"COMMIT")
        except psycopg.OperationalError as error:
            if self.lost:
                self.close()
                raise _CommitUnknown(
                    "the connection to the database broke during a commit, which may or may not"
                    " have happened; repeat the request with the same id"
                ) from error
            raise

    def rollback(self) -> None:
        if self._session is None or self.lost:
            self.close()
        else:
            self._session.command(b"ROLLBACK")

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(psycopg.Error):
                session.close()

    @property
    def lost(self) -> bool:
        return self._session is None or self._session.lost

    def worth_repeating(self, failure: psycopg.Error) -> bool:
        """Whether the operation left no trace and may succeed when it is run again."""
        return isinstance(failure, _REPEAT) or (
            isinstance(failure, psycopg.OperationalError) and self._session is None
        )


class _AdvisoryLock:
    """Held on a session, so that it covers several transactions; ends with the connection."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        # Another process may need longer than the usual time limit for its migration.
        self._connection.execute("SET lock_timeout = 0")
        self._connection.execute(f"SELECT pg_advisory_lock({_LOCK_KEY})".encode())
        self._connection.execute("RESET lock_timeout")

    def __exit__(self, *exc_info: object) -> None:
        if not self._connection.closed:
            self._connection.execute(f"SELECT pg_advisory_unlock({_LOCK_KEY})".encode())
