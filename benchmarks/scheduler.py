"""5,000 deployments with a run every minute: making them, planning them, keeping up.

    python benchmarks/scheduler.py [--deployments 5000] [--database URL]

Prints what is promised beside what was seen. Needs a minute or two, and no other load.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import UUID

from penstock.base.clock import ManualClock, utc_now
from penstock.schemas.deployments import DeploymentCreate, DeploymentScheduleCreate
from penstock.schemas.flows import FlowCreate
from penstock.schemas.schedules import CronSchedule
from penstock.server.ops import deployments, flows
from penstock.server.ops.context import Context
from penstock.server.services.scheduler import Scheduler
from penstock.server.store import open_store

MINUTES = 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deployments", type=int, default=5_000)
    parser.add_argument("--seconds", type=int, default=120, help="of steady state")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        passes(Path(folder), given.deployments)
    with tempfile.TemporaryDirectory() as folder:
        serving(Path(folder), given.deployments, given.seconds)


def report(what: str, seen: str, promised: str) -> None:
    print(f"{what:<52} {seen:>16}   {promised}", flush=True)


# --- one pass, without a server ------------------------------------------------------------------


def passes(folder: Path, count: int) -> None:
    """Time of a first pass, and of one that finds every schedule due again."""
    clock = ManualClock(utc_now())
    store = open_store(f"sqlite:///{folder}/passes.db", clock=clock)
    store.start()
    context = Context()
    flow = store.write_sync(flows.create_flow, context, body=FlowCreate(name="bench")).value
    for number in range(count):
        body = DeploymentCreate(
            flow_id=UUID(str(flow.id)), name=f"d{number}", schedules=[every_minute()]
        )
        store.write_sync(deployments.create_deployment, context, body=body)
    scheduler = Scheduler(store)
    began = time.perf_counter()
    made = asyncio.run(scheduler.run_once(clock.now()))
    report(f"first pass, {made} runs", f"{time.perf_counter() - began:.1f} s", "")
    worst, cpu, most = 0.0, time.process_time(), 0.0
    for _ in range(MINUTES):
        clock.advance(60)
        began, spent = time.perf_counter(), time.process_time()
        asyncio.run(scheduler.run_once(clock.now()))
        most = max(most, time.process_time() - spent)
        worst = max(worst, time.perf_counter() - began)
    share = (time.process_time() - cpu) / (60 * MINUTES)
    report("slowest pass, one a minute", f"{worst:.2f} s", "<= 1 s")
    report("CPU of the most expensive pass", f"{most:.2f} s", "")
    report("planning in steady state", f"{100 * share:.1f} % of a core", "")
    store.stop()


def every_minute() -> DeploymentScheduleCreate:
    return DeploymentScheduleCreate(schedule=CronSchedule(cron="* * * * *"))


# --- a server and one client ---------------------------------------------------------------------


def serving(folder: Path, count: int, seconds: int) -> None:
    """How fast one client makes deployments, and what a server then costs."""
    with server(folder) as (port, pid):
        connection = HTTPConnection("127.0.0.1", port)
        flow = post(connection, "/api/flows/", {"name": "bench"})
        began, spent = time.perf_counter(), cpu_seconds(pid)
        for number in range(count):
            body = {
                "name": f"d{number}",
                "flow_id": flow["id"],
                "schedules": [{"schedule": {"cron": "* * * * *"}}],
            }
            post(connection, "/api/deployments/", body)
        took = time.perf_counter() - began
        each = (cpu_seconds(pid) - spent) / count * 1000
        report("deployments made by one client", f"{count / took:.0f} /s", ">= 200 /s")
        report("server CPU for each", f"{each:.2f} ms", "")
        began = time.perf_counter()
        while (made := post(connection, "/api/flow_runs/count", {})) < count * 60:
            time.sleep(1)
        report(f"until all are planned ({made} runs)", f"{time.perf_counter() - began:.1f} s", "")
        before, began = cpu_seconds(pid), time.perf_counter()
        time.sleep(seconds)
        share = (cpu_seconds(pid) - before) / (time.perf_counter() - began)
        report("server in steady state", f"{100 * share:.1f} % of a core", "<= 10 %")


@contextmanager
def server(folder: Path) -> Iterator[tuple[int, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock", "server", "start", "--port", str(port)],
        env={**os.environ, "PENSTOCK_HOME": str(folder)},
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until_healthy(port)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def wait_until_healthy(port: int) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health"):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


def post(connection: HTTPConnection, path: str, body: object) -> Any:
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 300:
        raise SystemExit(f"{path} answered {answer.status}: {content.decode()}")
    return json.loads(content)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
