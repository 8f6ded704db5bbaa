"""Finding, starting and stopping server processes of this home directory."""

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import click

from penstock.base.version import VERSION
from penstock.cli.output import Failure
from penstock.settings import Settings, reveal

POLL_SECONDS = 0.05
STOP_SECONDS = 15.0


class Running(NamedTuple):
    """A server process of this home directory."""

    pid: int
    url: str
    database_url: str = ""
    started: str = ""


def pid_file(settings: Settings) -> Path:
    return settings.home / "server.pid"


def log_file(settings: Settings) -> Path:
    return settings.home / "server.log"


def running_server(settings: Settings) -> Running | None:
    """The server that announced itself in the home directory, if its process is alive."""
    try:
        found = json.loads((settings.home / "server.json").read_text(encoding="utf-8"))
        server = Running(
            int(found["pid"]),
            str(found["url"]),
            str(found.get("database_url", "")),
            str(found.get("started", "")),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return server if is_alive(server.pid) else None


def background_pid(settings: Settings) -> int | None:
    """The living process that `server start --background` started last."""
    try:
        pid = int(pid_file(settings).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return pid if is_alive(pid) and is_penstock(pid) else None


def is_penstock(pid: int) -> bool:
    """Whether a process is one of Penstock's: numbers of ended processes are used again."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        listed = subprocess.run(  # noqa: S603  (a fixed command and a number)
            ["ps", "-p", str(pid), "-o", "command="],  # noqa: S607  (where it is differs)
            capture_output=True,
            check=False,
        )
        command = listed.stdout
    return b"penstock" in command


def is_alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        # A child of ours that has ended is no longer alive, though its number is still taken.
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def client_url(host: str, port: int, base_path: str) -> str:
    """The address at which a client on this machine reaches a server bound to `host`."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    if ":" in shown and not shown.startswith("["):
        shown = f"[{shown}]"
    return f"http://{shown}:{port}{base_path}"


def is_free(host: str, port: int) -> bool:
    """Whether the address can be listened on now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def ask(url: str, path: str, settings: Settings, timeout: float = 5) -> tuple[int, Any]:
    """Status and JSON of a GET request; status 0 with the reason when nobody answers."""
    request = urllib.request.Request(url.rstrip("/") + path)  # noqa: S310  (http or https below)
    if request.type not in ("http", "https"):
        raise Failure(f"{url!r} is no http or https address; correct PENSTOCK_API_URL")
    request.add_header("User-Agent", f"penstock/{VERSION}")
    if login := reveal(settings.api.auth_string or settings.server.api.auth_string):
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
            return answer.status, _decoded(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _decoded(error.read())
    except (OSError, ValueError) as error:
        return 0, str(getattr(error, "reason", error))


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def start_in_background(settings: Settings, arguments: list[str], url: str) -> int:
    """Start a server that outlives this command and wait until it answers; its pid.

    Its output goes to `server.log` in the home directory. Raises `Failure` with the end of that
    output when it does not come up.
    """
    log = log_file(settings)
    with log.open("ab") as output:
        begin = output.tell()
        process = subprocess.Popen(  # noqa: S603  (this program, with options of its own)
            [sys.executable, "-m", "penstock", "server", "start", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, "PENSTOCK_HOME": str(settings.home), "PYTHONUNBUFFERED": "1"},
        )
    pid_file(settings).write_text(f"{process.pid}\n", encoding="utf-8")
    deadline = time.monotonic() + settings.server.ephemeral.startup_timeout_seconds
    told = time.monotonic() + 2
    while process.poll() is None and time.monotonic() < deadline:
        if ask(url, "/health", settings, timeout=1)[0] == 200:
            return process.pid
        if time.monotonic() > told:
            click.echo("Waiting for the server to answer ...", err=True)
            told = deadline
        time.sleep(POLL_SECONDS)
    reason = "ended" if process.poll() is not None else "does not answer"
    _give_up(process)
    pid_file(settings).unlink(missing_ok=True)
    raise Failure(f"the server {reason}; the end of {log}:\n{_tail(log, begin)}")


def _give_up(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def _tail(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        return "\n".join(file.read().decode(errors="replace").splitlines()[-15:])


def stop(pid: int) -> None:
    """Ask a process to end and wait for it. Raises `Failure` when it does not."""
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise Failure(f"process {pid} belongs to somebody else and cannot be stopped") from error
    deadline = time.monotonic() + STOP_SECONDS
    told = time.monotonic() + 2
    while is_alive(pid):
        if time.monotonic() > deadline:
            raise Failure(f"the server (pid {pid}) did not end in {STOP_SECONDS:.0f} s; kill it")
        if time.monotonic() > told:
            click.echo("Waiting for the server to finish its requests ...", err=True)
            told = deadline + 1
        time.sleep(POLL_SECONDS)
