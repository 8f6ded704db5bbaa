"""Stories of runs that the peer's own `serve` and process worker start, told by the peer."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.states import Cancelling

STORIES = []
PATIENCE = 60
FAST = {
    "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_LOGGING_LEVEL": "WARNING",
}
PROJECT = """\
import time

from prefect import flow


@flow
def work(x: int = 1, seconds: float = 0.0):
    time.sleep(seconds)
    return x


if __name__ == "__main__":
    work.serve("served", tags=["of-the-peer"])
"""


def story(function):
    STORIES.append(function)
    return function


def client():
    return get_client(sync_client=True)


@contextmanager
def project():
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "project.py").write_text(PROJECT)
        yield folder


@contextmanager
def running(folder, *command):
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | FAST,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def until(what, patience=PATIENCE):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("it did not happen in time")


def deployment_named(name):
    try:
        return client().read_deployment_by_name(name)
    except Exception:
        return None


def finished(id):
    run = client().read_flow_run(id)
    return run if run.state is not None and run.state.is_final() else None


@story
def serve_runs_what_is_asked_for():
    with project() as folder, running(folder, "project.py") as serving:
        deployment = until(lambda: deployment_named("work/served"))
        run = client().create_flow_run_from_deployment(deployment.id, parameters={"x": 3})
        done = until(lambda: finished(run.id))
        assert done.state_name == "Completed", done.state
        assert "of-the-peer" in done.tags
        serving.send_signal(signal.SIGINT)
        until(lambda: client().read_deployment(deployment.id).paused)


@story
def a_process_worker_runs_and_stops_what_is_asked_for():
    api = client()
    api.create_work_pool(WorkPoolCreate(name="peer-pool", type="process"))
    flow_id = api.create_flow_from_name("work")
    with project() as folder:
        id = api.create_deployment(
            flow_id,
            "pooled",
            entrypoint="project.py:work",
            work_pool_name="peer-pool",
            pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": folder}}],
        )
        command = ("-m", "prefect", "worker", "start", "--pool", "peer-pool", "--type", "process")
        with running(folder, *command):
            quick = api.create_flow_run_from_deployment(id, parameters={"x": 4})
            long = api.create_flow_run_from_deployment(id, parameters={"seconds": 120})
            done = until(lambda: finished(quick.id))
            assert done.state_name == "Completed", done.state
            assert done.infrastructure_pid
            until(lambda: api.read_flow_run(long.id).state_name == "Running")
            api.set_flow_run_state(long.id, Cancelling())
            assert until(lambda: finished(long.id)).state_name == "Cancelled"


def main():
    for one in STORIES:
        problem = None
        try:
            one()
        except BaseException:
            problem = traceback.format_exc()
        print(json.dumps({"story": one.__name__, "problem": problem}), flush=True)


if __name__ == "__main__":
    main()
