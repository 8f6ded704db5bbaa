"""CPU of small parts: settings, cache keys, transactions, results, the recorder.

    PYTHONPATH=src python benchmarks/costs.py

The tests bound the same parts by counting modules, statements and calls (`tests/perf`,
`tests/unit/settings/test_cost.py`); here is what they take on this machine. Each figure is the
best of several series, because others that use the machine only make it slower.
"""

import gc
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

from penstock.base.ids import uuid7
from penstock.cache_policies import DEFAULT
from penstock.results import ResultStore
from penstock.schemas.events import Event
from penstock.schemas.flow_runs import FlowRunBegin, FlowRunCreate
from penstock.schemas.flows import FlowCreate
from penstock.server.ops.context import Context
from penstock.server.ops.flow_runs import begin_flow_run
from penstock.server.ops.recorder import record
from penstock.server.store import open_store
from penstock.states import Completed, state_to_wire, value_state
from penstock.transactions import Transaction

SETTINGS = """
import contextvars, datetime, importlib, pathlib, threading, time, typing, urllib.parse
began = time.process_time()
from penstock.settings import get_current_settings
get_current_settings()
print(time.process_time() - began)
"""


def cpu(call: Callable[[], object], calls: int = 500, series: int = 8) -> float:
    """Microseconds of CPU of one call."""
    call()
    best = float("inf")
    for _ in range(series):
        gc.collect()
        before = time.process_time()
        for _ in range(calls):
            call()
        best = min(best, (time.process_time() - before) / calls)
    return best * 1_000_000


def settings() -> float:
    """Microseconds to import and load the settings in a new process."""
    took = []
    for _ in range(6):
        done = subprocess.run([sys.executable, "-c", SETTINGS], check=True, capture_output=True)
        took.append(float(done.stdout))
    return min(took) * 1_000_000


def results(directory: Path) -> dict[str, float]:
    store = ResultStore(result_storage=directory)
    store.write({"a": 1}, key="k")
    cold = store.model_copy(update={"cache_result_in_memory": False})
    context = SimpleNamespace(
        task=SimpleNamespace(source_code="def add(a, b):\n    return a + b\n", fn=None),
        task_run=SimpleNamespace(id=UUID(int=1), flow_run_id=UUID(int=2)),
    )
    state = Completed(data=value_state(1, store).data)
    numbers = iter(range(1_000_000))

    def hit(of: ResultStore) -> None:
        with Transaction(key="k", store=of) as txn:
            txn.read()

    def nothing() -> None:
        with Transaction() as txn:
            txn.stage(1)

    return {
        "default key of a small task": cpu(
            lambda: DEFAULT.compute_key(context, {"a": 1, "b": "two"}, {})
        ),
        "transaction that keeps nothing": cpu(nothing),
        "cache hit in memory": cpu(lambda: hit(store)),
        "cache hit on disk": cpu(lambda: hit(cold)),
        "state of a value that is not kept": cpu(lambda: value_state(1, store)),
        "a state for the wire": cpu(lambda: state_to_wire(state)),
        "keeping a small result": cpu(lambda: store.write(1, key=f"k{next(numbers)}")),
    }


def recorder(directory: Path, runs: int = 100) -> float:
    """Microseconds to record the three events of one task run."""
    store = open_store(f"sqlite:///{directory}/store.db")
    store.start()
    try:
        # Any flow id: `begin` makes the flow that it names.
        run = FlowRunCreate(flow_id=UUID(int=0))
        body = FlowRunBegin(flow=FlowCreate(name="bench"), run=run)
        flow_run = str(store.write_sync(begin_flow_run, Context(), body=body).id)
        return cpu(lambda: store.write_sync(record, _events(flow_run, runs)), 1) / runs
    finally:
        store.stop()


def _events(flow_run: str, runs: int) -> list[Event]:
    events = []
    for _ in range(runs):
        id = str(uuid7())
        for type in ("PENDING", "RUNNING", "COMPLETED"):
            events.append(_event(id, type, flow_run))
    return events


def _event(task_run: str, type: str, flow_run: str) -> Event:
    now = datetime.now(UTC)
    state = {"type": type, "name": type.title(), "state_details": {"flow_run_id": flow_run}}
    described = {"name": "t-0", "task_key": "t", "dynamic_key": task_run, "run_count": 1}
    return Event(
        id=uuid7(),
        occurred=now,
        event=f"prefect.task-run.{type.title()}",
        resource={
            "prefect.resource.id": f"prefect.task-run.{task_run}",
            "prefect.orchestration": "client",
        },
        related=[
            {
                "prefect.resource.id": f"prefect.flow-run.{flow_run}",
                "prefect.resource.role": "flow-run",
            }
        ],
        payload={"validated_state": state, "task_run": described},
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        figures = {"import and load the settings": settings()}
        figures |= results(Path(directory) / "results")
        figures["three events of a task run, recorded"] = recorder(Path(directory))
    for name, microseconds in figures.items():
        print(f"{name:<42} {microseconds:9.1f} µs")


if __name__ == "__main__":
    main()
