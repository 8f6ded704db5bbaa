"""Random kills of workers: nothing is lost, nothing runs twice, no process is left.

    python benchmarks/worker_kills.py [--kills 300] [--workers 3] [--lease 3] [--seed 1]

Workers of one pool run short flows that start processes of their own. One worker after the other
is killed with SIGKILL at a random moment and replaced. Then it is checked that every run came to
an end, that no two processes ran one run at the same time, that a run that completed ran to its
end once, and that none of the processes is left. Takes about 1.5 seconds a kill.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from dispatch import POOL, System

from penstock.schemas.deployments import DeploymentFlowRunCreate
from penstock.schemas.events import EventFilter, EventNameFilter, EventsFilterBody
from penstock.schemas.states import StateCreate, StateDetails, StateType
from penstock.schemas.work import WorkPoolCreate

PROJECT = """\
import os
import subprocess
import time

from penstock import flow


@flow
def timed(mark: str, seconds: float = 0.0):
    child = subprocess.Popen(["sleep", "3611"])
    with open(mark, "a") as file:
        file.write(f"begin {time.time()} {os.getpid()} {child.pid}\\n")
    time.sleep(seconds)
    with open(mark, "a") as file:
        file.write(f"end {time.time()} {os.getpid()} {child.pid}\\n")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--lease", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        problems = run(Path(folder), given)
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


def run(folder: Path, given: Any) -> list[str]:
    system = System(folder, None)
    (folder / "flows.py").write_text(PROJECT)
    chance = random.Random(given.seed)
    variables = {
        "PENSTOCK_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "1",
        "PENSTOCK_RUNNER_CLAIM_LEASE_SECONDS": str(given.lease),
    }
    system.more = variables
    with system.server() as client:
        client.call("create_work_pool", body=WorkPoolCreate(name=POOL, type="process"))
        id = system.deploy(client, "killed")
        workers = [start(system) for _ in range(given.workers)]
        runs: dict[Any, Path] = {}
        began = time.monotonic()
        try:
            for kill in range(given.kills):
                for _ in range(2):
                    mark = system.mark()
                    runs[request(client, id, mark, chance.uniform(0, 1.5))] = mark
                time.sleep(chance.uniform(0.2, 2.0))
                victim = chance.randrange(len(workers))
                workers[victim].send_signal(signal.SIGKILL)
                workers[victim].wait()
                workers[victim] = start(system)
                if (kill + 1) % 50 == 0:
                    print(f"{kill + 1} kills, {len(runs)} runs", flush=True)
            states = settled(client, runs, given.lease)
            spent = time.monotonic() - began
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait()
        problems = checked(runs, states)
        stale = refused(client)
    print(
        f"{given.kills} kills of {given.workers} workers, {len(runs)} runs in {spent:.0f} s: "
        f"{dict(Counter(state.value for state in states.values()))}, "
        f"{stale} stale writers refused"
    )
    return problems


def start(system: System) -> "subprocess.Popen[bytes]":
    with (system.folder / "workers").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "penstock", "worker", "start", "--pool", POOL],
            cwd=system.folder,
            env=system.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def request(client: Any, id: Any, mark: Path, seconds: float) -> Any:
    body = DeploymentFlowRunCreate(
        parameters={"mark": str(mark), "seconds": seconds},
        state=StateCreate(type=StateType.SCHEDULED, state_details=StateDetails()),
    )
    return client.call("create_flow_run_from_deployment", id, body=body).id


def settled(client: Any, runs: dict[Any, Path], lease: float) -> dict[Any, StateType]:
    """The last states; waits as long as runs may take that lose their owner again and again."""
    deadline = time.monotonic() + 60 + 5 * lease
    states: dict[Any, StateType] = {}
    while len(states) < len(runs) and time.monotonic() < deadline:
        for run in runs.keys() - states.keys():
            state = client.read_flow_run(run).state
            if state is not None and state.is_final():
                states[run] = state.type
        time.sleep(0.5)
    return states


def refused(client: Any) -> int:
    name = EventNameFilter(name=["penstock.flow-run.stale-claim-refused"])
    body = EventsFilterBody(filter=EventFilter(event=name), limit=50)
    return client.call("read_events", body=body).total


def checked(runs: dict[Any, Path], states: dict[Any, StateType]) -> list[str]:
    problems = [f"run {run} never ended" for run in runs.keys() - states.keys()]
    time.sleep(1.0)
    for run, mark in runs.items():
        spans: dict[str, list[float]] = {}
        pids: set[str] = set()
        for line in mark.read_text().splitlines():
            what, at, pid, child = line.split()
            pids |= {pid, child}
            spans.setdefault(pid, [float(at), float("inf")])[what == "end"] = float(at)
        ended = [span for span in spans.values() if span[1] != float("inf")]
        if states.get(run) is StateType.COMPLETED and len(ended) != 1:
            problems.append(f"run {run} completed and ran to its end {len(ended)} times")
        if len(spans) > 1:
            problems.append(f"run {run} was executed by {len(spans)} processes")
        for pid in pids:
            if _is_ours(pid):
                problems.append(f"process {pid} of run {run} is left")
    return problems


def _is_ours(pid: str) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"3611" in command or b"penstock" in command


if __name__ == "__main__":
    main()
