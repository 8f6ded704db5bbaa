"""CPU of the pages that lists answer with: rows to objects to JSON, and with the query.

    PYTHONPATH=src python benchmarks/pages.py

A page of 200 flow runs, from rows that were read to the bytes of the answer, must cost at most
3 milliseconds of CPU.
"""

import sys
import time
from collections.abc import Callable
from uuid import UUID

from penstock.base import json
from penstock.base.clock import utc_now
from penstock.schemas.flow_runs import FlowRunBegin, FlowRunCreate, FlowRunPolicy
from penstock.schemas.flows import FlowCreate
from penstock.schemas.logs import LogCreate
from penstock.schemas.states import StateCreate, StateType
from penstock.server.ops import flow_run_lists, flow_runs, logs, views
from penstock.server.ops.context import Context
from penstock.server.store import Store, open_store
from penstock.server.store.selection import select

PAGE = 200
LIMIT_MILLISECONDS = 3.0
CONTEXT = Context()


def fill(store: Store) -> None:
    """A page of runs as they are in use, and as many log records."""
    for number in range(PAGE):
        run = FlowRunCreate(
            flow_id=UUID(int=0),
            parameters={"path": f"s3://bucket/{number}", "options": {"retries": 3, "fast": True}},
            tags=["nightly", "team-a"],
            empirical_policy=FlowRunPolicy(retries=2, retry_delay=10),
            state=StateCreate(type=StateType.COMPLETED, data={"type": "reference", "key": "k"}),
        )
        body = FlowRunBegin(flow=FlowCreate(name="etl"), run=run)
        store.write_sync(flow_runs.begin_flow_run, CONTEXT, body=body)
    records = [
        LogCreate(level=20, message=f"record {n}", name="penstock", timestamp=utc_now())
        for n in range(PAGE)
    ]
    store.write_sync(logs.create_logs, CONTEXT, body=records)


def cpu(action: Callable[[], object], rounds: int = 50) -> float:
    """Milliseconds of CPU of one call, the best of five series."""
    action()
    best = float("inf")
    for _ in range(5):
        before = time.process_time()
        for _ in range(rounds):
            action()
        best = min(best, (time.process_time() - before) / rounds)
    return best * 1_000


def main() -> int:
    store = open_store("sqlite:///:memory:")
    store.start()
    try:
        fill(store)
        sql, params = select("flow_run", {}, sort="ID_DESC", limit=PAGE, dialect="sqlite")
        rows = store.read_sync(lambda tx: tx.fetch(sql, params))
        now = utc_now()
        page = cpu(lambda: json.encode([views.flow_run(row, now) for row in rows]))
        read = cpu(lambda: json.encode(store.read_sync(flow_run_lists.read_flow_runs, CONTEXT)))
        records = cpu(lambda: json.encode(store.read_sync(logs.read_logs, CONTEXT)))
    finally:
        store.stop()
    print(f"200 flow runs, rows to JSON         {page:6.2f} ms")
    print(f"200 flow runs, query to JSON        {read:6.2f} ms")
    print(f"200 log records, query to JSON      {records:6.2f} ms")
    return 0 if page <= LIMIT_MILLISECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
