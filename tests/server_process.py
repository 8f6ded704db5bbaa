"""A real Penstock server in a process of its own, for tests that must cross a socket."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ServerProcess:
    """Starts `penstock server start` in `home`, waits until it is healthy, stops it at the end.

    `database_url` defaults to a SQLite file in `home`. `kill` ends it with SIGKILL; `start` after
    that starts it again on the same port and database.
    """

    def __init__(self, home: Path, *, database_url: str | None = None, **settings: str) -> None:
        self.home = home
        self.port = free_port()
        self.api = f"http://127.0.0.1:{self.port}/api"
        self._database_url = database_url or f"sqlite:///{home / 'penstock.db'}"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._log = home / "server.log"

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which clients and commands find this server."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PENSTOCK_", "PREFECT_")) or name.startswith("PENSTOCK_TEST_")
        }
        return inherited | {
            "PENSTOCK_HOME": str(self.home),
            "PENSTOCK_API_URL": self.api,
            "PENSTOCK_SERVER_DATABASE_CONNECTION_URL": self._database_url,
            **self._settings,
        }

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running; call start first"
        return self._process.pid

    def start(self, timeout: float = 30) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "penstock", "server", "start", "--port", str(self.port)],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.api}/health", timeout=1):
                    return
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"the server did not become healthy:\n{self.output()[-4000:]}")

    def output(self) -> str:
        """What the server has printed so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)
        self._process.wait(30)
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
