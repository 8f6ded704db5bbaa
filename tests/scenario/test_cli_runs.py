"""Looking at runs and controlling them from the command line, against a server process."""

import json
import os
import pty
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.cli_process import Cli, Done
from tests.server_process import ServerProcess

from penstock.client import get_client
from penstock.schemas.flow_runs import FlowRunCreate
from penstock.schemas.flows import FlowCreate
from penstock.schemas.states import SetStateBody, StateCreate, StateType
from penstock.settings import temporary_settings

FLOWS = """
from penstock import flow, get_run_logger, task


@task
def double(number):
    get_run_logger().warning("doubling %s", number)
    return number * 2


@flow(log_prints=True)
def doubles(count):
    print(f"doubling {count} numbers")
    return [double(number) for number in range(count)]


@flow
def picky(path):
    with open(path) as file:
        return file.read()


@flow
def fickle(path):
    return picky.fn(path)


if __name__ == "__main__":
    import sys

    doubles(3)
    fickle(sys.argv[1], return_state=True)
    picky("/no/such/file", return_state=True)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    home = tmp_path_factory.mktemp("server")
    with ServerProcess(home) as server:
        yield server


@pytest.fixture
def cli(server: ServerProcess, tmp_path: Path) -> Cli:
    return Cli(tmp_path / "home", tmp_path, PENSTOCK_API_URL=server.api)


@pytest.fixture(scope="module")
def flows(server: ServerProcess) -> Path:
    """A file of flows, each of which has run once; only `doubles` completed."""
    path = server.home / "flows.py"
    path.write_text(FLOWS)
    source = str(Path(__file__).parents[2] / "src")
    subprocess.run(
        [sys.executable, str(path), str(server.home / "missing.txt")],
        env={**server.environment, "PYTHONPATH": source},
        check=True,
        capture_output=True,
        timeout=60,
    )
    return path


@pytest.fixture
def call(server: ServerProcess) -> Iterator[Callable[..., Any]]:
    """Performs operations on the server."""
    with temporary_settings({"api.url": server.api}), get_client(sync_client=True) as client:
        yield client.call


@pytest.fixture
def pending_run(call: Callable[..., Any]) -> Any:
    """A flow run that nobody executes."""
    flow = call("create_flow", body=FlowCreate(name=f"idle-{uuid.uuid4()}"))
    state = StateCreate(type=StateType.PENDING)
    return call("create_flow_run", body=FlowRunCreate(flow_id=flow.id, state=state))


def only(cli: Cli, name: str) -> Any:
    [run] = cli("flow-run", "ls", "--flow-name", name, "-o", "json").json
    return run


def test_lists_of_flows_and_runs(cli: Cli, flows: Path) -> None:
    names = {flow["name"] for flow in cli("flow", "ls", "-o", "json").json}
    assert {"doubles", "picky"} <= names
    table = cli("flow", "ls", "--limit", "200").out.splitlines()
    assert table[0].split() == ["ID", "Name", "Created"]
    assert any(line.split()[1] == "doubles" for line in table[1:])

    run = only(cli, "doubles")
    assert run["state"]["type"] == "COMPLETED"
    failed = cli("flow-run", "ls", "--state-type", "failed", "-o", "json").json
    assert only(cli, "picky")["id"] in [r["id"] for r in failed]
    assert run["id"] not in [r["id"] for r in failed]
    assert cli("flow-run", "ls", "--state", "Completed", "--flow-name", "picky").out == (
        "There are no such flow runs.\n"
    )
    shown = cli("flow-run", "ls", "--flow-name", "doubles").out.splitlines()
    assert shown[0].split() == ["ID", "Flow", "Name", "State", "When"]
    assert shown[1].split()[:4] == [run["id"], "doubles", run["name"], "Completed"]
    assert len(cli("flow-run", "ls", "--limit", "1", "-o", "json").json) == 1


def test_an_unknown_state_type_lists_the_known(cli: Cli) -> None:
    done = cli("flow-run", "ls", "--state-type", "odd")
    assert done.status == 1
    assert "'odd' is no state type; there are: SCHEDULED, PENDING, RUNNING" in done.err


def test_task_runs(cli: Cli, flows: Path) -> None:
    runs = cli("task-run", "ls", "--state-type", "COMPLETED", "-o", "json").json
    assert len(runs) == 3
    name = runs[0]["name"]
    [same] = cli("task-run", "ls", "--task-run-name", name, "-o", "json").json
    assert same["id"] == runs[0]["id"]
    assert cli("task-run", "ls", "--state", "Failed").out == "There are no such task runs.\n"
    inspected = cli("task-run", "inspect", same["id"], "-o", "json").json
    assert inspected["name"] == name
    assert f"name:                  {name}\n" in cli("task-run", "inspect", same["id"]).out
    [first, last] = cli("task-run", "logs", same["id"], "-o", "json").json
    assert first["message"].startswith("doubling")
    assert last["message"].startswith("Finished in state")


def test_one_run(cli: Cli, flows: Path) -> None:
    run = only(cli, "doubles")
    assert cli("flow-run", "inspect", run["id"], "-o", "json").json["parameters"] == {"count": 3}
    text = cli("flow-run", "inspect", "--id", run["id"]).out
    assert 'parameters:            {"count":3}\n' in text
    assert "state:                 Completed(type=COMPLETED)\n" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("flow-run", "inspect"),
        ("flow-run", "logs"),
        ("flow-run", "watch"),
        ("flow-run", "cancel"),
        ("flow-run", "delete"),
        ("flow-run", "retry"),
        ("task-run", "inspect"),
        ("task-run", "logs"),
    ],
)
def test_a_run_that_is_not_there(cli: Cli, arguments: tuple[str, str]) -> None:
    id = str(uuid.uuid4())
    done = cli(*arguments, id)
    assert (done.status, done.out) == (1, "")
    kind = arguments[0].replace("-", " ")
    assert done.err == f"Error: there is no {kind} {id}; `penstock {arguments[0]} ls` lists them\n"


def test_logs(cli: Cli, flows: Path) -> None:
    id = only(cli, "doubles")["id"]

    def messages(*options: str) -> list[str]:
        records = cli("flow-run", "logs", id, *options, "-o", "json").json
        return [record["message"] for record in records]

    everything = messages()
    assert "doubling 3 numbers" in everything
    assert sum(text.startswith("doubling") for text in everything) == 4
    assert messages("--head", "-n", "2") == everything[:2]
    assert messages("--tail", "-n", "2") == everything[-2:]
    assert messages("--reverse") == everything[::-1]
    assert messages("-r", "-n", "2") == everything[::-1][:2]
    assert messages("-h") == everything[:20]
    lines = cli("flow-run", "logs", id).out.splitlines()
    assert len(lines) == len(everything)
    assert any(" | WARNING  | " in line and line.endswith("doubling 0") for line in lines)
    assert cli("flow-run", "logs", id, "--head", "--tail").status == 2


def test_more_logs_than_a_page_holds(cli: Cli, pending_run: Any, call: Callable[..., Any]) -> None:
    from penstock.schemas.logs import LogCreate

    begin = datetime(2026, 1, 1, tzinfo=UTC)
    records = [
        LogCreate(
            level=20,
            message=f"record {number}",
            name="test",
            timestamp=begin + timedelta(seconds=number),
            flow_run_id=pending_run.id,
        )
        for number in range(450)
    ]
    call("create_logs", body=records)
    shown = cli("flow-run", "logs", str(pending_run.id), "-o", "json").json
    assert [record["message"] for record in shown] == [f"record {n}" for n in range(450)]
    some = cli("flow-run", "logs", str(pending_run.id), "-n", "250", "-o", "json").json
    assert len(some) == 250


def test_a_run_without_logs_says_so(cli: Cli, pending_run: Any) -> None:
    done = cli("flow-run", "logs", str(pending_run.id))
    assert (done.status, done.out) == (0, "")
    assert "has no log records" in done.err


def test_watching_a_finished_run(cli: Cli, flows: Path) -> None:
    completed = cli("flow-run", "watch", only(cli, "doubles")["id"])
    assert completed.status == 0
    states = [line.split(" is ")[1] for line in completed.out.splitlines()]
    assert states == ["Pending", "Running", "Completed"]
    failed = cli("flow-run", "watch", only(cli, "picky")["id"])
    assert failed.status == 1
    assert " is Failed: " in failed.out


def test_watching_until_the_end(cli: Cli, pending_run: Any, call: Callable[..., Any]) -> None:
    process = cli.start("flow-run", "watch", str(pending_run.id))
    assert process.stdout is not None
    assert process.stdout.readline().rstrip().endswith(" is Pending")
    for kind in (StateType.RUNNING, StateType.COMPLETED):
        call("set_flow_run_state", pending_run.id, body=SetStateBody(state=StateCreate(type=kind)))
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert [line.split(" is ")[1] for line in out.splitlines()] == ["Running", "Completed"]


def test_watching_ends_in_time(cli: Cli, pending_run: Any) -> None:
    done = cli("flow-run", "watch", str(pending_run.id), "--timeout", "1")
    assert done.status == 1
    assert "is Pending after 1 s" in done.err


def test_cancelling(cli: Cli, pending_run: Any, call: Callable[..., Any]) -> None:
    id = str(pending_run.id)
    done = cli("flow-run", "cancel", id)
    assert done.status == 0, done.err
    assert f"penstock flow-run watch {id}" in done.out
    state = call("read_flow_run", pending_run.id).state
    assert state.type in (StateType.CANCELLING, StateType.CANCELLED)


def test_a_finished_run_cannot_be_cancelled(cli: Cli, flows: Path) -> None:
    done = cli("flow-run", "cancel", only(cli, "doubles")["id"])
    assert done.status == 1
    assert "is Completed already" in done.err


def test_deleting(cli: Cli, pending_run: Any) -> None:
    id = str(pending_run.id)
    refused = cli("--prompt", "flow-run", "delete", id, answer="n\n")
    assert (refused.status, refused.err) == (1, "Error: nothing was changed\n")
    assert cli("flow-run", "inspect", id).status == 0
    assert cli("flow-run", "delete", id).out == f"Removed the flow run {id}.\n"
    assert cli("flow-run", "inspect", id).status == 1


def test_retrying_needs_somebody_to_run_it(cli: Cli, flows: Path, pending_run: Any) -> None:
    run = only(cli, "picky")
    done = cli("flow-run", "retry", run["id"])
    assert done.status == 1
    assert "--entrypoint" in done.err
    wrong = cli("flow-run", "retry", run["id"], "-e", f"{flows}:doubles")
    assert "is the flow 'doubles'" in wrong.err
    assert (
        "has no flow named 'nothing'"
        in cli("flow-run", "retry", run["id"], "-e", f"{flows}:nothing").err
    )
    assert only(cli, "picky")["state"]["id"] == run["state"]["id"], "nothing was changed"
    unfinished = cli("flow-run", "retry", str(pending_run.id))
    assert "only finished runs can be retried" in unfinished.err


def test_retrying_by_name_runs_it_under_its_id(
    cli: Cli, flows: Path, server: ServerProcess
) -> None:
    run = only(cli, "fickle")
    again = cli("flow-run", "retry", run["name"], "--entrypoint", f"{flows}:fickle")
    assert again.status == 1, "the file is still missing"
    (server.home / "missing.txt").write_text("here")
    done = cli("flow-run", "retry", run["name"], "--entrypoint", f"{flows}:fickle")
    assert done.status == 0, done.err
    assert done.out.endswith(f"({run['id']}) is Completed.\n")
    after = only(cli, "fickle")
    assert (after["id"], after["state"]["type"]) == (run["id"], "COMPLETED")
    assert after["run_count"] == 3
    assert "no flow run named 'nobody'" in cli("flow-run", "retry", "nobody").err


def test_an_api_that_is_not_there(cli: Cli) -> None:
    from tests.server_process import free_port

    url = f"http://127.0.0.1:{free_port()}/api"
    done: Done = cli("flow-run", "ls", PENSTOCK_API_URL=url, PENSTOCK_CLIENT_MAX_RETRIES="0")
    assert (done.status, done.out) == (1, "")
    assert url in done.err
    assert "Traceback" not in done.err


def test_without_an_address_the_embedded_server_answers(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "home", tmp_path)
    assert cli("flow-run", "ls").out == "There are no such flow runs.\n"
    assert json.loads(cli("flow", "ls", "-o", "json").out) == []
    assert (tmp_path / "home" / "penstock.db").exists()


def test_json_is_never_coloured_or_wrapped(cli: Cli, flows: Path) -> None:
    for out in (
        cli("flow-run", "ls", "-o", "json", FORCE_COLOR="1").out,
        cli("flow-run", "ls", "-o", "json", COLUMNS="20").out,
    ):
        assert "\x1b" not in out
        json.loads(out)
    assert "\x1b" not in cli("flow-run", "ls", FORCE_COLOR="1", NO_COLOR="1").out


def on_a_terminal(cli: Cli, *arguments: str, **environ: str) -> str:
    """What a command prints when its stdout is a terminal."""
    master, slave = pty.openpty()
    inherited = cli.environment({"TERM": "xterm-256color", "COLUMNS": "160", **environ})
    if "NO_COLOR" not in environ:
        inherited.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock", *arguments],
        env=inherited,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    output = b""
    while True:
        try:
            part = os.read(master, 65_536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not part:
            break
        output += part
    os.close(master)
    assert process.wait(30) == 0
    return output.decode()


def test_colours_on_a_terminal_only_if_wanted(cli: Cli, flows: Path) -> None:
    run = only(cli, "doubles")
    coloured = on_a_terminal(cli, "flow-run", "ls", "--flow-name", "doubles")
    assert "\x1b[32mCompleted\x1b[0m" in coloured
    assert run["id"] in coloured
    for plain in (
        on_a_terminal(cli, "flow-run", "ls", "--flow-name", "doubles", NO_COLOR="1"),
        on_a_terminal(cli, "flow-run", "ls", "--flow-name", "doubles", PENSTOCK_CLI_COLORS="0"),
    ):
        assert "\x1b[32m" not in plain
        assert "Completed" in plain
    narrow = on_a_terminal(cli, "flow-run", "ls", "--flow-name", "doubles", COLUMNS="60")
    assert run["id"] in narrow, "what one copies is never cut"
    raw = on_a_terminal(cli, "flow-run", "inspect", run["id"], "-o", "json")
    assert json.loads(raw)["id"] == run["id"]


def test_a_slow_api_is_waited_for_aloud(cli: Cli) -> None:
    """A server that accepts connections and never answers."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/api"
        done = cli(
            "flow-run", "ls", PENSTOCK_API_URL=url,
            PENSTOCK_API_REQUEST_TIMEOUT="3", PENSTOCK_CLIENT_MAX_RETRIES="0",
        )  # fmt: skip
    assert done.status == 1
    assert f"Waiting for {url} ...\n" in done.err
