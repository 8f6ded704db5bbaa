"""SQLite: one writer thread that commits in groups, reader threads on snapshots.

The writer takes what waits, runs each operation and commits them together, so that one flush to
disk serves all of them; their callers go on after it (see `flushing.py`). Readers use the
write-ahead log's snapshots and never wait for the writer. Other processes may use the same file.
"""

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any, ClassVar, Never

from penstock.base.clock import Clock
from penstock.schemas.errors import ObjectConflict, PenstockException, ServiceUnavailable
from penstock.server.store import migration
from penstock.server.store.columns import microseconds
from penstock.server.store.flushing import Commit, Flusher
from penstock.server.store.jobs import Crew, Hand, Job, settle
from penstock.server.store.parameters import adapt
from penstock.server.store.statements import Statements, maker_of, statements
from penstock.server.store.store import Store, runs
from penstock.server.store.transaction import Dialect, Row

READERS = 4
GROUP = 256
"""Operations in one commit at most."""
GROUP_SECONDS = 0.02
"""A commit is not put off longer than this by operations that keep arriving."""
BUSY_SECONDS = 20
"""How long to wait for another process that writes."""
CHECKPOINT_COMMITS = 200
"""Commits after which the log is copied into the database file, beside the writer."""
LOG_FRAMES = 8_192
"""Pages in the log above which the writer makes room itself, because it never stood still."""

_SETTINGS = (
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-2000",
    "PRAGMA mmap_size=33554432",
)

_CONFLICTS = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY,
}
_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
}


