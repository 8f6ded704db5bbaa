"""Background tasks end to end: delayed here, run by `penstock task serve` in its process."""

import json
import signal
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from tests.cli_process import Cli
from tests.server_process import ServerProcess, free_port

from penstock import flow
from penstock.client import get_client
from penstock.engine.deferral import defer, scheduling_store, store_parameters
from penstock.futures import as_completed
from penstock.schemas.errors import ObjectNotFound
from penstock.settings import temporary_settings
from penstock.task_runners import PenstockTaskRunner
from penstock.task_worker import TaskWorker, serve

TASKS = """
from pathlib import Path
from penstock import task


@task
def double(number: int) -> int:
    return 2 * number


@task
async def triple(number: int) -> int:
    return 3 * number


@task(retries=1, retry_delay_seconds=0)
def second_time(path: str) -> str:
    if Path(path).exists():
        return "done"
    Path(path).touch()
    raise ValueError("the first time")


@task
def wrong() -> None:
    raise ValueError("always")
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("background")


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[ServerProcess]:
    with ServerProcess(home) as server:
        yield server


@pytest.fixture(scope="module")
def tasks(home: Path) -> Iterator[ModuleType]:
    """The module of tasks, imported here as the worker imports it."""
    name = f"background_{uuid4().hex}"
    (home / f"{name}.py").write_text(TASKS)
    sys.path.insert(0, str(home))
    module = __import__(name)
    yield module
    sys.path.remove(str(home))


@pytest.fixture(scope="module")
def worker(server: ServerProcess, home: Path, tasks: ModuleType) -> Iterator[Any]:
    cli = Cli(home, home, PENSTOCK_API_URL=server.api)
    process = cli.start("task", "serve", "--module", tasks.__name__, "--limit", "3")
    yield process
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=30)
    assert process.returncode == 0, output


@pytest.fixture
def here(server: ServerProcess, home: Path) -> Iterator[None]:
    with temporary_settings({"api.url": server.api, "home": home}):
        yield


@pytest.mark.usefixtures("worker", "here")
def test_a_delayed_run_gives_its_result_whatever_its_function(tasks: ModuleType, tmp_path: Path):
    futures = {
        tasks.double.delay(4): 8,
        tasks.triple.delay(5): 15,
        tasks.second_time.delay(str(tmp_path / "tried")): "done",
    }
    assert {future: future.result(timeout=30) for future in as_completed(futures)} == futures
    with pytest.raises(ValueError, match="always"):
        tasks.wrong.delay().result(timeout=30)


@pytest.mark.usefixtures("worker", "here")
def test_runs_of_a_flow_are_its_task_runs_and_wait_for_each_other(tasks: ModuleType):
    ids = []

    @flow
    def parent() -> int:
        first = tasks.double.delay(21)
        second = tasks.double.apply_async((first,), wait_for=[first])
        ids.extend([first.task_run_id, second.task_run_id])
        return second.result(timeout=30)

    state: Any = parent(return_state=True)
    assert state.result() == 84
    with get_client(sync_client=True) as client:
        runs = [client.read_task_run(id) for id in ids]
    assert {run.flow_run_id for run in runs} == {state.state_details.flow_run_id}
    assert [one.id for one in runs[1].task_inputs["number"]] == [ids[0]]  # type: ignore[union-attr]


@pytest.mark.usefixtures("worker", "here")
def test_a_deferred_map_is_one_run_for_each_element(tasks: ModuleType):
    assert tasks.double.map([1, 2, 3], deferred=True).result(timeout=30) == [2, 4, 6]


@pytest.mark.usefixtures("here")
def test_a_run_whose_arguments_are_lost_is_removed(tasks: ModuleType, home: Path):
    lost = tasks.double.with_options(name="lost")
    lost.task_key = f"lost-{uuid4().hex}"
    future = defer(lost, {"number": 1})
    with get_client(sync_client=True) as client:
        details = client.read_task_run(future.task_run_id).state.state_details  # type: ignore[union-attr]
        store = scheduling_store()
        (Path(store.result_storage.basepath) / f"parameters/{details.task_parameters_id}").unlink()
        worker = TaskWorker(lost)
        worker._by_key = {lost.task_key: lost}
        worker.start(timeout=3)
        with pytest.raises(ObjectNotFound):
            client.read_task_run(future.task_run_id)


@pytest.mark.usefixtures("here")
def test_a_worker_tells_about_itself(tasks: ModuleType):
    worker = TaskWorker(tasks.double, limit=2)
    assert (worker.available_tasks, worker.current_tasks, worker.started) == (2, 0, False)
    with pytest.raises(ValueError, match="at least one task"):
        TaskWorker()
    with pytest.raises(TypeError, match="no task"):
        TaskWorker(len)
    with pytest.raises(ValueError, match="limit is 0"):
        TaskWorker(tasks.double, limit=0)


def test_a_worker_needs_a_server(tasks: ModuleType):
    with (
        temporary_settings({"api.url": None}),
        pytest.raises(ValueError, match="PENSTOCK_API_URL"),
    ):
        serve(tasks.double, timeout=1)


def test_the_status_page(server: ServerProcess, home: Path, tasks: ModuleType):
    port = free_port()
    seen: list[Any] = []

    def look(signal_number: int, frame: object) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status") as answer:
            seen.append(json.load(answer))

    before = signal.signal(signal.SIGALRM, look)
    try:
        with temporary_settings({"api.url": server.api, "home": home}):
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            serve(tasks.wrong, limit=1, status_server_port=port, timeout=1)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert seen[0]["tasks"] == [tasks.wrong.task_key]
    assert seen[0]["limit"] == 1


# --- other commands against the same server ------------------------------------------------------


def test_a_request_from_the_command_line(server: ServerProcess, home: Path):
    cli = Cli(home, home, PENSTOCK_API_URL=server.api)
    made = cli("api", "POST", "/flows/", "--data", '{"name": "by-api"}')
    assert made.json["name"] == "by-api"
    listed = cli("api", "post", "flows/filter", "-v", "-H", "Authorization: Bearer secret")
    assert "by-api" in listed.out
    assert "> POST" in listed.err
    assert "secret" not in listed.err
    assert cli("api", "GET", f"/flows/{uuid4()}").status == 4
    assert cli("api", "GET", "/flows/", "--data", "{").status == 2
    away = cli("api", "GET", "/health", PENSTOCK_API_URL="http://127.0.0.1:1/api",
               PENSTOCK_CLIENT_MAX_RETRIES="0")  # fmt: skip
    assert away.status == 7


def test_a_shell_command_as_a_flow(server: ServerProcess, home: Path):
    cli = Cli(home, home, PENSTOCK_API_URL=server.api)
    done = cli("shell", "watch", "echo seen", "--flow-name", "by-shell", "--tag", "red")
    assert (done.status, done.out) == (0, "seen\n")
    runs = cli("flow-run", "ls", "--flow-name", "by-shell", "-o", "json").json
    assert [(run["state_type"], run["tags"]) for run in runs] == [("COMPLETED", ["red"])]
    failed = cli("shell", "watch", "echo why >&2; exit 3")
    assert failed.status == 1
    assert "exit code 3: why" in failed.err


def test_arguments_of_a_run_come_back(tmp_path: Path):
    with temporary_settings({"home": tmp_path}):
        store, identifier = scheduling_store(), uuid4()
        store_parameters(store, identifier, {"parameters": {"x": {1, 2}}})
        from penstock.task_worker import read_parameters

        assert read_parameters(store, identifier) == {"parameters": {"x": {1, 2}}}


@pytest.mark.usefixtures("worker", "here")
def test_a_task_runner_that_leaves_every_run_to_the_worker(tasks: ModuleType):
    @flow(task_runner=PenstockTaskRunner())
    def parent() -> list[int]:
        return [future.result(timeout=30) for future in tasks.double.map([5, 6])]

    assert parent() == [10, 12]
