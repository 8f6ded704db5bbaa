"""A thousand runs that do not obey are cancelled while their workers are killed at random.

    python benchmarks/reliability.py [--runs 1000] [--wave 100] [--database URL] [--redis URL]

Two servers on one PostgreSQL database (and Redis), two process workers; with `--kill-servers` the
servers are killed as well. Every run ignores SIGTERM
and has a child that does, too. In waves, the runs are started, cancelled, and while the server
has them torn down, workers are killed with SIGKILL and started again. At the end no process of
any run may be alive, each run must have a message that is done or dead with a reason, and no
message may ever have had two live leases. Exits with 1 otherwise. The database must be empty.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

FLOW = """
import os, signal, subprocess, time
from pathlib import Path
from penstock import flow


@flow
def stubborn(folder: str):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sh", "-c", "trap '' TERM; exec sleep 3600"])
    draft = Path(folder) / f".{os.getpid()}"
    draft.write_text(f"{os.getpid()} {child.pid}")
    draft.rename(Path(folder) / str(os.getpid()))
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass
"""
SETTINGS = {
    "PENSTOCK_SERVER_SERVICES_CANCELLATION_CLEANUP_CANCELLING_TIMEOUT_SECONDS": "2",
    "PENSTOCK_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "1",
    "PENSTOCK_SERVER_WORKER_CHANNEL_CLEANUP_LEASE_SECONDS": "10",
    "PENSTOCK_WORKER_CLEANUP_GRACE_SECONDS": "1",
    "PENSTOCK_WORKER_QUERY_SECONDS": "2",
    "PENSTOCK_SERVER_ANALYTICS_ENABLED": "false",
}
PORTS = (4_831, 4_832)
WORKERS = ("first", "second")
STATES = ("ready", "leased", "done", "dead", "cancelled")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--wave", type=int, default=100)
    parser.add_argument("--database", default="postgresql://postgres@127.0.0.1:5432/reliability")
    parser.add_argument("--redis", help="URL; without it the database carries the queue")
    parser.add_argument("--kill-servers", action="store_true", help="not only workers")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    random.seed(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), given.database, given.redis)
        stage.victims = (*WORKERS, *PORTS) if given.kill_servers else WORKERS
        try:
            stage.start()
            for start in range(0, given.runs, given.wave):
                stage.wave(min(given.wave, given.runs - start))
            sound = stage.verdict()
        finally:
            stage.stop()
    sys.exit(0 if sound else 1)


class Stage:
    """Servers, workers, and what is known of the runs."""

    def __init__(self, folder: Path, database: str, redis: str | None) -> None:
        self.folder = folder
        self.database = database
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "PREFECT_"))},
            **SETTINGS,
            "PENSTOCK_HOME": str(folder),
            "PENSTOCK_SERVER_DATABASE_CONNECTION_URL": database,
        }
        if redis:
            self.environment |= {
                "PENSTOCK_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE": "redis",
                "PENSTOCK_REDIS_WORKER_CLEANUP_QUEUE_URL": redis,
                "PENSTOCK_REDIS_WORKER_CLEANUP_QUEUE_KEY_PREFIX": f"reliability:{os.getpid()}",
                "PENSTOCK_SERVER_EVENTS_MESSAGING_BROKER": redis,
            }
        self.storage = "Redis" if redis else "PostgreSQL"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.deployment = ""
        self.runs: list[str] = []
        self.kills: Counter[str] = Counter()
        self.victims: tuple[str | int, ...] = WORKERS
        self.began = time.monotonic()

    # --- the parts -------------------------------------------------------------------------------

    def start(self) -> None:
        (self.folder / "pids").mkdir()
        (self.folder / "stubborn.py").write_text(FLOW)
        for port in PORTS:
            self._server(port)
            self._await_server(port)
        self.call("POST", "/work_pools/", {"name": "local", "type": "process"})
        flow = self.call("POST", "/flows/", {"name": "stubborn"})
        body = {
            "name": "d",
            "flow_id": flow["id"],
            "work_pool_name": "local",
            "path": str(self.folder),
            "entrypoint": "stubborn.py:stubborn",
            "parameters": {"folder": str(self.folder / "pids")},
        }
        self.deployment = self.call("POST", "/deployments/", body)["id"]
        for name in WORKERS:
            self._worker(name)

    def stop(self) -> None:
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in self.started():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _server(self, port: int) -> None:
        self._spawn(f"server-{port}", "server", "start", "--port", str(port))

    def _worker(self, name: str) -> None:
        port = PORTS[WORKERS.index(name)]
        self.environment["PENSTOCK_API_URL"] = f"http://127.0.0.1:{port}/api"
        self._spawn(name, "worker", "start", "-p", "local", "-n", name)

    def _spawn(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "penstock", *command],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _await_server(self, port: int) -> None:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError((self.folder / f"server-{port}.log").read_text()[-3_000:])

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer of one of the servers; asked again while one of them is dead."""
        for _ in range(60):
            try:
                return self._call(method, path, body)
            except OSError:
                time.sleep(0.5)
        raise RuntimeError("no server answers")

    def _call(self, method: str, path: str, body: Any) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{random.choice(PORTS)}/api{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def rows(self, statement: str) -> list[Any]:
        with psycopg.connect(self.database) as connection:
            return connection.execute(statement.encode()).fetchall()

    # --- a wave ----------------------------------------------------------------------------------

    def wave(self, count: int) -> None:
        began = time.monotonic()
        before = len(self.started()) // 2
        with ThreadPoolExecutor(8) as pool:
            runs = list(pool.map(lambda _: self._run(), range(count)))
        self._until(lambda: len(self.started()) // 2 >= before + count, 300, "runs have started")
        known = "SELECT count(*) FROM flow_run WHERE infrastructure_pid IS NOT NULL"
        self._until(lambda: self.rows(known)[0][0] >= before + count, 60, "handles are noted")
        started = time.monotonic()
        over = threading.Event()
        chaos = threading.Thread(target=self._chaos, args=(over,))
        chaos.start()
        try:
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(self._cancel, runs))
            self.runs += runs
            self._until(self._is_quiet, 300, "everything is torn down")
        finally:
            over.set()
            chaos.join()
        print(
            f"wave of {count}: started in {started - began:.0f} s, cancelled and gone in "
            f"{time.monotonic() - started:.0f} s; killed so far: {dict(self.kills)}",
            flush=True,
        )

    def _run(self) -> str:
        path = f"/deployments/{self.deployment}/create_flow_run"
        return self.call("POST", path, {})["id"]

    def _cancel(self, run: str) -> None:
        self.call("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})

    def _is_quiet(self) -> bool:
        open_runs = "SELECT count(*) FROM flow_run WHERE state_type = 'CANCELLING'"
        unfinished = "SELECT count(*) FROM cleanup_message WHERE state IN (0, 1)"
        return (
            not self.rows(open_runs)[0][0]
            and not self.rows(unfinished)[0][0]
            and not any(lives(pid) for pid in self.started())
        )

    def _chaos(self, over: threading.Event) -> None:
        """Kill a worker (or a server) every few seconds; its processes are nobody's then."""
        while not over.wait(random.uniform(1.0, 4.0)):
            victim = random.choice(self.victims)
            server = isinstance(victim, int)
            process = self.processes[f"server-{victim}" if server else str(victim)]
            process.kill()
            process.wait()
            self.kills["servers" if server else "workers"] += 1
            time.sleep(random.uniform(0.2, 1.5))
            if isinstance(victim, int):
                self._server(victim)
            else:
                self._worker(victim)

    def _until(self, holds: Any, seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                self.verdict()
                raise RuntimeError(f"not within {seconds} s: {what}")
            time.sleep(0.3)

    def started(self) -> list[int]:
        files = [one for one in (self.folder / "pids").iterdir() if one.name.isdecimal()]
        return [int(word) for one in files for word in one.read_text().split()]

    # --- what came of it -------------------------------------------------------------------------

    def verdict(self) -> bool:
        """Print what is to be known; whether all of it is as promised."""
        pids = self.started()
        alive = sum(lives(pid) for pid in pids)
        messages = self.rows(
            "SELECT state, dead_reason, flow_run_id, attempts, deliveries FROM cleanup_message"
        )
        states = Counter(STATES[row[0]] for row in messages)
        without_reason = sum(row[0] == 3 and not row[1] for row in messages)
        owed = {row[2] for row in messages}
        ended = self.rows("SELECT id, state_type FROM flow_run")
        unowed = [id for id, type in ended if id in set(self.runs) and id not in owed]
        outcomes = self.rows("SELECT outcome, count(*) FROM cleanup_delivery GROUP BY 1 ORDER BY 1")
        doubles = self.rows(
            "SELECT count(*) FROM cleanup_delivery AS a JOIN cleanup_delivery AS b"
            " ON a.message_id = b.message_id AND a.number < b.number"
            " WHERE a.ended_at IS NULL OR a.ended_at > b.reserved_at"
        )[0][0]
        report("queue", self.storage)
        report("runs cancelled", len(self.runs))
        report("their states", dict(Counter(type for _, type in ended)))
        report("processes they had", len(pids))
        report("killed with SIGKILL", dict(self.kills))
        report("messages by state", dict(states))
        report("deliveries by outcome", dict(outcomes))
        report("most deliveries, attempts of a message", _most(messages))
        report("processes alive at the end", alive, "0")
        report("runs without a message", len(unowed), "0")
        report("messages neither done nor dead", states["ready"] + states["leased"], "0")
        report("dead without a reason", without_reason, "0")
        report("messages with two live leases", doubles, "0")
        report("seconds in all", round(time.monotonic() - self.began))
        unfinished = states["ready"] + states["leased"]
        return not (alive or unowed or unfinished or without_reason or doubles)


def _most(messages: list[Any]) -> str:
    return f"{max(row[4] for row in messages)}, {max(row[3] for row in messages)}"


def report(what: str, seen: Any, promised: str = "") -> None:
    print(f"{what:<42} {seen!s:<32} {promised}", flush=True)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).parents[1] / "src"))
    main()