def _translated(error: sqlite3.Error) -> PenstockException | None:
    """The refusal that a driver error amounts to; None for an error of ours."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
        return ObjectConflict("an object that this one refers to is not there; make it first")
    if code in _CONFLICTS:
        _, _, columns = str(error).partition(": ")
        return ObjectConflict(f"the value of {columns} is taken by another object; choose another")
    if code & 0xFF in _UNAVAILABLE:
        return ServiceUnavailable(f"the database cannot be used now ({error}); try again")
    return None


def _use_log(connection: sqlite3.Connection) -> None:
    """Switch the file to write-ahead logging, which several processes may do at once.

    SQLite does not wait for the lock this needs the first time, so the waiting is done here.
    """
    end = monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > end:
                raise
            sleep(0.01)
        else:
            return


def _names(cursor: sqlite3.Cursor) -> tuple[str, ...]:
    return tuple([column[0] for column in cursor.description or ()])


class SqliteTx:
    """One operation's transaction: a savepoint of the writer, or a reader's snapshot."""

    __slots__ = (
        "_execute",
        "_executemany",
        "_statements",
        "count",
        "dialect",
        "failure",
        "now",
        "topics",
    )

    def __init__(self, connection: sqlite3.Connection, named: Statements, now: datetime) -> None:
        self.dialect: Dialect = "sqlite"
        self._execute = connection.execute
        self._executemany = connection.executemany
        self._statements = named
        self.now = now
        self.count = 0
        self.topics: set[str] = set()
        self.failure: BaseException | None = None

    def one(self, name: str, /, **params: Any) -> Row | None:
        statement = self._statements[name]
        cursor = self._executed(statement.sql, statement.values(params))
        # A changing statement is done, and its constraints are checked, only after its last row.
        try:
            if statement.changes:
                found = cursor.fetchall()
                values = found[0] if found else None
            else:
                values = cursor.fetchone()
        except sqlite3.Error as error:
            self._refuse(error)
        if values is None:
            return None
        if statement.maker is None:
            statement.maker = maker_of(_names(cursor))
        return statement.maker.row(values)

    def all(self, name: str, /, **params: Any) -> list[Row]:
        statement = self._statements[name]
        cursor = self._executed(statement.sql, statement.values(params))
        try:
            found = cursor.fetchall()
        except sqlite3.Error as error:
            self._refuse(error)
        if statement.maker is None:
            statement.maker = maker_of(_names(cursor))
        return statement.maker.rows(found)

    def run(self, name: str, /, **params: Any) -> int:
        statement = self._statements[name]
        return self._executed(statement.sql, statement.values(params)).rowcount

    def many(self, name: str, rows: Sequence[Mapping[str, Any]], /) -> int:
        if not rows:
            return 0
        statement = self._statements[name]
        self._step()
        try:
            return self._executemany(
                statement.sql, [statement.values(params) for params in rows]
            ).rowcount
        except sqlite3.Error as error:
            self._refuse(error)

    def fetch(self, sql: str, params: Sequence[Any], /) -> list[Row]:
        names, found = self.fetch_values(sql, params)
        return maker_of(names).rows(found)

    def fetch_values(
        self, sql: str, params: Sequence[Any], /
    ) -> tuple[tuple[str, ...], Sequence[Sequence[Any]]]:
        cursor = self._executed(sql, [adapt(value) for value in params])
        try:
            return _names(cursor), cursor.fetchall()
        except sqlite3.Error as error:
            self._refuse(error)

    def wake(self, topic: str, /) -> None:
        self.topics.add(topic)

    def _executed(self, sql: str, values: list[Any]) -> sqlite3.Cursor:
        self._step()
        try:
            return self._execute(sql, values)
        except sqlite3.Error as error:
            self._refuse(error)

    def _step(self) -> None:
        if self.failure is not None:
            raise self.failure
        self.count += 1

    def _refuse(self, error: sqlite3.Error) -> Never:
        self.failure = _translated(error) or error
        if self.failure is error:
            raise error
        raise self.failure from error


class _Group:
    """Operations that are committed together, each undone alone when it fails.

    They run without savepoints first, because hardly one fails after it has written something.
    When one does, the transaction is undone and all of them run again, each under a savepoint.
    """

    __slots__ = (
        "_clock",
        "_connection",
        "_guarded",
        "_named",
        "jobs",
        "statements",
        "topics",
        "transactions",
    )

    def __init__(self, connection: sqlite3.Connection, named: Statements, clock: Clock) -> None:
        self._connection = connection
        self._named = named
        self._clock = clock
        self._guarded = False
        self.jobs: list[Job] = []
        self.topics: set[str] = set()
        self.transactions = 0
        self.statements = 0

    def begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def run(self, job: Job) -> None:
        self.jobs.append(job)
        if self._guarded:
            self._run_guarded(job)
            return
        before = self._connection.total_changes
        if self._succeeds(job):
            return
        # Some errors, a full disk among them, make SQLite undo the whole transaction by itself.
        if not self._connection.in_transaction or self._connection.total_changes != before:
            self._start_over()

    def _start_over(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self.begin()
        self._guarded = True
        self.topics.clear()
        self.transactions = self.statements = 0
        for job in self.jobs:
            job.error = None
            self._run_guarded(job)

    def _run_guarded(self, job: Job) -> None:
        self._connection.execute("SAVEPOINT op")
        if not self._succeeds(job):
            self._connection.execute("ROLLBACK TO op")
        self._connection.execute("RELEASE op")

    def _succeeds(self, job: Job) -> bool:
        """Run an operation somebody still waits for; whether what it wrote may stay."""
        if job.abandoned():
            return True
        tx = SqliteTx(self._connection, self._named, self._clock.now())
        good = runs(job, tx) and tx.failure is None
        if good:
            self.topics |= tx.topics
        elif job.error is None and tx.failure is not None:
            job.fail(tx.failure)
        self.transactions += 1
        self.statements += tx.count
        return good


class SqliteStore(Store):
    """A store in one SQLite file; `path` None keeps it in a temporary one until `stop`."""

    dialect: ClassVar[Dialect] = "sqlite"

    def __init__(self, path: Path | None, clock: Clock) -> None:
        super().__init__(clock)
        self._path = path
        self._temporary: TemporaryDirectory[str] | None = None
        self._file = ""
        self._statements = statements("sqlite")
        self._writers = Crew("penstock-sqlite-writer", 1, self._serve_writes)
        self._readers = Crew("penstock-sqlite-reader", READERS, self._serve_reads)
        self._keeper: _LogKeeper | None = None
        self._flusher: Flusher | None = None

    # --- life ------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._locate()
        with closing(self._connect()) as connection:
            self._migrate(connection)
        self._keeper = _LogKeeper(self)
        if self._path is not None:
            self._flusher = Flusher(f"{self._file}-wal", self._woke, self._restart_log)

    def _close(self) -> None:
        self._flusher = None
        if self._keeper is not None:
            self._keeper.stop()
            self._keeper = None
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def _locate(self) -> None:
        if self._path is not None:
            self._file = str(self._path)
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise self._unopened(error) from error
        elif self._temporary is None:
            self._temporary = TemporaryDirectory(prefix="penstock-")
            self._file = str(Path(self._temporary.name) / "memory.db")

    def _unopened(self, error: Exception) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"the database file {self._file} cannot be opened ({error});"
            " check that its directory exists and can be written"
        )

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self._file,
                timeout=BUSY_SECONDS,
                isolation_level=None,
                cached_statements=256,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise self._unopened(error) from error
        try:
            self._configure(connection)
        except sqlite3.Error as error:
            connection.close()
            raise (_translated(error) or error) from error
        return connection

    def _configure(self, connection: sqlite3.Connection) -> None:
        _use_log(connection)
        # The log is copied by the keeper's thread, so that no commit waits for it.
        connection.execute("PRAGMA wal_autocheckpoint=0")
        for setting in _SETTINGS:
            connection.execute(setting)
        # The flusher writes the log to disk before a commit is acknowledged. A database that ends
        # with the process needs no disk.
        connection.execute(f"PRAGMA synchronous={'NORMAL' if self._path else 'OFF'}")

    def _migrate(self, connection: sqlite3.Connection) -> None:
        def execute(sql: str, params: tuple[Any, ...]) -> list[tuple[Any, ...]]:
            return connection.execute(sql, params).fetchall()

        def run_script(script: str) -> None:
            for statement in migration.parts(script):
                connection.execute(statement)

        try:
            connection.execute("BEGIN EXCLUSIVE")
            try:
                migration.migrate(execute, run_script, "sqlite", microseconds(self.clock.now()))
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise (_translated(error) or error) from error

    def _restart_log(self) -> None:
        """Bring the whole log into the database file and start it anew. Raises when it cannot."""
        with closing(self._connect()) as connection:
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise ServiceUnavailable("another process keeps the log of the database in use")

    def reset(self) -> None:
        with self._lifecycle:
            self._locate()
            with closing(self._connect()) as connection:
                connection.execute("PRAGMA foreign_keys=OFF")
                connection.execute("BEGIN EXCLUSIVE")
                for kind, name in migration.objects("sqlite"):
                    if kind in {"TABLE", "VIEW"}:  # triggers and indices go with them
                        connection.execute(f"DROP {kind} IF EXISTS {name}")
                connection.execute("COMMIT")
                connection.execute("PRAGMA foreign_keys=ON")
                self._migrate(connection)

    # --- writing ---------------------------------------------------------------------------------

    def _serve_writes(self, hand: Hand) -> None:
        connection: sqlite3.Connection | None = None
        while (job := hand.take()) is not None:
            connection = connection or self._connection_for(job)
            if connection is not None:
                self._write_group(connection, hand, job)
        if self._flusher is not None:
            # Before the log is removed, which the last connection does when it is closed.
            self._flusher.stop()
        if connection is not None:
            connection.close()

    def _connection_for(self, job: Job) -> sqlite3.Connection | None:
        """A thread's connection; without one its job is refused and the next one tries again."""
        try:
            return self._connect()
        except (sqlite3.Error, ServiceUnavailable) as error:
            job.fail(error)
            settle((job,))
            return None

    def _write_group(self, connection: sqlite3.Connection, hand: Hand, job: Job) -> None:
        group = _Group(connection, self._statements, self.clock)
        try:
            self._fill_group(group, hand, job)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo_group(connection, group.jobs or [job], error)
            settle(group.jobs or [job])
        else:
            self.statistics.add(
                commits=1, transactions=group.transactions, statements=group.statements
            )
            self._committed(Commit(group.jobs, group.topics))
        if self._keeper is not None:
            self._keeper.committed(connection)

    def _fill_group(self, group: "_Group", hand: Hand, first: Job) -> None:
        """Begin, and run the operations that wait."""
        group.begin()
        end = self.clock.monotonic() + GROUP_SECONDS
        job: Job | None = first
        while job is not None:
            group.run(job)
            if len(group.jobs) >= GROUP or self.clock.monotonic() >= end:
                break
            job = hand.more()

    def _committed(self, commit: Commit) -> None:
        if self._flusher is not None:
            self._flusher.submit(commit)
        else:
            self._woke(commit.topics)
            settle(commit.jobs)

    def _undo_group(
        self, connection: sqlite3.Connection, group: list[Job], error: sqlite3.Error
    ) -> None:
        """Nothing of the group was committed: whoever was not refused already is told so."""
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        failure = _translated(error) or ServiceUnavailable(
            f"the transaction was undone by the database ({error}); try again"
        )
        for job in group:
            if job.error is None:
                job.fail(failure)

    # --- reading ---------------------------------------------------------------------------------

    def _serve_reads(self, hand: Hand) -> None:
        connection: sqlite3.Connection | None = None
        while (job := hand.take()) is not None:
            if connection is None:
                connection = self._connection_for(job)
                if connection is None:
                    continue
                connection.execute("PRAGMA query_only=ON")
            if not job.abandoned():
                self._read(connection, job)
            settle((job,))
        if connection is not None:
            connection.close()

    def _read(self, connection: sqlite3.Connection, job: Job) -> None:
        tx = SqliteTx(connection, self._statements, self.clock.now())
        try:
            connection.execute("BEGIN")
            runs(job, tx)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            job.fail(_translated(error) or error)
            with suppress(sqlite3.Error):
                connection.rollback()
        if job.error is None and tx.failure is not None:
            job.fail(tx.failure)
        self.statistics.add(transactions=1, statements=tx.count)
        self._woke(tx.topics)


class _LogKeeper:
    """Copies the write-ahead log into the database file on a thread of its own."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._commits = 0
        self._overfull = False
        self._wanted = threading.Semaphore(0)
        self._stopping = False
        self._thread: threading.Thread | None = None

    def committed(self, connection: sqlite3.Connection) -> None:
        """Count a commit; called by the writer between two groups."""
        self._commits += 1
        if self._overfull:
            # Now nobody in this process writes, so the copy can catch up and the next commit
            # starts the log anew. Most of it was copied beside us: little is left to do.
            self._overfull = False
            with suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        if self._commits >= CHECKPOINT_COMMITS:
            self._commits = 0
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._serve, name="penstock-sqlite-log", daemon=True
                )
                self._thread.start()
            self._wanted.release()

    def stop(self) -> None:
        self._stopping = True
        self._wanted.release()
        if self._thread is not None:
            self._thread.join()

    def _serve(self) -> None:
        with closing(self._store._connect()) as connection:
            while True:
                self._wanted.acquire()
                if self._stopping:
                    return
                with suppress(sqlite3.Error):
                    _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                    self._overfull = frames > LOG_FRAMES
