"""The command `penstock` in a process of its own, as a user runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import CliRunner

from penstock.cli.main import cli as root
from penstock.client import endpoint
from penstock.schemas.errors import PenstockException
from penstock.settings import temporary_settings

SOURCE = Path(__file__).parents[1] / "src"


class Done(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)


class Cli:
    """Runs commands with a home directory of their own and none of the developer's settings."""

    def __init__(self, home: Path, directory: Path, **environ: str) -> None:
        self.home = home
        self.directory = directory
        self.environ = environ

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().startswith(("PENSTOCK_", "PREFECT_")) and name != "SSL_CERT_FILE"
        }
        own = {"PENSTOCK_HOME": str(self.home), "PYTHONPATH": str(SOURCE)}
        return {**inherited, **own, **self.environ, **more}

    def __call__(self, *arguments: str, answer: str = "", timeout: float = 60, **more: str) -> Done:
        """Run `penstock` with `arguments`; `answer` is its stdin, `more` further variables."""
        done = subprocess.run(
            [sys.executable, "-m", "penstock", *arguments],
            env=self.environment(more),
            cwd=self.directory,
            input=answer,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command and return while it runs."""
        return subprocess.Popen(
            [sys.executable, "-m", "penstock", *arguments],
            env=self.environment({}),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


class Within(Cli):
    """Runs commands in this process, which saves starting one for each."""

    def __call__(self, *arguments: str, answer: str = "", **more: Any) -> Done:
        settings = {
            "PENSTOCK_API_AUTH_STRING": None, "PENSTOCK_API_KEY": None, **self.environ, **more
        }  # fmt: skip
        with temporary_settings(settings):
            try:
                done = CliRunner().invoke(root, arguments, input=answer)
            finally:
                endpoint.reset()  # its connections end with a command, as with a process
        if isinstance(done.exception, PenstockException):  # as `penstock.cli.main.main` does
            return Done(1, done.stdout, f"Error: {done.exception}")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Done(done.exit_code, done.stdout, done.stderr)
