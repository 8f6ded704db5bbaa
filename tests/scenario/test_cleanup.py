"""Nothing that was started is left behind: a real server, real workers, real processes."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.server_process import ServerProcess

FLOW = '''
import os, signal, subprocess, sys, time
from pathlib import Path
from penstock import flow


@flow
def stubborn(folder: str):
    """Ignores every request to end, and so does what it starts."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-S", "-c", code])
    draft = Path(folder) / f".{os.getpid()}"
    draft.write_text(f"{os.getpid()} {child.pid}")
    draft.rename(Path(folder) / str(os.getpid()))
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass
'''
SETTINGS = {
    "PENSTOCK_SERVER_SERVICES_CANCELLATION_CLEANUP_CANCELLING_TIMEOUT_SECONDS": "1",
    "PENSTOCK_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "0.5",
    "PENSTOCK_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "0.5",
    "PENSTOCK_SERVER_WORKER_CHANNEL_CLEANUP_LEASE_SECONDS": "5",
    "PENSTOCK_WORKER_CLEANUP_GRACE_SECONDS": "0.5",
    "PENSTOCK_WORKER_QUERY_SECONDS": "1",
}


class Stage:
    """A server, a folder for processes to write their numbers into, and workers."""

    def __init__(self, server: ServerProcess, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []

    def call(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            self.server.api + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def worker(self, name: str) -> subprocess.Popen[bytes]:
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "penstock", "worker", "start", "-p", "local", "-n", name],
                env=self.server.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.workers.append(process)
        return process

    def deployment(self) -> str:
        (self.folder / "stubborn.py").write_text(FLOW)
        self.call("POST", "/work_pools/", {"name": "local", "type": "process"})
        flow = self.call("POST", "/flows/", {"name": "stubborn"})
        body = {
            "name": "d",
            "flow_id": flow["id"],
            "work_pool_name": "local",
            "path": str(self.folder),
            "entrypoint": "stubborn.py:stubborn",
            "parameters": {"folder": str(self.folder / "pids")},
        }
        (self.folder / "pids").mkdir()
        return self.call("POST", "/deployments/", body)["id"]

    def run(self, deployment: str) -> str:
        return self.call("POST", f"/deployments/{deployment}/create_flow_run", {})["id"]

    def state(self, run: str) -> str:
        return self.call("GET", f"/flow_runs/{run}")["state_type"]

    def cancel(self, run: str) -> None:
        self.call("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})

    def events(self, name: str) -> list[dict[str, Any]]:
        body = {"filter": {"event": {"name": [name]}}}
        return self.call("POST", "/events/filter", body)["events"]

    def processes(self) -> list[int]:
        """Numbers of all processes that runs have told of."""
        files = [one for one in (self.folder / "pids").iterdir() if one.name.isdecimal()]
        return [int(word) for one in files for word in one.read_text().split()]

    def output(self) -> str:
        logs = [one.read_text()[-2_000:] for one in self.folder.glob("*.log")]
        return "\n".join([*logs, self.server.output()[-2_000:]])

    def until(self, holds: Callable[[], Any], seconds: float = 30.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := holds()):
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.05)
        return value


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    home = tmp_path / "home"
    home.mkdir()
    with ServerProcess(home, **SETTINGS) as server:
        made = Stage(server, tmp_path)
        yield made
        for worker in made.workers:
            if worker.poll() is None:
                worker.terminate()
        for worker in made.workers:
            try:
                worker.wait(10)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait(5)
        for pid in made.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_what_a_killed_workers_cancelled_run_left_is_ended_by_another_worker(stage: Stage):
    deployment = stage.deployment()
    first = stage.worker("first")
    run = stage.run(deployment)
    pids = stage.until(lambda: stage.processes())
    assert len(pids) == 2
    assert all(lives(pid) for pid in pids)
    stage.until(lambda: stage.call("GET", f"/flow_runs/{run}")["infrastructure_pid"])
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    stage.cancel(run)
    stage.worker("second")
    stage.until(lambda: stage.state(run) == "CANCELLED")
    stage.until(lambda: not any(lives(pid) for pid in pids))
    (event,) = stage.until(lambda: stage.events("penstock.cleanup-message.completed"))
    assert event["payload"]["worker_name"] == "second"
    related = {one["prefect.resource.id"] for one in event["related"]}
    assert f"prefect.flow-run.{run}" in related


def test_a_run_whose_worker_lives_is_ended_when_it_does_not_obey(stage: Stage):
    """Its worker asks it to end, and it does not; then the server has it torn down."""
    deployment = stage.deployment()
    stage.worker("only")
    run = stage.run(deployment)
    pids = stage.until(lambda: stage.processes())
    stage.cancel(run)
    stage.until(lambda: not any(lives(pid) for pid in pids))
    stage.until(lambda: stage.state(run) == "CANCELLED")
