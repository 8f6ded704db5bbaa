"""Runs as processes: a worker, `serve` and `flow-run execute` against a real server."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.cli_process import SOURCE
from tests.server_process import ServerProcess

from penstock.client.endpoint import discard_endpoint
from penstock.client.orchestration import SyncPenstockClient
from penstock.schemas.deployments import DeploymentFlowRunCreate
from penstock.schemas.states import StateCreate, StateDetails, StateType
from penstock.schemas.work import WorkPoolCreate
from penstock.workers.identity import parsed

PROJECT = """\
import os
import subprocess
import sys
import time
from pathlib import Path

from penstock import flow


def note(name, text):
    Path(name).write_text(str(text))


def hooked(flow, run, state):
    note(f"{run.id}.hook", state.name)


@flow(on_cancellation=[hooked], on_crashed=[hooked])
def work(mark: str, how: str = ""):
    child = subprocess.Popen(["sleep", "300"]) if how in ("family", "killed") else None
    note(mark, f"{time.time()} {os.getpid()} {child.pid if child else 0} {sys.orig_argv}")
    if how == "killed":
        os.kill(os.getpid(), 9)
    if how == "exits":
        os._exit(3)
    if how == "silent":
        os._exit(0)
    if how in ("family", "long"):
        time.sleep(300)


if __name__ == "__main__":
    kept = {"key": lambda: 1}  # nothing that could be pickled as it is

    @flow
    def local(mark: str):
        note(mark, kept["key"]())

    from penstock import serve

    serve(local.to_deployment("served"), work.to_deployment("served"))
