"""The launcher: a small process from which all runs of a runner or worker are started.

It has one thread, knows penstock and nothing of the server, and does what it is told over a
socket: fork itself into a run (warm: everything is imported already), or start a fresh
interpreter or any other command. Every run gets a session, and so a process group, of its own.

The launcher outlives nobody: when its owner goes away (the socket ends), all runs are asked to
end, and their whole groups are killed when their grace is over. When a run ends by itself, what is
left of its group is killed. So no process of a run is ever without an owner.

Messages are JSON lines, see `penstock.runner.messages`.
"""

import gc
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

from penstock.base import json
from penstock.runner.messages import (
    CONTROL_VARIABLE,
    Command,
    Exited,
    Failed,
    Kill,
    Started,
    StartRun,
    StopRun,
)
from penstock.runner.oom import memory_kills

READ_BYTES = 1 << 20
ORPHAN_GRACE_SECONDS = 30.0
PRELOADED = (
    "asyncio",
    "cloudpickle",
    "penstock.flows",
    "penstock.tasks",
    "penstock.engine.run",
    "penstock.engine.drivers.sync",
    "penstock.engine.drivers.aio",
    "penstock.client.orchestration",
    "penstock.client.event_socket",
    "penstock.client.http",
    "penstock.client.sockets",
    "penstock.deployments.steps.core",
    "penstock.deployments.steps.pull",
    "penstock.deployments.steps.utility",
    "penstock.futures",
    "penstock.logging",
    "penstock.logging.handlers",
    "penstock.logging.shipping",
    "penstock.results",
    "penstock.runtime",
    "penstock.runner.child",
    "encodings.idna",
    "logging.config",
    "logging.handlers",
    "pydantic",
    "pydantic.main",
    "pydantic.type_adapter",
    "tomllib",
    "zoneinfo",
)
"""What a run needs anyway, imported once."""
_PR_SET_PDEATHSIG = 1


class _Run:
    """One process that was started and has not ended."""

    __slots__ = ("control", "kill_at", "kills", "pid", "run_id")

    def __init__(self, run_id: str, pid: int, control: int, kills: int) -> None:
        self.run_id = run_id
        self.pid = pid
        self.control = control
        self.kills = kills
        self.kill_at: float | None = None


