"""Recording task runs stays within its budget of statements and Python calls.

What it takes in time is measured by `benchmarks/costs.py`.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.perf.calls import python_calls
from tests.store.run_rows import put_flow_run
from tests.store.task_events import task_event

from penstock.base.ids import uuid7
from penstock.schemas.events import Event
from penstock.server.ops.recorder import record
from penstock.server.store import Store, open_store
from penstock.server.store.transaction import Tx

RUNS = 100
STATEMENTS = 6
"""Statements for a batch, whatever its size."""
CALLS = 115
"""Python functions for one task run of three events."""


def batch(flow_run_id: str, runs: int) -> list[Event]:
    start = datetime(2026, 2, 1, tzinfo=UTC)
    times = {
        "run_count": 1,
        "start_time": start.isoformat(),
        "end_time": None,
        "expected_start_time": start.isoformat(),
        "total_run_time": 0.0,
    }
    return [
        task_event(
            id, type, start + timedelta(seconds=at), flow_run_id=flow_run_id, tags=("a",), **times
        )
        for id in (str(uuid7()) for _ in range(runs))
        for at, type in enumerate(("PENDING", "RUNNING", "COMPLETED"))
    ]


def statements_for(store: Store, events: list[Event]) -> int:
    _, before = store.statistics.snapshot()
    store.write_sync(record, events)
    return store.statistics.snapshot()[1] - before


def test_three_events_of_a_task_run(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    store.start()
    try:
        flow_run = store.write_sync(put_flow_run)
        one = statements_for(store, batch(flow_run, 1))
        many = statements_for(store, batch(flow_run, RUNS))
        assert many == one, "a larger batch takes larger statements, not more of them"
        assert many <= STATEMENTS

        batches = [batch(flow_run, RUNS) for _ in range(2)]

        def counted(tx: Tx) -> int:
            return python_calls(lambda: record(tx, batches.pop()))

        assert store.write_sync(counted) / RUNS <= CALLS
    finally:
        store.stop()
