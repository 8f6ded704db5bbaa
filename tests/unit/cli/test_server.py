import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.server_process import free_port

from penstock.cli.output import Failure
from penstock.cli.server import refuse_while_running, shown_database
from penstock.cli.server_process import (
    background_pid,
    client_url,
    is_alive,
    is_free,
    pid_file,
    running_server,
)
from penstock.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings({}).copy_with_update({"home": tmp_path})


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:1/api"),
        ("0.0.0.0", "http://127.0.0.1:1/api"),
        ("::", "http://[::1]:1/api"),
        ("::1", "http://[::1]:1/api"),
        ("box", "http://box:1/api"),
    ],
)
def test_the_address_for_clients_on_this_machine(host: str, url: str) -> None:
    assert client_url(host, 1, "/api") == url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////x/penstock.db", "sqlite:////x/penstock.db"),
        ("postgresql://u:p%40w@h:5432/d", "postgresql://u@h:5432/d"),
        ("postgresql://h/d", "postgresql://h/d"),
    ],
)
def test_a_database_is_shown_without_its_password(url: str, shown: str) -> None:
    assert shown_database(url) == shown


def test_an_address_is_taken_while_somebody_listens() -> None:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert not is_free("127.0.0.1", listener.getsockname()[1])
    assert is_free("127.0.0.1", free_port())


def test_a_process_is_alive_until_it_has_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_alive(process.pid)
    process.communicate(b"\n")
    assert not is_alive(process.pid)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x", "url": "u"}', '{"url": "u"}'])
def test_a_damaged_announcement_is_no_server(content: str, settings: Settings) -> None:
    (settings.home / "server.json").write_text(content)
    assert running_server(settings) is None


def test_an_announcement_counts_while_its_process_lives(settings: Settings) -> None:
    announcement = settings.home / "server.json"
    announcement.write_text(f'{{"pid": {os.getpid()}, "url": "http://u/api"}}')
    found = running_server(settings)
    assert found is not None
    assert (found.pid, found.url) == (os.getpid(), "http://u/api")
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    announcement.write_text(f'{{"pid": {process.pid}, "url": "http://u/api"}}')
    assert running_server(settings) is None
    pid_file(settings).write_text(f"{process.pid}\n")
    assert background_pid(settings) is None


def test_the_database_of_a_running_server_is_left_alone(settings: Settings) -> None:
    url = settings.server.database.connection_url.get_secret_value()
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        announcement = settings.home / "server.json"
        text = f'{{"pid": {process.pid}, "url": "u", "database_url": "%s"}}'
        announcement.write_text(text % url.replace("sqlite:", "sqlite+aiosqlite:"))
        with pytest.raises(Failure, match=f"pid {process.pid}"):
            refuse_while_running(settings, "reset")
        announcement.write_text(text % "sqlite:////other.db")
        refuse_while_running(settings, "reset")
    finally:
        process.communicate(b"\n")
