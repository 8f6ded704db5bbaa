"""Running a server from the command line."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli_process import Cli
from tests.server_process import free_port

from penstock.base.version import VERSION


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(tmp_path / "home", tmp_path)
    yield cli
    if (cli.home / "server.pid").exists():
        cli("server", "stop")


def test_a_server_in_the_background(cli: Cli) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    started = cli("server", "start", "--background", "--port", str(port))
    assert started.status == 0, started.err
    assert f"API:  {url}" in started.out
    assert f"export PENSTOCK_API_URL={url}" in started.out
    assert "penstock server stop" in started.out

    report = cli("server", "status", "-o", "json", PENSTOCK_API_URL=url).json
    assert report["status"] == "ready"
    assert report["loops"] == "fine"
    assert report["pid"] == int((cli.home / "server.pid").read_text())
    assert report["database_url"] == f"sqlite:///{cli.home}/penstock.db"
    assert cli("server", "status").status == 0, "the server of this home is found without address"

    again = cli("server", "start", "-b", "--port", str(free_port()))
    assert again.status == 1
    assert "already runs in the background" in again.err
    second = cli("server", "start", "--port", str(free_port()))
    assert second.status == 1
    assert f"at {url} already serves sqlite:///" in second.err
    reset = cli("server", "database", "reset", "--yes")
    assert reset.status == 1
    assert "uses this database; stop it before you reset it" in reset.err

    stopped = cli("server", "stop")
    assert stopped.out == f"Stopped the server (pid {report['pid']}).\n"
    assert not (cli.home / "server.pid").exists()
    assert not (cli.home / "server.json").exists()
    gone = cli("server", "status", "-o", "json", PENSTOCK_API_URL=url)
    assert gone.status == 1
    assert json.loads(gone.out)["status"] == "unreachable"


def test_nothing_to_stop(cli: Cli) -> None:
    done = cli("server", "stop")
    assert done.status == 1
    assert "no server of" in done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_in_the_terminal(cli: Cli, number: signal.Signals) -> None:
    port = free_port()
    process = cli.start("server", "start", "--port", str(port), "--no-services", "--no-ui")
    try:
        waited = cli(
            "server", "status", "--wait", "--timeout", "30", "-o", "json",
            PENSTOCK_API_URL=f"http://127.0.0.1:{port}/api",
        )  # fmt: skip
        assert waited.status == 0, waited.out
        assert json.loads((cli.home / "server.json").read_text())["pid"] == process.pid
        foreign = cli("server", "stop")
        assert foreign.status == 1
        assert f"pid {process.pid} runs in a terminal" in foreign.err
    finally:
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert f"API:       http://127.0.0.1:{port}/api\n" in out
    assert f"API docs:  http://127.0.0.1:{port}/api/docs\n" in out
    assert f"Database:  sqlite:///{cli.home}/penstock.db\n" in out
    assert "Loops:     none run in this process\n" in out
    assert "UI:" not in out
    assert out.endswith("The server has stopped.\n")
    assert not (cli.home / "server.json").exists()


def test_a_taken_port_is_told(cli: Cli) -> None:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        for more in ((), ("--background",)):
            done = cli("server", "start", "--port", port, *more)
            assert done.status == 1
            assert port in done.err
            assert "choose another" in done.err
            assert "Traceback" not in done.err


def test_a_server_that_cannot_start_shows_why(cli: Cli) -> None:
    (cli.directory / "file").write_text("")
    url = f"sqlite:///{cli.directory}/file/penstock.db"
    done = cli(
        "server", "start", "-b", "--port", str(free_port()),
        PENSTOCK_SERVER_DATABASE_CONNECTION_URL=url,
    )  # fmt: skip
    assert done.status == 1
    assert "the end of" in done.err
    assert f"{cli.directory}/file" in done.err
    assert not (cli.home / "server.pid").exists()


def test_other_machines_need_credentials(cli: Cli) -> None:
    done = cli("server", "start", "--host", "0.0.0.0", "--port", str(free_port()))
    assert done.status == 1
    assert "--insecure" in done.err


def test_waiting_ends(cli: Cli) -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    done = cli("server", "status", "--wait", "--timeout", "0.3", PENSTOCK_API_URL=url)
    assert done.status == 1
    assert "Status:    unreachable" in done.out
    assert "penstock server start" in done.err


def test_credentials_are_sent_and_missing_ones_told(cli: Cli) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    started = cli(
        "server", "start", "-b", "--port", str(port), PENSTOCK_SERVER_API_AUTH_STRING="u:s3cret"
    )
    assert started.status == 0, started.err
    without = cli("server", "status", "-o", "json", PENSTOCK_API_URL=url).json
    assert "PENSTOCK_API_AUTH_STRING" in without["version"]
    known = cli(
        "server", "status", "-o", "json", PENSTOCK_API_URL=url, PENSTOCK_API_AUTH_STRING="u:s3cret"
    ).json
    assert known["version"] == VERSION
    assert "s3cret" not in (cli.home / "server.log").read_text()


def test_the_database_is_built_and_emptied(cli: Cli) -> None:
    refused = cli("server", "database", "upgrade")
    assert refused.status == 1
    assert "--yes" in refused.err
    assert "is up to date" in cli("server", "database", "upgrade", "-y").out
    assert (cli.home / "penstock.db").exists()
    assert "is empty" in cli("server", "database", "reset", "-y").out
    downgrade = cli("server", "database", "downgrade", "-r", "-1", "-y")
    assert downgrade.status == 1
    assert "only go forward" in downgrade.err


def test_several_processes_are_several_commands(cli: Cli) -> None:
    done = cli("server", "start", "--workers", "2")
    assert done.status == 1
    assert "--no-services" in done.err


def test_a_process_that_only_has_the_number_is_left_alone(cli: Cli) -> None:
    cli.home.mkdir()
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        (cli.home / "server.pid").write_text(f"{stranger.pid}\n")
        assert cli("server", "stop").status == 1
        assert stranger.poll() is None
    finally:
        stranger.communicate(b"\n")
