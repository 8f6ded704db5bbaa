"""A system under measurement: its commands, its server process, its CPU and memory."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class System:
    """Penstock or its peer, in a home of its own, so that nothing of the user's is touched."""

    def __init__(self, name: str, python: str) -> None:
        self.name = name
        self.python = python
        self.command = str(Path(python).parent / name)
        self.prefix = name.upper()
        self._home = tempfile.TemporaryDirectory(prefix=f"bench-{name}-")
        self._server: subprocess.Popen[bytes] | None = None
        self.api = ""

    def environment(self, **more: str) -> dict[str, str]:
        """The caller's environment without other settings of either system.

        Modules are compiled once and kept, as where the packages are installed.
        """
        inherited = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PREFECT_", "PENSTOCK_")) and key != "PYTHONDONTWRITEBYTECODE"
        }
        own = {
            f"{self.prefix}_HOME": self._home.name,
            f"{self.prefix}_LOGGING_LEVEL": "WARNING",
            "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        }
        if self.api:
            own[f"{self.prefix}_API_URL"] = self.api
        return inherited | own | more

    def cpu_of(self, *arguments: str, runs: int = 5) -> float:
        """Median user plus system seconds of a whole process."""
        figures = []
        for _ in range(runs):
            before = os.times()
            subprocess.run(arguments, env=self.environment(), check=True, stdout=subprocess.DEVNULL)
            after = os.times()
            figures.append(
                after.children_user
                - before.children_user
                + after.children_system
                - before.children_system
            )
        return sorted(figures)[len(figures) // 2]

    def run(self, script: Path, *arguments: str) -> dict[str, float]:
        """Run a measuring script in this system's environment and read its JSON answer."""
        done = subprocess.run(
            [self.python, str(script), self.name, *arguments],
            env=self.environment(),
            check=True,
            stdout=subprocess.PIPE,
        )
        return json.loads(done.stdout.splitlines()[-1])

    def start(self, *, fresh: bool = True) -> float:
        """Start a server and return the seconds until it answered that it is healthy."""
        if fresh:
            self._home.cleanup()
            Path(self._home.name).mkdir()
        port = free_port()
        self.api = ""
        started = time.perf_counter()
        self._server = subprocess.Popen(
            [self.command, "server", "start", "--port", str(port)],
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.api = f"http://127.0.0.1:{port}/api"
        deadline = started + 120
        while time.perf_counter() < deadline:
            try:
                with urllib.request.urlopen(f"{self.api}/health", timeout=1):
                    return time.perf_counter() - started
            except OSError:
                time.sleep(0.01)
        raise TimeoutError(f"the {self.name} server did not become healthy within 120 s")

    def stop(self) -> None:
        if self._server is None:
            return
        os.killpg(self._server.pid, signal.SIGTERM)
        try:
            self._server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
        self._server = None

    def close(self) -> None:
        self.stop()
        self._home.cleanup()

    def _processes(self) -> list[Path]:
        if self._server is None:
            raise RuntimeError(f"the {self.name} server is not running; call start first")
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue  # ended while we looked
                if int(fields[3]) == self._server.pid:
                    found.append(entry)
        return found

    def server_cpu(self) -> float:
        """User plus system seconds of all processes of the server so far."""
        total = 0
        for process in self._processes():
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def server_memory(self) -> int:
        """Resident bytes of all processes of the server."""
        return sum(
            int((process / "statm").read_text().split()[1]) * PAGE for process in self._processes()
        )