"""
PATIENCE = 30.0


def until(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Site:
    """A server, a project, and whoever runs its flows."""

    def __init__(self, server: ServerProcess, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.client = SyncPenstockClient(server.api)
        self._count = 0
        self._deployments: dict[str, UUID] = {}
        (folder / "project.py").write_text(PROJECT)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *command],
                cwd=self.folder,
                env=self.server.environment
                | {"PYTHONPATH": str(SOURCE), "PENSTOCK_LOGGING_LEVEL": "WARNING"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self, process: subprocess.Popen[bytes]) -> int:
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise

    def deployment(self, name: str = "pooled", **fields: Any) -> UUID:
        """A deployment of the project in the pool of the worker."""
        if name not in self._deployments:
            flow = self.client.create_flow_from_name("work")
            given = {"entrypoint": "project.py:work", "work_pool_name": "pool", **fields}
            self._deployments[name] = self.client.create_deployment(
                flow, name, path=str(self.folder), **given
            )
        return self._deployments[name]

    def request(self, id: UUID, how: str = "", at: datetime | None = None, **fields: Any) -> Any:
        """Ask for a run; the run, and the file it writes when it runs."""
        self._count += 1
        mark = self.folder / f"mark-{id}-{self._count}"
        body = DeploymentFlowRunCreate(
            parameters={"mark": str(mark), "how": how} if how else {"mark": str(mark)},
            state=StateCreate(
                type=StateType.SCHEDULED,
                state_details=StateDetails(scheduled_time=at or datetime.now(UTC)),
            ),
            **fields,
        )
        return self.client.call("create_flow_run_from_deployment", id, body=body), mark

    def running(self, how: str, id: UUID | None = None) -> tuple[Any, int, int]:
        """A run whose user code runs, its process, and the process that it started."""
        run, mark = self.request(id or self.deployment(), how)
        words = until(lambda: mark.exists() and mark.read_text()).split()
        return run, int(words[1]), int(words[2])

    def finished(self, id: UUID) -> Any:
        def final() -> Any:
            run = self.client.read_flow_run(id)
            return run if run.state is not None and run.state.is_final() else None

        return until(final)

    def hook(self, id: UUID) -> str:
        path = self.folder / f"{id}.hook"
        return until(lambda: path.exists() and path.read_text())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as server:
        site = Site(server, tmp_path_factory.mktemp("project"))
        yield site
        discard_endpoint(site.client.target)


@pytest.fixture(scope="module")
def pooled(site: Site) -> Iterator[Site]:
    """The site with a worker of the pool, which it makes itself."""
    worker = site.start("-m", "penstock", "worker", "start", "-p", "pool", "-t", "process")
    try:
        until(lambda: _pool(site))
        yield site
    finally:
        assert site.stop(worker) == 0


def _pool(site: Site, name: str = "pool") -> Any:
    try:
        return site.client.read_work_pool(name)
    except Exception:
        return None


def test_a_run_is_started_at_once_and_completes(pooled: Site) -> None:
    run, _ = pooled.request(pooled.deployment())
    done = pooled.finished(run.id)
    assert done.state_name == "Completed"
    assert done.labels["prefect.worker.type"] == "process"
    states = [state.name for state in pooled.client.read_flow_run_states(run.id)]
    assert states == ["Scheduled", "Pending", "Running", "Completed"]


def test_a_run_never_starts_before_its_time(pooled: Site) -> None:
    at = datetime.now(UTC) + timedelta(seconds=1.5)
    run, mark = pooled.request(pooled.deployment(), at=at)
    assert pooled.finished(run.id).state_name == "Completed"
    late = float(mark.read_text().split()[0]) - at.timestamp()
    assert 0 <= late < 5


def test_cancelling_ends_the_whole_group_and_runs_the_hook(pooled: Site) -> None:
    run, pid, child = pooled.running("family")
    note = until(lambda: pooled.client.read_flow_run(run.id).infrastructure_pid)
    identity = parsed(note)
    assert identity is not None
    assert identity.pid == pid
    pooled.client.set_flow_run_state(run.id, StateCreate(type=StateType.CANCELLING))
    assert pooled.finished(run.id).state_name == "Cancelled"
    until(lambda: not is_alive(pid) and not is_alive(child))
    assert pooled.hook(run.id) in ("Cancelling", "Cancelled")


@pytest.mark.parametrize(
    ("how", "told"),
    [("killed", "signal 9 (SIGKILL)"), ("exits", "exit code 3"), ("silent", "exit code 0")],
)
def test_the_exact_cause_of_a_crash_is_told(pooled: Site, how: str, told: str) -> None:
    run, _, child = pooled.running(how)
    done = pooled.finished(run.id)
    assert (done.state_type, told in done.state.message) == (StateType.CRASHED, True)
    assert not child or until(lambda: not is_alive(child))
    assert pooled.hook(run.id) == "Crashed"


def test_a_run_may_ask_for_a_fresh_interpreter(pooled: Site) -> None:
    warm, mark = pooled.request(pooled.deployment())
    fresh, fresh_mark = pooled.request(
        pooled.deployment(), job_variables={"env": {"PENSTOCK_RUNNER_FRESH_INTERPRETER": "true"}}
    )
    assert pooled.finished(warm.id).state_name == "Completed"
    assert pooled.finished(fresh.id).state_name == "Completed"
    assert "penstock.runner.launcher" in mark.read_text()
    assert "penstock.engine" in fresh_mark.read_text()


def test_a_wrong_entrypoint_crashes_the_run_with_what_is_wrong(pooled: Site) -> None:
    run, _ = pooled.request(pooled.deployment("wrong", entrypoint="project.py:nothing"))
    done = pooled.finished(run.id)
    assert done.state_type is StateType.CRASHED
    assert "project.py has no flow named 'nothing'" in done.state.message


def test_a_run_of_a_deleted_deployment_is_cancelled(pooled: Site) -> None:
    id = pooled.deployment("deleted")
    run, mark = pooled.request(id, at=datetime.now(UTC) + timedelta(seconds=1))
    pooled.client.call("delete_deployment", id)
    still_there = [one.id for one in pooled.client.read_flow_runs()]
    if run.id in still_there:
        assert pooled.finished(run.id).state_name == "Cancelled"
    assert not mark.exists()


def test_a_worker_whose_pool_is_deleted_makes_it_anew(site: Site) -> None:
    worker = site.start("-m", "penstock", "worker", "start", "-p", "again", "-t", "process")
    try:
        first = until(lambda: _pool(site, "again"))
        site.client.delete_work_pool("again")
        second = until(lambda: _pool(site, "again"))
        assert second.id != first.id
        id = site.deployment("again", work_pool_name="again")
        run, _ = site.request(id)
        assert site.finished(run.id).state_name == "Completed"
    finally:
        assert site.stop(worker) == 0


def test_a_killed_worker_leaves_no_process_and_no_running_run(site: Site) -> None:
    site.client.create_work_pool(WorkPoolCreate(name="lonely", type="process"))
    id = site.deployment("lonely", work_pool_name="lonely")
    worker = site.start("-m", "penstock", "worker", "start", "-p", "lonely")
    run, pid, child = site.running("family", id)
    worker.kill()
    worker.wait()
    until(lambda: not is_alive(pid) and not is_alive(child))
    assert site.finished(run.id).state_type is StateType.CRASHED


def test_execute_runs_one_run_here(site: Site) -> None:
    id = site.deployment("executed", work_pool_name=None)
    run, mark = site.request(id)
    process = site.start("-m", "penstock", "flow-run", "execute", str(run.id))
    assert process.wait(30) == 0
    assert site.client.read_flow_run(run.id).state_name == "Completed"
    assert mark.exists()


def test_served_flows_run_from_the_memory_of_the_process(site: Site) -> None:
    serving = site.start("project.py")

    def deployment(name: str) -> Any:
        try:
            return site.client.read_deployment_by_name(name)
        except Exception:
            return None

    local = until(lambda: deployment("local/served"))
    work = until(lambda: deployment("work/served"))
    run, mark = site.request(local.id)
    assert site.finished(run.id).state_name == "Completed"
    assert mark.read_text() == "1"
    cancelled, pid, _ = site.running("long", work.id)
    assert site.stop(serving) == 0
    assert site.finished(cancelled.id).state_name == "Cancelled"
    assert not is_alive(pid)
    assert site.client.read_deployment(local.id).paused
