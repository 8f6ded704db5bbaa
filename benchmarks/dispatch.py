"""From a request to running user code: workers, serve, schedules, bursts, cancellation, memory.

    python benchmarks/dispatch.py [--runs 30] [--only warm,fresh,...] [--peer PYTHON]

Server, worker and serve run in processes of their own on a database in a temporary directory. With
`--peer`, the interpreter of an environment with the peer, the same is measured for the peer where
it takes part (its worker polls, so this takes minutes). Prints what is promised beside what was
seen. Needs about a minute, and no other load.
"""

import argparse
import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from penstock.client.orchestration import SyncPenstockClient
from penstock.schemas.deployments import DeploymentCreate, DeploymentFlowRunCreate
from penstock.schemas.flows import FlowCreate
from penstock.schemas.states import SetStateBody, StateCreate, StateDetails, StateType
from penstock.schemas.work import WorkPoolCreate, WorkPoolUpdate

PROJECT = """\
import os
import time

from {package} import flow


@flow
def timed(mark: str, seconds: float = 0.0):
    now = time.time()
    with open(mark, "a") as file:
        file.write(f"{{now}} {{os.getpid()}} {{mark}}\\n")
    time.sleep(seconds)


if __name__ == "__main__":
    timed.serve("served")
"""
POOL = "bench"
PATIENCE = 120.0


class System:
    """A server with a project, for Penstock or for the peer."""

    def __init__(self, folder: Path, peer: str | None) -> None:
        self.folder = folder
        self.package = "prefect" if peer else "penstock"
        self.python = peer or sys.executable
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.api = f"http://127.0.0.1:{self.port}/api"
        (folder / "flows.py").write_text(PROJECT.format(package=self.package))
        self.marks = folder / "marks"
        self.marks.mkdir()
        self.more: dict[str, str] = {}
        self._count = 0

    @property
    def environment(self) -> dict[str, str]:
        prefix = self.package.upper()
        return os.environ | {
            f"{prefix}_HOME": str(self.folder / "home"),
            f"{prefix}_API_URL": self.api,
            f"{prefix}_LOGGING_LEVEL": "WARNING",
            f"{prefix}_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            **self.more,
        }

    @contextlib.contextmanager
    def process(self, *command: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [self.python, *command],
                cwd=self.folder,
                env=self.environment | more,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    @contextlib.contextmanager
    def server(self) -> Iterator[SyncPenstockClient]:
        with self.process("-m", self.package, "server", "start", "--port", str(self.port)):
            self._wait_for(self._healthy)
            yield SyncPenstockClient(self.api)

    def worker(self, *options: str, **more: str) -> Any:
        return self.process("-m", self.package, "worker", "start", "--pool", POOL, *options, **more)

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.api}/health", timeout=1):
                return True
        except OSError:
            return False

    def _wait_for(self, what: Callable[[], bool], patience: float = PATIENCE) -> None:
        deadline = time.monotonic() + patience
        while not what():
            if time.monotonic() > deadline:
                raise TimeoutError((self.folder / "log").read_text()[-3000:])
            time.sleep(0.002)

    # --- runs ------------------------------------------------------------------------------------

    def deploy(self, client: SyncPenstockClient, name: str, **fields: Any) -> Any:
        flow = client.call("create_flow", body=FlowCreate(name="timed"))
        body = DeploymentCreate(
            flow_id=flow.id,
            name=name,
            entrypoint="flows.py:timed",
            work_pool_name=POOL,
            path=str(self.folder),
            pull_steps=[
                {"prefect.deployments.steps.set_working_directory": {"directory": str(self.folder)}}
            ],
            **fields,
        )
        return client.call("create_deployment", body=body).id

    def mark(self) -> Path:
        self._count += 1
        path = self.marks / str(self._count)
        path.touch()
        return path

    def request(self, client: Any, id: Any, mark: Path, at: Any = None, seconds: float = 0) -> Any:
        body = DeploymentFlowRunCreate(
            parameters={"mark": str(mark), "seconds": seconds},
            state=StateCreate(
                type=StateType.SCHEDULED,
                state_details=StateDetails(scheduled_time=at or datetime.now(UTC)),
            ),
        )
        return client.call("create_flow_run_from_deployment", id, body=body)

    def marks_of(self, mark: Path, count: int) -> list[tuple[float, int]]:
        """When each run began to execute user code, and in which process; waits for all."""
        self._wait_for(lambda: mark.read_text().count("\n") >= count)
        lines = [line.split() for line in mark.read_text().splitlines()]
        return [(float(line[0]), int(line[1])) for line in lines]

    def latency(self, client: Any, id: Any) -> float:
        """Milliseconds from a request to user code."""
        mark = self.mark()
        start = time.time()
        self.request(client, id, mark)
        ((began, _),) = self.marks_of(mark, 1)
        return (began - start) * 1e3

    def await_service(self, client: Any, id: Any) -> None:
        """Returns when a first run has begun, so that whoever serves is there."""
        self.latency(client, id)
        time.sleep(0.5)


def report(what: str, seen: str, promised: str = "") -> None:
    print(f"{what:<62} {seen:>14}   {promised}", flush=True)


def median_latency(system: System, client: Any, id: Any, runs: int) -> str:
    seen = []
    for _ in range(runs):
        seen.append(system.latency(client, id))
        time.sleep(0.1)
    return f"{statistics.median(seen):.0f} ms"


def warm(system: System, client: Any, runs: int) -> None:
    id = system.deploy(client, "warm")
    with system.worker():
        system.await_service(client, id)
        report(
            "request to user code, process worker (p50)",
            median_latency(system, client, id, runs),
            "100 ms",
        )


