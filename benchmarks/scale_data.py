"""Fills an empty store with many runs and events, in bulk, the way use would have left them.

    python benchmarks/scale_data.py DATABASE_URL [--flow-runs 1000000]

For each flow run there are 5 task runs, 10 events and a log. Runs are spread evenly over the last
30 days; the newest hundredth is scheduled, half of it due, in the queues of one work pool. The
database makes the rows itself, with its indexes dropped meanwhile and built again at the end.
"""

import argparse
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.server.store import open_store

SPAN = timedelta(days=30)
TASKS, EVENTS = 5, 10
"""Of each flow run."""
FLOWS, DEPLOYMENTS, QUEUES = 200, 500, 10
BATCH = 100_000
"""Flow runs in one transaction."""
BYTES_PER_FLOW_RUN = 25_000
"""Of disk, with all that belongs to the run."""
POOL = "scale"
TABLES = (
    "log",
    "flow_run",
    "flow_run_state",
    "task_run",
    "task_run_state",
    "event",
    "event_resource",
)

Execute = Callable[[str], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database")
    parser.add_argument("--flow-runs", type=int, default=1_000_000)
    given = parser.parse_args()
    fill(given.database, given.flow_runs)


def fill(url: str, flow_runs: int, *, report: Callable[[str], object] = print) -> None:
    """Make the schema and the rows. The database must be empty."""
    store = open_store(url)
    store.start()
    store.stop()
    dialect = "sqlite" if url.startswith("sqlite") else "postgresql"
    rows = Rows(dialect, flow_runs, datetime.now(UTC))
    began = time.perf_counter()

    def tell(what: str) -> None:
        report(f"{what:<32} {time.perf_counter() - began:6.0f} s")

    with (_sqlite if dialect == "sqlite" else _postgresql)(url) as (execute, batch):
        with without_indexes(execute, dialect):
            with batch():
                for statement in rows.surroundings():
                    execute(statement)
            for first in range(0, flow_runs, BATCH):
                last = min(first + BATCH, flow_runs)
                with batch():
                    for statement in rows.runs(first, last):
                        execute(statement)
                tell(f"{last} flow runs")
            with batch():
                execute(rows.event_resources())
            tell("resources of events")
        tell("indexes")
        if dialect == "postgresql":
            execute("VACUUM ANALYZE")  # as autovacuum does while rows come slowly


class Rows:
    """The statements that make the rows, as a function of a row's number."""

    def __init__(self, dialect: str, flow_runs: int, now: datetime) -> None:
        self.sqlite = dialect == "sqlite"
        self.end = int(now.timestamp() * 1_000_000)
        self.step = SPAN // timedelta(microseconds=1) // flow_runs
        self.begin = self.end - self.step * flow_runs
        self.scheduled = flow_runs - flow_runs // 100

    def series(self, first: int, last: int) -> str:
        """A table `series` of the numbers `n` from `first` to below `last`."""
        if self.sqlite:
            more = f"SELECT {first} UNION ALL SELECT n + 1 FROM series WHERE n + 1 < {last}"
            return f"WITH RECURSIVE series (n) AS ({more})"
        return f"WITH series (n) AS (SELECT generate_series({first}::bigint, {last} - 1))"

    def moment(self, run: str) -> str:
        """When the flow run of that number began."""
        return f"({self.begin} + {self.step} * {run})"

    def identity(self, kind: int, number: str, run: str | None = None) -> str:
        """An id that rises with the time of the run, or with the number alone."""
        ms = f"({self.moment(run) if run else self.begin} / 1000)"
        if self.sqlite:
            form = f"%08x-%04x-7{kind:03x}-8000-%012x"
            return f"printf('{form}', {ms} / 65536, {ms} % 65536, {number})"
        high, low = f"to_hex({ms} / 65536)", f"to_hex({ms} % 65536)"
        return (
            f"(lpad({high}, 8, '0') || '-' || lpad({low}, 4, '0') || '-7{kind:03x}-8000-'"
            f" || lpad(to_hex(({number})::bigint), 12, '0'))"
        )

    # --- few rows --------------------------------------------------------------------------------

    def surroundings(self) -> Iterator[str]:
        pool, now = self.identity(3, "0"), self.begin
        yield f"""INSERT INTO work_pool (id, name, type, created, updated)
            SELECT {pool}, '{POOL}', 'process', {now}, {now}"""
        yield f"""{self.into("work_queue", "id, work_pool_id, name, priority, created, updated")}
            {self.series(0, QUEUES)}
            SELECT {self.identity(4, "n")}, {pool}, 'queue-' || n, n + 1, {now}, {now}
            FROM series"""
        yield f"""{self.into("flow", "id, name, tags, created, updated")} {self.series(0, FLOWS)}
            SELECT {self.identity(1, "n")}, 'flow-' || n, '["scale"]', {now}, {now} FROM series"""
        yield f"""{self.into("deployment", "id, flow_id, name, work_queue_id, created, updated")}
            {self.series(0, DEPLOYMENTS)}
            SELECT {self.identity(2, "n")}, {self.identity(1, f"n % {FLOWS}")}, 'deployment-' || n,
                {self.identity(4, f"n % {QUEUES}")}, {now}, {now} FROM series"""

    def into(self, table: str, columns: str) -> str:
        return f"INSERT INTO {table} ({columns})"

    # --- many rows -------------------------------------------------------------------------------

    def runs(self, first: int, last: int) -> Iterator[str]:
        series = self.series(first, last)
        at, due = self.moment("n"), self.scheduled
        state = (
            f"CASE WHEN n >= {due} THEN 'SCHEDULED' WHEN n >= {due} - 40 THEN 'RUNNING'"
            f" WHEN n >= {due} - 80 THEN 'PENDING' WHEN n % 100 < 3 THEN 'FAILED'"
            " WHEN n % 100 = 3 THEN 'CRASHED' WHEN n % 100 = 4 THEN 'CANCELLED'"
            " ELSE 'COMPLETED' END"
        )
        later = f"{self.end} + (n % 86400) * 1000000"
        start = f"CASE WHEN n >= {due} AND n % 2 = 1 THEN {later} ELSE {at} END"
        done = f"n < {due} - 80"
        run, run_state = self.identity(5, "n", "n"), self.identity(6, "n", "n")
        yield f"""{self.into("flow_run", _FLOW_RUN)} {series}
            SELECT {run}, {self.identity(1, f"n % {FLOWS}")},
                CASE WHEN n % 4 > 0 OR n >= {due} THEN {self.identity(2, f"n % {DEPLOYMENTS}")} END,
                'run-' || n, '{{"day": "2026-01-01", "limit": ' || n || '}}',
                '{{"retries": 0, "retry_delay": 0}}',
                CASE n % 3 WHEN 0 THEN '["scale"]' WHEN 1 THEN '["scale", "nightly"]' ELSE '[]' END,
                CASE WHEN n % 4 > 0 OR n >= {due} THEN {self.identity(4, f"n % {QUEUES}")} END,
                {run_state}, state, CASE state WHEN 'SCHEDULED' THEN 'Scheduled'
                    WHEN 'COMPLETED' THEN 'Completed' WHEN 'FAILED' THEN 'Failed'
                    WHEN 'CRASHED' THEN 'Crashed' WHEN 'CANCELLED' THEN 'Cancelled'
                    WHEN 'RUNNING' THEN 'Running' ELSE 'Pending' END,
                {at} + 9000000, 3, CASE WHEN n < {due} - 40 THEN 1 ELSE 0 END,
                CASE WHEN n < {due} THEN {at} + 1000000 END,
                CASE WHEN {done} THEN {at} + 9000000 END,
                expected, CASE state WHEN 'SCHEDULED' THEN expected END,
                CASE WHEN {done} THEN 8.0 ELSE 0.0 END, {at}, {at} + 9000000
            FROM (SELECT n, {state} AS state, {start} AS expected FROM series) AS made"""
        yield f"""{self.into("flow_run_state", "id, flow_run_id, type, name, timestamp, message")}
            {series} SELECT {run_state}, {run}, {state}, 'State', {at} + 9000000, 'All states done.'
            FROM series"""
        yield f"""{self.into("log", "id, name, level, message, timestamp, flow_run_id, created")} {
            series
        }
            SELECT {self.identity(10, "n", "n")}, 'penstock.flow_runs', 20 + (n % 3) * 10,
                'Finished in state Completed', {at}, {run}, {at} FROM series"""
        yield from self._tasks(first * TASKS, last * TASKS)
        yield self._events(first * EVENTS, last * EVENTS)

    def _tasks(self, first: int, last: int) -> Iterator[str]:
        series, of_run = self.series(first, last), f"(n / {TASKS})"
        at, task = self.moment(of_run), self.identity(7, "n", of_run)
        state = self.identity(8, "n", of_run)
        failed = f"{of_run} % 100 < 3 AND n % {TASKS} = 4"
        type_ = f"CASE WHEN {failed} THEN 'FAILED' ELSE 'COMPLETED' END"
        yield f"""{self.into("task_run", _TASK_RUN)} {series}
            SELECT {task}, {self.identity(5, of_run, of_run)},
                'work-' || (n % {TASKS}) || '-0a1b2c3d', '0', 'work-' || (n % {TASKS}), '{{}}',
                '{{"retries": 0}}', '["scale"]', {state}, {type_},
                CASE WHEN {failed} THEN 'Failed' ELSE 'Completed' END, {at} + 4000000, 3, 1,
                {at} + 2000000, {at} + 4000000, {at} + 1000000, 2.0, {at}, {at}
            FROM series"""
        yield f"""{self.into("task_run_state", "id, task_run_id, type, name, timestamp")} {series}
            SELECT {state}, {task}, {type_}, 'State', {at} + 4000000 FROM series"""

    def _events(self, first: int, last: int) -> str:
        of_run = f"(n / {EVENTS})"
        run = f"'prefect.flow-run.' || {self.identity(5, of_run, of_run)}"
        flow = f"'prefect.flow.' || {self.identity(1, f'{of_run} % {FLOWS}')}"
        deployment = f"'prefect.deployment.' || {self.identity(2, f'{of_run} % {DEPLOYMENTS}')}"
        task_number = f"({of_run} * {TASKS} + (n % {EVENTS} - 3) * {TASKS} / {EVENTS - 3})"
        task = f"'prefect.task-run.' || {self.identity(7, task_number, of_run)}"
        mine = f"n % {EVENTS} < 3"
        resource = f"CASE WHEN {mine} THEN {run} ELSE {task} END"
        name = (
            f"CASE n % {EVENTS} WHEN 0 THEN 'prefect.flow-run.Pending'"
            " WHEN 1 THEN 'prefect.flow-run.Running' WHEN 2 THEN 'prefect.flow-run.Completed'"
            " WHEN 3 THEN 'prefect.task-run.Pending' WHEN 4 THEN 'prefect.task-run.Running'"
            " ELSE 'prefect.task-run.Completed' END"
        )

        def entry(id: str, role: str) -> str:
            first_part = f'\'{{"prefect.resource.id": "\' || {id} || \'", '
            return f'{first_part}"prefect.resource.role": "{role}"}}\''

        related = (
            f"'[' || CASE WHEN {mine} THEN {entry(deployment, 'deployment')}"
            f" ELSE {entry(run, 'flow-run')} END || ', ' || {entry(flow, 'flow')} || ']'"
        )
        moment = f"{self.moment(of_run)} + (n % {EVENTS}) * 1000000"
        return f"""{self.into("event", _EVENT)} {self.series(first, last)}
            SELECT n + 1, {self.identity(9, "n", of_run)}, {moment}, {moment}, {name}, {resource},
                '{{"prefect.resource.id": "' || {resource} || '", "prefect.resource.name": "run",'
                || ' "prefect.run-count": "1", "prefect.state-type": "COMPLETED"}}', {related},
                '{{"intended": {{"from": "PENDING", "to": "RUNNING"}}, "initial_state": null}}'
            FROM series"""

    def event_resources(self) -> str:
        """What the trigger would have made, in the order of its key: each goes to the end."""
        if self.sqlite:
            members, id = (
                "json_each(related) AS e",
                "json_extract(e.value, '$.\"prefect.resource.id\"')",
            )
        else:
            members, id = "json_array_elements(related::json) AS e", "e ->> 'prefect.resource.id'"
        return f"""INSERT INTO event_resource (resource_id, occurred, seq)
            SELECT resource_id, occurred, seq FROM event
            UNION ALL SELECT {id}, occurred, seq FROM event, {members} ORDER BY 1, 2, 3"""


_FLOW_RUN = (
    "id, flow_id, deployment_id, name, parameters, empirical_policy, tags, work_queue_id, state_id,"
    " state_type, state_name, state_timestamp, version, run_count, start_time, end_time,"
    " expected_start_time, next_scheduled_start_time, total_run_time, created, updated"
)
_TASK_RUN = (
    "id, flow_run_id, task_key, dynamic_key, name, task_inputs, empirical_policy, tags, state_id,"
    " state_type, state_name, state_timestamp, version, run_count, start_time, end_time,"
    " expected_start_time, total_run_time, created, updated"
)
_EVENT = "seq, id, occurred, received, event, resource_id, resource, related, payload"


# --- the two databases ---------------------------------------------------------------------------


@contextmanager
def _sqlite(url: str) -> Iterator[Any]:
    path = url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-400000"):
            connection.execute(f"PRAGMA {pragma}").fetchall()

        def execute(sql: str) -> Any:
            return connection.execute(sql).fetchall()

        @contextmanager
        def batch() -> Iterator[None]:
            execute("BEGIN")
            yield
            execute("COMMIT")

        ((trigger,),) = execute("SELECT sql FROM sqlite_master WHERE name = 'event_index'")
        execute("DROP TRIGGER event_index")
        yield execute, batch
        execute(trigger)
        execute("PRAGMA journal_mode=WAL")


@contextmanager
def _postgresql(url: str) -> Iterator[Any]:
    import psycopg

    with closing(psycopg.connect(url, autocommit=True)) as connection:
        # Without triggers and checks of references; only a superuser may.
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET maintenance_work_mem = '512MB'")
        connection.execute("SET work_mem = '256MB'")

        def execute(sql: str) -> Any:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

        yield execute, connection.transaction


@contextmanager
def without_indexes(execute: Execute, dialect: str) -> Iterator[None]:
    """The large tables without those of their indexes that are no constraints."""
    if dialect == "sqlite":
        found = execute(
            "SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        )
    else:
        found = execute(
            "SELECT tablename, indexname, indexdef FROM pg_indexes"
            " WHERE schemaname = current_schema() AND NOT EXISTS (SELECT 1 FROM pg_constraint"
            " WHERE conindid = format('%I.%I', schemaname, indexname)::regclass)"
        )
    dropped = [(name, sql) for table, name, sql in found if table in TABLES]
    for name, _ in dropped:
        execute(f"DROP INDEX {name}")
    yield
    for _, sql in dropped:
        execute(sql)


if __name__ == "__main__":
    main()
