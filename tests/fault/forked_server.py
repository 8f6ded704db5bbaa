"""Real server processes that start in some tens of milliseconds, made to be killed.

Run as a program it imports the server once, then forks a serving child for every `start` it reads
from its input. A child serves real sockets and a real database file. It may be told a crash
point: the name of a place in the server, and at which visit the process kills itself there.
"""

import asyncio
import faulthandler
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec

from penstock.server import serve as serving
from penstock.server.api import adapter
from penstock.server.api.ws.socket import Socket
from penstock.server.channel.dispatcher import Dispatcher
from penstock.server.channel.operations import Operations
from penstock.server.config import ServerConfig
from penstock.server.store import sqlite


def quiet_port() -> int:
    """A free port that no outgoing connection is given by the system.

    A client that connects while the server is dead could otherwise be given the very port and
    connect to itself.
    """
    for _ in range(100):
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("no free port between 20000 and 30000")


class Countdown:
    """Kills this process, as nothing else can be, at the given visit."""

    def __init__(self, visits: int) -> None:
        self._left = visits

    def visit(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _around(owner: Any, name: str, *, after: bool) -> Callable[[Countdown], None]:
    """Installs a visit before or after each call of a function."""

    def install(countdown: Countdown) -> None:
        original = getattr(owner, name)

        def visited(*arguments: Any, **keywords: Any) -> Any:
            if not after:
                countdown.visit()
            result = original(*arguments, **keywords)
            if after:
                countdown.visit()
            return result

        setattr(owner, name, visited)

    return install


def _around_async(owner: Any, name: str, *, after: bool) -> Callable[[Countdown], None]:
    def install(countdown: Countdown) -> None:
        original = getattr(owner, name)

        async def visited(*arguments: Any, **keywords: Any) -> Any:
            if not after:
                countdown.visit()
            result = await original(*arguments, **keywords)
            if after:
                countdown.visit()
            return result

        setattr(owner, name, visited)

    return install


CRASH_POINTS: dict[str, Callable[[Countdown], None]] = {
    "before an operation": _around(sqlite, "runs", after=False),
    "after an operation": _around(sqlite, "runs", after=True),
    "before a commit": _around(sqlite.SqliteStore, "_fill_group", after=True),
    "after a commit": _around(sqlite, "settle", after=False),
    "after telling the loop": _around(sqlite, "settle", after=True),
    "before an answer": _around_async(adapter, "send_answer", after=False),
    "after an answer": _around_async(adapter, "send_answer", after=True),
    "before a frame": _around_async(Socket, "send", after=False),
    "after a frame": _around_async(Socket, "send", after=True),
}

CHANNEL_CRASH_POINTS: dict[str, Callable[[Countdown], None]] = {
    "before a claim": _around_async(Dispatcher, "_claim", after=False),
    "after a claim, before its frame": _around_async(Dispatcher, "_hand_over", after=False),
    "after a frame is queued": _around_async(Dispatcher, "_hand_over", after=True),
    "before an operation of a worker": _around_async(Operations, "carry_out", after=False),
    "after an operation, before its answer": _around(Operations, "_answer", after=False),
    "after the answer to an operation": _around_async(Operations, "carry_out", after=True),
}


class ForkedServers:
    """The parent's side: start a child, kill it, start the next one on the same file and port.

    `options` are members of the server's configuration, as JSON values.
    """

    def __init__(self, home: Path, port: int, **options: Any) -> None:
        self._home = home
        self._port = port
        self._options = json.dumps(options)
        self._process: subprocess.Popen[str] | None = None
        self._heard = b""
        self.api = f"http://127.0.0.1:{port}/api"
        self.host, self.port = "127.0.0.1", port

    def __enter__(self) -> Self:
        with (self._home / "server.log").open("a") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.fault.forked_server",
                    str(self._home),
                    str(self._port),
                    self._options,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        return self

    def __exit__(self, *exception: object) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(30)
        process.stdout.close()

    def start(self) -> None:
        """Start a child and wait until it answers."""
        self._say("start")
        assert self._hear() == "ready", self.output()

    def arm(self, point: str | None, visits: int) -> None:
        """Have the child kill itself at that visit of a crash point, counted from now on."""
        if point is not None:
            self._say("arm", point=point, visits=visits)
            assert self._hear() == "armed"

    def kill(self) -> None:
        """SIGKILL, and wait until the child is gone. It may have killed itself already."""
        self._say("kill")
        assert self._hear() == "killed"

    def wait(self) -> bool:
        """Wait until the child has killed itself; False when it lives on after 20 seconds.

        Then its stacks are in `output`.
        """
        self._say("wait")
        return self._hear() == "killed"

    def _say(self, verb: str, **members: Any) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"verb": verb, **members}) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> str:
        """The next line. Read byte-wise, so that half a line cannot hold us up for ever."""
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        end = time.monotonic() + 30
        while b"\n" not in self._heard:
            readable, _, _ = select.select([pipe], [], [], max(0, end - time.monotonic()))
            assert readable, f"heard {self._heard!r} and no more in 30 s:\n{self.output()}"
            piece = os.read(pipe, 4096)
            assert piece, f"the program ended after {self._heard!r}:\n{self.output()}"
            self._heard += piece
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode().strip()

    def output(self) -> str:
        return (self._home / "server.log").read_text()[-3_000:]


def _serve(home: Path, port: int, orders: int, options: dict[str, Any]) -> None:
    def ready(url: str) -> None:
        asyncio.get_running_loop().add_reader(orders, arm)
        print("ready", flush=True)

    def arm() -> None:
        order = json.loads(os.read(orders, 4096))
        points = CRASH_POINTS | CHANNEL_CRASH_POINTS
        # Said before, and at once: a loop of the server may come by the point right after.
        os.write(1, b"armed\n")
        points[order["point"]](Countdown(order["visits"]))

    config = msgspec.convert(
        {"database_url": f"sqlite:///{home / 'penstock.db'}", **options}, ServerConfig
    )
    config = msgspec.structs.replace(config, home=home)
    serving.serve(config, "127.0.0.1", port, ready=ready)


def _ended(child: int, seconds: float) -> bool:
    """Whether the child ends by itself within `seconds`."""
    end = time.monotonic() + seconds
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def main() -> None:
    home, port, options = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    child = 0
    read, write = os.pipe()
    for line in sys.stdin:
        order = json.loads(line)
        if order["verb"] == "start":
            child = os.fork()
            if child == 0:
                faulthandler.register(signal.SIGUSR1, all_threads=True)
                try:
                    _serve(home, port, read, options)
                except BaseException:
                    traceback.print_exc()
                finally:
                    print("ended", flush=True)
                    os._exit(1)
        elif order["verb"] == "arm":
            os.write(write, line.encode())
        else:
            if order["verb"] == "kill":
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            elif not _ended(child, 20):
                os.kill(child, signal.SIGUSR1)
                print("alive", flush=True)
                continue
            child = 0
            print("killed", flush=True)
    if child:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
