"""A Penstock worker and `serve` against a real server of the peer. Slow: its server takes its time.

PENSTOCK_TEST_PEER_PYTHON=... pytest -m slow tests/contract/test_peer_server.py
"""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.cli_process import SOURCE
from tests.server_process import free_port

from penstock.client.orchestration import SyncPenstockClient
from penstock.schemas.deployments import DeploymentCreate
from penstock.schemas.flows import FlowCreate
from penstock.schemas.states import StateCreate, StateType
from penstock.schemas.work import WorkPoolCreate

PEER = os.environ.get("PENSTOCK_TEST_PEER_PYTHON")
PATIENCE = 90.0
PROJECT = """\
import time

from penstock import flow


@flow
def work(x: int = 1, seconds: float = 0.0):
    time.sleep(seconds)
    return x


if __name__ == "__main__":
    work.serve("served")
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(PEER is None, reason="2026-11-25: set PENSTOCK_TEST_PEER_PYTHON"),
]


@contextmanager
def process(*command: str, folder: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PENSTOCK_", "PREFECT_"))
    }
    with (folder / "log").open("ab") as log:
        started = subprocess.Popen(
            command,
            cwd=folder,
            env=inherited | {"PYTHONPATH": str(SOURCE)} | variables,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()


def until(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("it did not happen in time")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("peer-server")
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"

    def healthy() -> bool:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=1):
                return True
        except OSError:
            return False

    with process(
        str(PEER),
        *("-m", "prefect", "server", "start", "--port", str(port)),
        folder=folder,
        PREFECT_HOME=str(folder),
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        DO_NOT_TRACK="1",
    ):
        until(healthy)
        yield url


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project.py").write_text(PROJECT)
    return tmp_path


def finished(client: SyncPenstockClient, id: Any) -> Any:
    run = client.read_flow_run(id)
    return run if run.state is not None and run.state.is_final() else None


def variables(api: str, project: Path) -> dict[str, str]:
    return {"PENSTOCK_API_URL": api, "PENSTOCK_HOME": str(project / "home")}


def test_a_worker_takes_runs_from_the_peers_server(api: str, project: Path) -> None:
    client = SyncPenstockClient(api)
    client.create_work_pool(WorkPoolCreate(name="pool", type="process"))
    flow = client.call("create_flow", body=FlowCreate(name="work"))
    body = DeploymentCreate(
        flow_id=flow.id,
        name="pooled",
        entrypoint="project.py:work",
        work_pool_name="pool",
        pull_steps=[
            {"prefect.deployments.steps.set_working_directory": {"directory": str(project)}}
        ],
    )
    id = client.call("create_deployment", body=body).id
    command = (sys.executable, "-m", "penstock", "worker", "start", "--pool", "pool")
    with process(*command, folder=project, **variables(api, project)):
        quick = client.create_flow_run_from_deployment(id, parameters={"x": 2})
        assert until(lambda: finished(client, quick.id)).state_name == "Completed"
        long = client.create_flow_run_from_deployment(id, parameters={"seconds": 120})
        until(lambda: client.read_flow_run(long.id).state_name == "Running")
        client.set_flow_run_state(long.id, StateCreate(type=StateType.CANCELLING))
        assert until(lambda: finished(client, long.id)).state_name == "Cancelled"


def test_serve_registers_at_the_peers_server_and_runs(api: str, project: Path) -> None:
    client = SyncPenstockClient(api)

    def deployment() -> Any:
        try:
            return client.read_deployment_by_name("work/served")
        except Exception:
            return None

    with process(
        sys.executable, "project.py", folder=project, **variables(api, project)
    ) as serving:
        served = until(deployment)
        run = client.create_flow_run_from_deployment(served.id, parameters={"x": 5})
        assert until(lambda: finished(client, run.id)).state_name == "Completed"
        serving.send_signal(signal.SIGTERM)
        until(lambda: client.read_deployment(served.id).paused)