def fresh(system: System, client: Any, runs: int) -> None:
    id = system.deploy(
        client, "fresh", job_variables={"env": {"PENSTOCK_RUNNER_FRESH_INTERPRETER": "true"}}
    )
    with system.worker():
        system.await_service(client, id)
        report(
            "request to user code, fresh interpreter (p50)",
            median_latency(system, client, id, runs),
            "500 ms",
        )


def serve(system: System, client: Any, runs: int) -> None:
    with system.process("flows.py"):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                id = client.read_deployment_by_name("timed/served").id
                break
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        system.await_service(client, id)
        report(
            "request to user code, serve (p50)", median_latency(system, client, id, runs), "100 ms"
        )


def scheduled(system: System, client: Any, runs: int) -> None:
    """Ten runs a second, scheduled beforehand at their times."""
    id = system.deploy(client, "scheduled")
    count = max(100, runs)
    with system.worker():
        system.await_service(client, id)
        start = datetime.now(UTC) + timedelta(seconds=5)
        times = [start + timedelta(seconds=index / 10) for index in range(count)]
        marks = [system.mark() for _ in times]
        for at, mark in zip(times, marks, strict=True):
            system.request(client, id, mark, at=at)
        late = []
        for at, mark in zip(times, marks, strict=True):
            ((began, _),) = system.marks_of(mark, 1)
            late.append((began - at.timestamp()) * 1e3)
    late.sort()
    p50, p99 = statistics.median(late), late[int(len(late) * 0.99) - 1]
    report(f"scheduled time to user code, 10 runs/s, {count} runs (p50)", f"{p50:.0f} ms")
    report(f"scheduled time to user code, 10 runs/s, {count} runs (p99)", f"{p99:.0f} ms", "300 ms")
    report("the earliest of them", f"{late[0]:.0f} ms", "not before")


def burst(system: System, client: Any, runs: int) -> None:
    id = system.deploy(client, "burst")
    client.call("update_work_pool", POOL, body=WorkPoolUpdate(concurrency_limit=10))
    try:
        with system.worker():
            system.await_service(client, id)
            mark = system.mark()
            start = time.time()
            made = [system.request(client, id, mark) for _ in range(30)]
            system.marks_of(mark, 30)
            for run in made:
                system._wait_for(lambda run=run: client.read_flow_run(run.id).end_time is not None)
            spent = time.time() - start
    finally:
        client.call("update_work_pool", POOL, body=WorkPoolUpdate(concurrency_limit=None))
    report("burst of 30, limit 10", f"{30 / spent * 60:.0f} runs/min", "600 runs/min")


def memory(system: System, client: Any, runs: int) -> None:
    id = system.deploy(client, "memory")
    with system.worker():
        system.await_service(client, id)
        mark = system.mark()
        for _ in range(5):
            system.request(client, id, mark, seconds=8)
        processes = [pid for _, pid in system.marks_of(mark, 5)]
        time.sleep(1.0)
        mean = statistics.mean(_private(pid) for pid in processes)
    report("private memory per running process (mean of 5)", f"{mean:.1f} MiB", "20 MiB")


def _private(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = [line.split() for line in text.splitlines() if line.startswith("Private")]
    return sum(int(words[1]) for words in found) / 1024


def cancel(system: System, client: Any, runs: int) -> None:
    id = system.deploy(client, "cancel")
    seen = []
    with system.worker():
        system.await_service(client, id)
        for _ in range(5):
            mark = system.mark()
            run = system.request(client, id, mark, seconds=60)
            ((_, pid),) = system.marks_of(mark, 1)
            time.sleep(0.5)
            start = time.time()
            body = SetStateBody(state=StateCreate(type=StateType.CANCELLING))
            client.call("set_flow_run_state", run.id, body=body)
            system._wait_for(lambda pid=pid: not Path(f"/proc/{pid}").exists())
            seen.append((time.time() - start) * 1e3)
    report(
        "cancel request to process gone (p50 of 5)", f"{statistics.median(seen):.0f} ms", "300 ms"
    )


def listing(system: System, client: Any, runs: int) -> None:
    for index in range(20):
        system.deploy(client, f"listed-{index}")
    seen = []
    for _ in range(7):
        start = time.monotonic()
        subprocess.run(
            [system.python, "-m", system.package, "deployment", "ls"],
            env=system.environment,
            cwd=system.folder,
            check=True,
            capture_output=True,
        )
        seen.append((time.monotonic() - start) * 1e3)
    report("deployment ls, wall (p50 of 7)", f"{statistics.median(seen):.0f} ms", "250 ms")


PARTS = {
    "warm": warm,
    "fresh": fresh,
    "serve": serve,
    "scheduled": scheduled,
    "burst": burst,
    "memory": memory,
    "cancel": cancel,
    "ls": listing,
}
OF_THE_PEER = ("warm", "serve", "burst", "memory", "cancel", "ls")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--peer", help="interpreter of an environment with the peer")
    given = parser.parse_args()
    wanted = [name for name in given.only.split(",") if name in PARTS]
    report("penstock", "seen", "promised")
    measure(wanted, given.runs, None)
    if given.peer:
        report("\nthe peer", "seen")
        measure([name for name in wanted if name in OF_THE_PEER], min(5, given.runs), given.peer)


def measure(parts: list[str], runs: int, peer: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        system = System(Path(folder), peer)
        with system.server() as client:
            client.call("create_work_pool", body=WorkPoolCreate(name=POOL, type="process"))
            for part in parts:
                PARTS[part](system, client, runs)


if __name__ == "__main__":
    main()
