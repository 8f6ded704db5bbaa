"""Flows in processes of their own, against a server in another process: SQLite and PostgreSQL."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.databases import DATABASES, database_url
from tests.server_process import ServerProcess

from penstock.client import SyncPenstockClient
from penstock.client.endpoint import reset
from penstock.schemas.flow_runs import FlowRun, FlowRunCreate, FlowRunsFilterPage
from penstock.schemas.flows import FlowCreate
from penstock.schemas.states import StateCreate, StateType
from penstock.schemas.task_runs import TaskRun, TaskRunsFilterPage


@pytest.fixture(scope="module", params=DATABASES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    home = tmp_path_factory.mktemp("server")
    with database_url(request.param, home) as url, ServerProcess(home, database_url=url) as server:
        yield server
        reset()


class Program:
    """A script of a user, run in a process of its own."""

    def __init__(self, server: ServerProcess, folder: Path, text: str) -> None:
        self.path = folder / "program.py"
        self.path.write_text(textwrap.dedent(text))
        self.environment = server.environment | {"PENSTOCK_HOME": str(folder / "home")}
        self.client = SyncPenstockClient(server.api)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *(arguments or (str(self.path),))],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(self.path)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A suite that runs in the background of a shell ignores interrupts, and so would this.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def flow_run(self, flow: str) -> FlowRun:
        id = self.client.call("read_flow_by_name", flow).id
        runs = self.client.call("read_flow_runs", body=FlowRunsFilterPage())
        return next(run for run in runs if run.flow_id == id)

    def task_runs(self, flow_run: FlowRun) -> list[TaskRun]:
        runs = self.client.call("read_task_runs", body=TaskRunsFilterPage())
        return [run for run in runs if run.flow_run_id == flow_run.id]

    def states(self, flow_run: FlowRun) -> list[Any]:
        found = self.client.call("read_flow_run_states", flow_run_id=flow_run.id)
        return [state.name for state in found]


def test_a_flow_and_all_its_tasks_are_on_the_server_when_the_call_returns(
    server: ServerProcess, tmp_path: Path
) -> None:
    program = Program(
        server,
        tmp_path,
        """
        import json
        from penstock import flow, get_client, task
        from penstock.schemas.task_runs import TaskRunsFilterPage

        @task
        def add(x):
            return x + 1

        @flow(name="over-a-socket")
        def main():
            futures = add.map(range(50))
            return add.submit(futures[0]).result() + sum(futures.result())

        state = main(return_state=True)
        own = state.state_details.flow_run_id
        runs = get_client(sync_client=True).call("read_task_runs", body=TaskRunsFilterPage())
        names = [run.state_name for run in runs if run.flow_run_id == own]
        print(json.dumps([state.result(), sorted(set(names)), len(names)]))
        """,
    )
    done = program.run()
    assert done.returncode == 0, done.stderr
    value, states, count = json.loads(done.stdout)
    assert value == 2 + sum(range(1, 51))
    assert states == ["Completed"]
    assert count == 51
    assert program.states(program.flow_run("over-a-socket")) == ["Pending", "Running", "Completed"]


WAITING = """
from penstock import flow, task
import sys, threading

@task
def hold():
    print("running", flush=True)
    threading.Event().wait(60)

def crashed(flow, flow_run, state):
    print("crashed hook", flush=True)

@flow(name="terminated", on_crashed=[crashed])
def main():
    hold()

if __name__ == "__main__":
    main()
"""


def test_sigterm_crashes_the_run_and_then_ends_the_process_by_the_signal(
    server: ServerProcess, tmp_path: Path
) -> None:
    program = Program(server, tmp_path, WAITING)
    process = program.start()
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM, err
    assert "crashed hook" in out
    run = program.flow_run("terminated")
    assert program.states(run) == ["Pending", "Running", "Crashed"]
    assert "terminat" in str(run.state and run.state.message)
    assert [task_run.state_name for task_run in program.task_runs(run)] == ["Crashed"]


WAITING_ASYNC = """
import asyncio
from penstock import flow

@flow(name="terminated-async")
async def main():
    print("running", flush=True)
    await asyncio.sleep(60)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_sigterm_reaches_coroutines_too(server: ServerProcess, tmp_path: Path) -> None:
    program = Program(server, tmp_path, WAITING_ASYNC)
    process = program.start()
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM, err
    run = program.flow_run("terminated-async")
    assert program.states(run) == ["Pending", "Running", "Crashed"]


def test_an_interrupt_crashes_the_run(server: ServerProcess, tmp_path: Path) -> None:
    program = Program(server, tmp_path, WAITING.replace("terminated", "interrupted"))
    process = program.start()
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode not in (0, None)
    assert program.states(program.flow_run("interrupted")) == ["Pending", "Running", "Crashed"]


GIVEN = """
from penstock import flow

@flow(name="given")
def main(n: int, other: str = "default"):
    print("ran", n, other, flush=True)

@flow(name="given-async")
async def coroutine(n: int):
    print("ran async", n, flush=True)
    raise ValueError("recorded")
"""


def make_run(program: Program, name: str) -> UUID:
    flow = program.client.call("create_flow", body=FlowCreate(name=name))
    body = FlowRunCreate(
        flow_id=flow.id, parameters={"n": "3"}, state=StateCreate(type=StateType.PENDING)
    )
    return program.client.call("create_flow_run", body=body).id


@pytest.mark.parametrize(
    ("function", "name", "output", "last"),
    [
        ("main", "given", "ran 3 default", "Completed"),
        ("coroutine", "given-async", "ran async 3", "Failed"),
    ],
)
def test_the_entry_point_carries_on_a_run_made_elsewhere(
    server: ServerProcess, tmp_path: Path, function: str, name: str, output: str, last: str
) -> None:
    program = Program(server, tmp_path, GIVEN)
    id = make_run(program, name)
    done = program.run(
        "-m",
        "penstock.engine",
        PENSTOCK__FLOW_RUN_ID=str(id),
        PENSTOCK__FLOW_ENTRYPOINT=f"{program.path}:{function}",
    )
    assert done.returncode == 0, done.stderr
    assert output in done.stdout
    run = program.client.call("read_flow_run", id)
    assert program.states(run) == ["Pending", "Running", last]
    assert run.flow_version is not None


def test_the_entry_point_says_what_it_lacks(server: ServerProcess, tmp_path: Path) -> None:
    program = Program(server, tmp_path, GIVEN)
    assert program.run("-m", "penstock.engine").returncode == 1
    id = make_run(program, "given")
    done = program.run(
        "-m", "penstock.engine", str(id), PENSTOCK__FLOW_ENTRYPOINT=f"{program.path}:missing"
    )
    assert done.returncode == 1
    assert "missing" in done.stderr


def test_a_run_that_was_cancelled_before_is_not_called(
    server: ServerProcess, tmp_path: Path
) -> None:
    program = Program(server, tmp_path, GIVEN)
    id = make_run(program, "given")
    program.client.set_flow_run_state(id, StateCreate(type=StateType.CANCELLING))
    done = program.run(
        "-m", "penstock.engine", str(id), PENSTOCK__FLOW_ENTRYPOINT=f"{program.path}:main"
    )
    assert "ran" not in done.stdout
    assert os.environ.get("PENSTOCK__FLOW_RUN_ID") is None
