"""The owner's side of a launcher: the one way in which runs are started.

Runner, worker and commands all use `Launching`. It notices when the launcher dies: then every
run it had is killed with its whole group, ends as `lost`, and the next start makes a new launcher.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from penstock.base import json
from penstock.runner import launcher
from penstock.runner.exits import Exit
from penstock.runner.messages import Exited, Failed, Kill, Report, Started, StartRun, StopRun

LIMIT = 1 << 26
"""Bytes of the longest message."""
CLOSE_SECONDS = 5.0


class LaunchError(RuntimeError):
    """No process could be started."""


class RunProcess:
    """A process that was started for a run, until it has ended."""

    def __init__(self, owner: "Launching", run_id: str) -> None:
        self.run_id = run_id
        self.pid = 0
        self.stopping: str | None = None
        """The intent with which the process was asked to end."""
        self._owner = owner
        loop = asyncio.get_running_loop()
        self.started: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[Exit] = loop.create_future()

    async def wait(self) -> Exit:
        return await asyncio.shield(self.ended)

    @property
    def is_alive(self) -> bool:
        return not self.ended.done()

    def stop(self, intent: str = "", grace_seconds: float = 30.0) -> None:
        """Ask the process to end, saying why; its whole group is killed when the grace is over."""
        if self.is_alive:
            self.stopping = intent
            self._owner.send(
                StopRun(run_id=self.run_id, intent=intent, grace_seconds=grace_seconds)
            )

    def kill(self) -> None:
        """Kill the process and all of its group now."""
        if self.is_alive:
            self._owner.send(Kill(run_id=self.run_id))


class Launching:
    """Starts runs through a launcher of its own. Use it in one event loop; `close` at the end.

    With `flows` the launcher is forked from this process, so that these flows and all that they
    imported are in it already. That must happen while this process has no other thread: call
    `fork` first thing. Without, and for a launcher that must be replaced, it is a process of its
    own that knows penstock only.
    """

    def __init__(self, flows: dict[str, Any] | None = None) -> None:
        self._flows = flows or {}
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._forked = 0
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._opening = asyncio.Lock()
        self._runs: dict[str, RunProcess] = {}

    @property
    def runs(self) -> Mapping[str, RunProcess]:
        return self._runs

    @property
    def keeps_flows(self) -> bool:
        """Whether the launcher has the flows of this process."""
        return self._forked != 0

    def fork(self) -> bool:
        """Fork the launcher from this process; False where that would not be safe."""
        if threading.active_count() > 1 or not hasattr(os, "fork"):
            return False
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            ours.close()
            launcher.serve_forked(theirs, self._flows)
        theirs.close()
        self._forked, self._channel = pid, ours
        return True

    async def start(self, start: StartRun) -> RunProcess:
        """Start a run. Raises `LaunchError` when no process can be made."""
        await self.open()
        run = RunProcess(self, start.run_id)
        self._runs[start.run_id] = run
        self.send(start)
        try:
            await run.started
        except BaseException:
            self._runs.pop(start.run_id, None)
            raise
        return run

    async def open(self) -> None:
        """Make sure that there is a launcher, so that the next start does not wait for it."""
        async with self._opening:
            if self._writer is not None:
                return
            if self._channel is None:
                self._channel = await asyncio.to_thread(self._spawn)
            self._channel.setblocking(False)
            reader, self._writer = await asyncio.open_connection(sock=self._channel, limit=LIMIT)
            self._reader = asyncio.create_task(self._listen(reader))

    def send(self, message: StartRun | StopRun | Kill) -> None:
        if self._writer is not None:
            self._writer.write(json.encode(message) + b"\n")

    async def close(self) -> None:
        """Let the launcher go; it ends what still runs."""
        reader, self._reader = self._reader, None
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        if reader is not None:
            reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader
        if writer is None and self._channel is not None:
            self._channel.close()
        self._channel = None
        await asyncio.to_thread(self._reap)

    def _spawn(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "penstock.runner.launcher"],
                stdin=theirs.fileno(),
                env=os.environ | {"PYTHONPATH": _own_path()},
            )
        self._forked = 0
        return ours

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._heard(json.decode(line, Report))
        except (OSError, ValueError):
            pass  # The launcher is no longer to be trusted; what follows is for that.
        self._lost()

    def _heard(self, report: Report) -> None:
        run = self._runs.get(report.run_id)
        if run is None:
            return
        if isinstance(report, Started):
            run.pid = report.pid
            run.started.set_result(None)
        elif isinstance(report, Failed):
            run.started.set_exception(LaunchError(report.reason))
            del self._runs[report.run_id]
        else:
            del self._runs[report.run_id]
            run.ended.set_result(_exit_of(report))

    def _lost(self) -> None:
        """The launcher died: nobody looks after its runs, so they end with it."""
        self._writer = self._reader = self._channel = None
        runs, self._runs = self._runs, {}
        for run in runs.values():
            if not run.started.done():
                run.started.set_exception(LaunchError("the launcher of runs ended; try again"))
            else:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(run.pid, signal.SIGKILL)
                run.ended.set_result(Exit(lost=True))
        self._reap()

    def _reap(self) -> None:
        """Wait for the launcher to end, when it is going to."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(CLOSE_SECONDS if not self._runs else 0)
        forked, self._forked = self._forked, 0
        if forked:
            with suppress(ChildProcessError):
                os.waitpid(forked, os.WNOHANG)


def _exit_of(report: Exited) -> Exit:
    return Exit(
        code=report.code,
        signal=report.signal,
        out_of_memory=report.out_of_memory,
        peak_bytes=report.peak_bytes,
        lost=report.lost,
    )


def _own_path() -> str:
    """PYTHONPATH with the place of this package, from wherever it was imported."""
    own = str(Path(launcher.__file__).parents[2])
    given = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
    return os.pathsep.join([own, *(one for one in given if one != own)])
