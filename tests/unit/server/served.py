"""A server process started straight from `penstock.server.serve`, without the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

PROGRAM = """
import json, sys
from pathlib import Path
from penstock.server.config import ServerConfig
from penstock.server.serve import serve

home, options = Path(sys.argv[1]), json.loads(sys.argv[2])
serving = options.pop("serving", {})
config = ServerConfig(
    database_url=options.pop("database_url", f"sqlite:///{home / 'penstock.db'}"),
    home=home,
    **options,
)
serve(config, **{"port": 0, **serving}, ready=lambda url: print(url, flush=True))
"""


class Served:
    """One server process; `api` is its address once `start` returned."""

    def __init__(self, home: Path, *, environment: dict[str, str] | None = None, **options: Any):
        self.home = home
        self.api = ""
        self.started_seconds = 0.0
        self._options = options
        self._environment = {**os.environ, **(environment or {})}
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        """Start and wait until requests are answered. Raises `AssertionError` with its output."""
        began = time.perf_counter()
        with (self.home / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(self.home), json.dumps(self._options)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environment,
            )
        assert self.process.stdout is not None
        self.api = self.process.stdout.readline().strip()
        self.started_seconds = time.perf_counter() - began
        assert self.api, self.output()
        return self

    def output(self) -> str:
        return (self.home / "server.log").read_text()[-3_000:]

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait; the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        if self.process is not None:
            self.end(signal.SIGTERM)
