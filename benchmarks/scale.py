"""Requests against a store with a million flow runs, five million task runs, ten million events.

    python benchmarks/scale.py [--flow-runs 1000000] [--database URL]... [--keep] [--only WORD]

Without --database: an SQLite file in the working directory, and a database `penstock_scale` on
the PostgreSQL server of $PENSTOCK_TEST_POSTGRES. Both are filled when they are empty, which takes
some minutes and, at the full size, 25 GB of disk each, and removed at the end unless --keep is
given. Each request goes over HTTP to a server process; printed are the median and the slowest of
some after a first one, and the CPU time of server and database for each, beside what is promised
for the median.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import scale_data

POSTGRES = os.environ.get("PENSTOCK_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
SERVER = """
import sys
from pathlib import Path
from penstock.server.config import ServerConfig
from penstock.server.serve import serve
serve(
    ServerConfig(database_url=sys.argv[1], home=Path(sys.argv[2]), services=False),
    port=0,
    ready=lambda url: print(url, flush=True),
)
"""


class Probe(NamedTuple):
    """A request and how many milliseconds it may take."""

    what: str
    path: str
    body: dict[str, Any]
    promised: float | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flow-runs", type=int, default=1_000_000)
    parser.add_argument("--database", action="append", help="filled when it has no flow runs")
    parser.add_argument("--keep", action="store_true", help="leave the databases where they are")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--only", default="", help="requests whose name has this word")
    given = parser.parse_args()
    missed = 0
    for url in given.database or [f"sqlite:///{Path.cwd()}/scale.db", postgresql()]:
        with filled(url, given.flow_runs, keep=given.keep), server(url) as (port, pid):
            print(f"\n{urlsplit(url).scheme}: {given.flow_runs} flow runs")
            missed += measure(port, partial(cpu_of_all, url, pid), given.only, given.repeats)
    sys.exit(1 if missed else 0)


def measure(port: int, cpu: Callable[[], float], only: str, repeats: int) -> int:
    """Print what each request takes; how many took longer than promised."""
    missed = 0
    with closing(HTTPConnection("127.0.0.1", port, timeout=300)) as connection:
        for probe in probes(connection):
            if only not in probe.what:
                continue
            first, spent = timed(connection, probe), cpu()
            times = [timed(connection, probe) for _ in range(repeats)]
            each = (cpu() - spent) / repeats * 1000
            median = statistics.median(times)
            late = probe.promised is not None and median > probe.promised
            missed += late
            promised = "" if probe.promised is None else f"<= {probe.promised:.0f} ms"
            print(
                f"{probe.what:<42} {median:8.1f} ms  slowest {max(times):8.1f}"
                f"  first {first:8.1f}  CPU {each:6.1f}  {promised}{': missed' if late else ''}",
                flush=True,
            )
    return missed


# --- the requests --------------------------------------------------------------------------------


def probes(connection: HTTPConnection) -> Iterator[Probe]:
    def first(path: str, body: dict[str, Any]) -> dict[str, Any]:
        return post(connection, path, {**body, "limit": 1})[0]

    run = first("/flow_runs/filter", {"sort": "ID_DESC", "flow_runs": is_state("COMPLETED")})
    flow, deployment = {"id": {"any_": [run["flow_id"]]}}, first("/deployments/filter", {})
    of_deployment = {"deployment_id": {"any_": [deployment["id"]]}}
    now = datetime.now(UTC)
    day = (now - timedelta(days=1)).isoformat()
    since = {"expected_start_time": {"after_": day}}
    tag = {"tags": {"all_": ["nightly"]}}

    def page(what: str, of: str, sort: str | None = None, **filters: Any) -> Probe:
        more = {} if sort is None else {"sort": sort}
        return Probe(f"page of 200 {what}", f"/{of}/filter", {**filters, **more}, 20)

    def count(what: str, of: str, **filters: Any) -> Probe:
        return Probe(f"count of {what}", f"/{of}/count", filters, 50)

    def history(what: str, of: str, hours: int = 24, **filters: Any) -> Probe:
        body = {
            "history_start": (now - timedelta(hours=hours)).isoformat(),
            "history_end": now.isoformat(),
            "history_interval_seconds": hours * 60,
            **filters,
        }
        return Probe(f"history of {hours} h, {what}", f"/{of}/history", body, 50)

    def events(what: str, id: str, **more: Any) -> Probe:
        names = {"any_resource": {"id": [id]}, "occurred": {"since": "2020-01-01T00:00:00Z"}}
        return Probe(f"event page of {what}", "/events/filter", {"filter": {**names, **more}}, 50)

    yield page("newest runs", "flow_runs", "START_TIME_DESC")
    yield page("runs of a flow", "flow_runs", "START_TIME_DESC", flows=flow)
    yield page("runs of a deployment", "flow_runs", "START_TIME_DESC", flow_runs=of_deployment)
    yield page("failed runs", "flow_runs", "END_TIME_DESC", flow_runs=is_state("FAILED"))
    failed = {**of_deployment, **is_state("FAILED")}
    yield page("failed runs of a deployment", "flow_runs", "START_TIME_DESC", flow_runs=failed)
    yield page("late runs", "flow_runs", flow_runs={"state": {"name": {"any_": ["Late"]}}})
    yield page("runs to come", "flow_runs", "NEXT_SCHEDULED_START_TIME_ASC", flow_runs=scheduled())
    yield page("runs with a tag", "flow_runs", "START_TIME_DESC", flow_runs=tag)
    like = {"name": {"like_": "run-77"}}
    yield page("runs called like", "flow_runs", flow_runs=like)._replace(promised=None)
    queue = {"name": {"any_": ["queue-3"]}}
    pool = {"name": {"any_": [scale_data.POOL]}}
    of_queue = {"work_pool_queues": queue, "work_pools": pool}
    yield page("runs of a queue", "flow_runs", "START_TIME_DESC", **of_queue)
    of_run = {"flow_run_id": {"any_": [run["id"]]}}
    yield page("task runs of a run", "task_runs", task_runs=of_run)
    yield page("newest task runs", "task_runs", "EXPECTED_START_TIME_DESC")
    yield page("failed task runs", "task_runs", "END_TIME_DESC", task_runs=is_state("FAILED"))
    yield count("runs of a flow", "flow_runs", flows=flow)
    yield count("runs of a deployment", "flow_runs", flow_runs=of_deployment)
    yield count("failed runs", "flow_runs", flow_runs=is_state("FAILED"))
    yield count("failed runs of 24 h", "flow_runs", flow_runs={**since, **is_state("FAILED")})
    yield count("runs of 24 h", "flow_runs", flow_runs=since)
    yield count("runs under way", "flow_runs", flow_runs=is_state("RUNNING", "PENDING"))
    yield count("task runs of a run", "task_runs", task_runs=of_run)
    yield count("failed task runs of 24 h", "task_runs", task_runs={**since, **is_state("FAILED")})
    yield count("all completed runs", "flow_runs", flow_runs=is_state("COMPLETED"))
    yield count("all runs", "flow_runs")
    yield history("runs", "flow_runs")
    yield history("runs of a flow", "flow_runs", flows=flow)
    yield history("task runs of 1 h", "task_runs", hours=1)
    yield events("a flow run", f"prefect.flow-run.{run['id']}")
    yield events("a flow", f"prefect.flow.{run['flow_id']}")
    yield events("a deployment", f"prefect.deployment.{deployment['id']}")
    name = {"prefix": ["prefect.flow-run."]}
    of_flow = f"prefect.flow.{run['flow_id']}"
    yield events("a flow, of runs only", of_flow, event=name)._replace(promised=None)
    path = f"/work_pools/{scale_data.POOL}/get_scheduled_flow_runs"
    long_ago = (now - timedelta(days=300)).isoformat()
    yield Probe("poll, nothing due", path, {"scheduled_before": long_ago}, 5)
    yield Probe("poll of 10, all queues backlogged", path, {"limit": 10, **before(now)}, 5)
    yield Probe("poll of 200, all queues backlogged", path, {"limit": 200, **before(now)}, 5)


def is_state(*types: str) -> dict[str, Any]:
    return {"state": {"type": {"any_": list(types)}}}


def scheduled() -> dict[str, Any]:
    return {
        **is_state("SCHEDULED"),
        "next_scheduled_start_time": {"after_": "2020-01-01T00:00:00Z"},
    }


def before(moment: datetime) -> dict[str, str]:
    return {"scheduled_before": moment.isoformat()}


def timed(connection: HTTPConnection, probe: Probe) -> float:
    began = time.perf_counter()
    post(connection, probe.path, probe.body)
    return (time.perf_counter() - began) * 1000


def post(connection: HTTPConnection, path: str, body: object) -> Any:
    connection.request("POST", f"/api{path}", json.dumps(body))
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 300:
        raise SystemExit(f"{path} answered {answer.status}: {content.decode()}")
    return json.loads(content)


# --- databases and servers -----------------------------------------------------------------------


def postgresql() -> str:
    return urlsplit(POSTGRES)._replace(path="/penstock_scale").geturl()


@contextmanager
def filled(url: str, flow_runs: int, *, keep: bool) -> Iterator[None]:
    """The database, with rows in it."""
    sqlite = url.startswith("sqlite")
    path = Path(url.removeprefix("sqlite:///"))
    if sqlite and not path.exists():
        require_space(path.parent, flow_runs)
        scale_data.fill(url, flow_runs)
    elif not sqlite and made(url):
        scale_data.fill(url, flow_runs)
    yield
    if keep:
        return
    if sqlite:
        for name in path.parent.glob(f"{path.name}*"):
            name.unlink()
    else:
        administer(url, f"DROP DATABASE {urlsplit(url).path[1:]} WITH (FORCE)")


def require_space(folder: Path, flow_runs: int) -> None:
    needed, free = flow_runs * scale_data.BYTES_PER_FLOW_RUN, shutil.disk_usage(folder).free
    if free < needed * 1.2:
        raise SystemExit(
            f"{folder} has {free >> 30} GiB free and {flow_runs} flow runs need"
            f" {needed >> 30} GiB; give a smaller --flow-runs or another --database"
        )


def made(url: str) -> bool:
    """Whether the database was made just now."""
    import psycopg

    try:
        administer(url, f"CREATE DATABASE {urlsplit(url).path[1:]}")
    except psycopg.errors.DuplicateDatabase:
        with closing(psycopg.connect(url)) as connection:
            row = connection.execute("SELECT to_regclass('flow_run') IS NULL").fetchone()
            return bool(row and row[0])
    return True


def administer(url: str, sql: str) -> None:
    import psycopg

    other = urlsplit(url)._replace(path="/postgres").geturl()
    with closing(psycopg.connect(other, autocommit=True)) as connection:
        connection.execute(sql.encode())


@contextmanager
def server(url: str) -> Iterator[tuple[int, int]]:
    """Port and process of a server on the database, without loops that would change it."""
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, url, home], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            if not address:
                raise SystemExit("the server did not start")
            yield urlsplit(address).port or 0, process.pid
        finally:
            process.terminate()
            process.wait()


def cpu_of_all(url: str, pid: int) -> float:
    """CPU time of the server and, where they run here, of its connections' processes in PostgreSQL.

    Processes that PostgreSQL starts for parts of one query are not in it.
    """
    pids = [pid]
    if not url.startswith("sqlite"):
        import psycopg

        with closing(psycopg.connect(url)) as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            pids += [row[0] for row in rows]
    return sum(cpu_seconds(one) for one in pids if Path(f"/proc/{one}").exists())


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
