"""A worker killed at each point of a claim: the run is taken over or has crashed, and no process
of it is left."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.cli_process import SOURCE
from tests.fault.dying_worker import POINTS
from tests.server_process import ServerProcess

from penstock.client.endpoint import discard_endpoint
from penstock.client.orchestration import SyncPenstockClient
from penstock.schemas.deployments import DeploymentFlowRunCreate
from penstock.schemas.states import StateCreate, StateDetails, StateType
from penstock.schemas.work import WorkPoolCreate

LEASE = 2.0
PROJECT = """\
import os
import time
from pathlib import Path

from penstock import flow


@flow
def work(mark: str):
    with open(mark, "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(0.5)
"""
BEFORE_START = ("taken", "configured")
PATIENCE = 40.0


def until(what: Callable[[], Any], patience: float = PATIENCE) -> Any:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


class Site:
    def __init__(self, server: ServerProcess, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.client = SyncPenstockClient(server.api)
        (folder / "project.py").write_text(PROJECT)

    def start(self, *command: str) -> "subprocess.Popen[bytes]":
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *command],
                cwd=self.folder,
                env=self.server.environment
                | {
                    "PYTHONPATH": f"{SOURCE}:{SOURCE.parent}",
                    "PENSTOCK_RUNNER_CLAIM_LEASE_SECONDS": str(LEASE),
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def deploy(self, pool: str) -> UUID:
        self.client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        flow = self.client.create_flow_from_name("work")
        return self.client.create_deployment(
            flow,
            pool,
            entrypoint="project.py:work",
            path=str(self.folder),
            work_pool_name=pool,
        )

    def request(self, id: UUID, mark: Path) -> UUID:
        body = DeploymentFlowRunCreate(
            parameters={"mark": str(mark)},
            state=StateCreate(
                type=StateType.SCHEDULED,
                state_details=StateDetails(scheduled_time=datetime.now(UTC)),
            ),
        )
        return self.client.call("create_flow_run_from_deployment", id, body=body).id

    def final(self, id: UUID) -> Any:
        run = self.client.read_flow_run(id)
        return run if run.state is not None and run.state.is_final() else None


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    settings = {"PENSTOCK_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "1"}
    with ServerProcess(tmp_path_factory.mktemp("server"), **settings) as server:
        site = Site(server, tmp_path_factory.mktemp("project"))
        yield site
        discard_endpoint(site.client.target)


def test_no_point_of_the_claim_loses_a_run_or_runs_it_twice(site: Site) -> None:
    """All points at once, each in a pool of its own; then one healthy worker for each pool."""
    deployments = {point: site.deploy(point) for point in POINTS}
    marks = {point: site.folder / f"mark-{point}" for point in POINTS}
    dying = [site.start("-m", "tests.fault.dying_worker", point, point) for point in POINTS]
    runs = {point: site.request(id, marks[point]) for point, id in deployments.items()}
    for worker in dying:
        assert until(lambda worker=worker: worker.poll()) == -signal.SIGKILL
    healthy = [site.start("-m", "penstock", "worker", "start", "-p", point) for point in POINTS]
    try:
        for point, run in runs.items():
            done = until(lambda run=run: site.final(run))
            begun = marks[point].read_text().split() if marks[point].exists() else []
            # A process that was killed before it was Running leaves the run to another worker.
            outcomes = {StateType.COMPLETED: (1,), StateType.CRASHED: (0, 1)}
            if point in BEFORE_START:
                del outcomes[StateType.CRASHED]
                states = [state.name for state in site.client.read_flow_run_states(run)]
                assert states.count("Pending") == 2
            assert len(begun) in outcomes[done.state_type]
            for pid in begun:
                until(lambda pid=pid: not Path(f"/proc/{pid}").exists())
    finally:
        for worker in healthy:
            worker.terminate()
        for worker in healthy:
            assert worker.wait(20) == 0


def test_a_worker_and_its_runs_outlive_an_absent_server(tmp_path: Path) -> None:
    """The server is killed while a run runs; the worker reports its end when it is back."""
    home, folder = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    folder.mkdir()
    with ServerProcess(home) as server:
        site = Site(server, folder)
        id = site.deploy("pool")
        worker = site.start("-m", "penstock", "worker", "start", "-p", "pool")
        try:
            mark = folder / "mark"
            run = site.request(id, mark)
            until(mark.exists)
            server.kill()
            time.sleep(1.0)
            server.start()
            assert until(lambda: site.final(run)).state_type is StateType.COMPLETED
            again = site.request(id, folder / "again")
            assert until(lambda: site.final(again)).state_type is StateType.COMPLETED
        finally:
            worker.terminate()
            assert worker.wait(20) == 0
            discard_endpoint(site.client.target)