class Launcher:
    """Serves one owner over `channel` until that goes away.

    `flows` are flows that live in this process, by the key with which a run asks for one.
    """

    def __init__(self, channel: socket.socket, flows: dict[str, Any] | None = None) -> None:
        self._channel = channel
        self._flows = flows or {}
        self._runs: dict[int, _Run] = {}
        self._selector = selectors.DefaultSelector()
        self._buffer = bytearray()
        self._owned = True

    def serve(self) -> None:
        """Returns when the owner is gone and every run has ended."""
        children = self._watch_children()
        self._selector.register(self._channel, selectors.EVENT_READ)
        self._selector.register(children, selectors.EVENT_READ)
        gc.collect()
        gc.freeze()
        while self._owned or self._runs:
            for key, _ in self._selector.select(self._patience()):
                if key.fileobj is self._channel:
                    self._receive()
                else:
                    os.read(children, 4096)
            self._reap()
            self._kill_overdue()

    def _watch_children(self) -> int:
        """A descriptor that becomes readable whenever a child ends."""
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        os.set_blocking(write_end, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        return read_end

    def _patience(self) -> float | None:
        due = [run.kill_at for run in self._runs.values() if run.kill_at is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    # --- the owner -------------------------------------------------------------------------------

    def _receive(self) -> None:
        try:
            data = self._channel.recv(READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._abandon()
            return
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._carry_out(json.decode(line, Command))

    def _abandon(self) -> None:
        """The owner is gone: end everything that runs."""
        self._owned = False
        self._selector.unregister(self._channel)
        for run in self._runs.values():
            self._stop(run, "", ORPHAN_GRACE_SECONDS)

    def _carry_out(self, command: Command) -> None:
        if isinstance(command, StartRun):
            self._start(command)
            return
        run = next((one for one in self._runs.values() if one.run_id == command.run_id), None)
        if run is None:
            return  # It ended meanwhile, which the owner is told anyway.
        if isinstance(command, StopRun):
            self._stop(run, command.intent, command.grace_seconds)
        elif isinstance(command, Kill):
            _signal_group(run.pid, signal.SIGKILL)

    def _tell(self, message: Started | Failed | Exited) -> None:
        if not self._owned:
            return
        try:
            self._channel.sendall(json.encode(message) + b"\n")
        except OSError:
            self._abandon()

    # --- runs ------------------------------------------------------------------------------------

    def _start(self, start: StartRun) -> None:
        control, write_end = os.pipe()
        os.set_blocking(control, False)
        os.set_inheritable(control, True)
        # Set before anything runs in the child, so that it is found however the child is made.
        environment = start.environment | {CONTROL_VARIABLE: str(control)}
        kills, launcher = memory_kills(), os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            os.close(control)
            os.close(write_end)
            self._tell(Failed(run_id=start.run_id, reason=f"no process could be made: {error}"))
            return
        if pid == 0:
            self._become(start, environment, launcher)
        os.close(control)
        self._runs[pid] = _Run(start.run_id, pid, write_end, kills)
        self._tell(Started(run_id=start.run_id, pid=pid))

    def _become(self, start: StartRun, environment: dict[str, str], launcher: int) -> NoReturn:
        """In the child: take the run's surroundings, then run it or execute its command."""
        status = 1
        try:
            os.setsid()
            _reset_signals()
            _die_with_parent(launcher)
            self._selector.close()
            self._channel.close()
            for run in self._runs.values():
                os.close(run.control)
            if start.quiet:
                _silence()
            os.chdir(start.directory)
            if start.command:
                os.execvpe(start.command[0], start.command, environment)  # noqa: S606
            os.environ.clear()
            os.environ.update(environment)
            status = _run_here(start, self._flows)
        except BaseException as error:  # Supervision: this is the last frame of the process.
            status = _last_words(start, error)
        finally:
            _leave(status)

    def _stop(self, run: _Run, intent: str, grace: float) -> None:
        if intent:
            # A run that does not listen gets the signal without a reason.
            with suppress(OSError):
                os.write(run.control, intent.encode() + b"\n")
        try:
            os.kill(run.pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        run.kill_at = time.monotonic() + grace

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for run in self._runs.values():
            if run.kill_at is not None and run.kill_at <= now:
                run.kill_at = None
                _signal_group(run.pid, signal.SIGKILL)

    def _reap(self) -> None:
        for pid, run in list(self._runs.items()):
            try:
                ended, status, usage = os.wait4(pid, os.WNOHANG)
            except ChildProcessError:
                ended, status, usage = pid, 0, None
            if ended == 0:
                continue
            del self._runs[pid]
            os.close(run.control)
            _signal_group(pid, signal.SIGKILL)  # Whatever the run left behind.
            code = os.waitstatus_to_exitcode(status)
            killed = code == -signal.SIGKILL
            self._tell(
                Exited(
                    run_id=run.run_id,
                    code=code if code >= 0 else None,
                    signal=-code if code < 0 else None,
                    out_of_memory=killed and memory_kills() > run.kills,
                    peak_bytes=usage.ru_maxrss * 1024 if usage is not None else 0,
                    lost=usage is None,
                )
            )


def _run_here(start: StartRun, flows: dict[str, Any]) -> int:
    """Run the flow run in this forked process."""
    gc.enable()
    run: Callable[..., int] = import_module("penstock.runner.child").run_forked
    flow = flows.get(start.flow_key) if start.flow_key else None
    return run(start, flow)


def _last_words(start: StartRun, error: BaseException) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    what = f"{start.command[0]!r} in" if start.command else "the run in"
    print(  # noqa: T201 - there is no log yet or any more
        f"penstock: flow run {start.run_id}: {what} {start.directory} failed: {error!r}",
        file=sys.stderr,
    )
    return 127 if isinstance(error, FileNotFoundError) else 1


def _leave(status: int) -> NoReturn:
    """End like an interpreter does: threads that count, exit functions, streams."""
    import atexit
    import threading

    try:
        shutdown: Callable[[], None] = getattr(threading, "_shutdown", lambda: None)
        shutdown()
        run_exit_functions: Callable[[], None] = getattr(atexit, "_run_exitfuncs", lambda: None)
        run_exit_functions()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, default)


def _die_with_parent(launcher: int) -> None:
    """Let the kernel kill this process when the launcher is killed, where it offers that."""
    if _prctl is None:
        return
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != launcher:
        os._exit(1)  # It was killed before the kernel knew.


def _load_prctl() -> Any:
    if sys.platform != "linux":
        return None
    import ctypes

    return getattr(ctypes.CDLL(None), "prctl", None)


_prctl = _load_prctl()


def _silence() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _warm_up() -> None:
    for name in PRELOADED:
        import_module(name)
    # The first check of a type looks through all installed packages for plugins.
    import_module("pydantic").TypeAdapter(int)
    for name in _chosen_modules():
        try:
            import_module(name)
        except Exception as error:  # Code of the user; a run that needs it tells what is wrong.
            print(f"penstock: {name} cannot be preloaded: {error!r}", file=sys.stderr)  # noqa: T201


def _chosen_modules() -> list[str]:
    settings = import_module("penstock.settings").get_current_settings()
    names = [name.strip() for name in settings.runner.preload_modules.split(",")]
    return [name for name in names if name]


def serve_forked(channel: socket.socket, flows: dict[str, Any]) -> NoReturn:
    """Be the launcher in a process that was just forked from a runner. Never returns."""
    try:
        _detach()
        import asyncio

        asyncio.events._set_running_loop(None)
        _warm_up()
        Launcher(channel, flows).serve()
    finally:
        os._exit(0)


def _detach() -> None:
    """Leave the owner's session: what a terminal sends to the owner is not meant for the runs."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def main() -> int:
    """Be the launcher of the process that started this one with a socket as its stdin."""
    channel = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    _detach()
    _warm_up()
    Launcher(channel).serve()
    return 0


if __name__ == "__main__":
    # Under its own name, so that forked runs find the module as everybody else does.
    sys.exit(import_module("penstock.runner.launcher").main())
