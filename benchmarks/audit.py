"""CPU that the event and the audit row add to a write, and what sealing costs afterwards.

    PYTHONPATH=src python benchmarks/audit.py [--rounds 30]

Each write is done twice, as it is and with the recording left out, in turns of a hundred, so that
both meet the same machine; the difference of two neighbouring turns is what recording costs. The
CPU is that of the whole process with all its threads, so the work inside SQLite is counted: the
two rows, their indexes and the commit of them. Nothing else is left out: the change itself, the
transaction and its commit are in both. Sealing is done by a loop in the background.
"""

import argparse
import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

from penstock.schemas.flow_runs import FlowRunBegin, FlowRunCreate
from penstock.schemas.flows import FlowCreate
from penstock.schemas.states import SetStateBody, StateCreate, StateType
from penstock.schemas.variables import VariableCreate, VariableUpdate
from penstock.server.ops import changes, flow_runs, variables
from penstock.server.ops.context import Actor, Context, RequestInfo
from penstock.server.services.audit import AuditSeals
from penstock.server.store import Store, open_store

TURN = 100
BUDGET = 60.0
CONTEXT = Context(
    actor=Actor(type="token", id="0198f3b2-7c1d-7abc-8def-0123456789ab", name="bot", auth="bearer"),
    request=RequestInfo(id="r", route="PATCH /variables/{id}", ip="127.0.0.1", user_agent="bench"),
    claims=(("flow-run", "0198f3b2-7c1d-7abc-8def-0123456789ab"), ("flow-run-name", "brave")),
    fingerprint_key=b"k" * 32,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{Path(folder) / 'bench.db'}")
        store.start()
        try:
            for name, turn in (
                ("update of a variable", VariableTurns(store)),
                ("state of a flow run", StateTurns(store)),
            ):
                report(name, *measured(turn, rounds))
            seal(store)
        finally:
            store.stop()


def measured(turn: Callable[[], None], rounds: int) -> tuple[list[float], list[float]]:
    """Microseconds of CPU per write, with and without recording, of each round."""
    whole: list[float] = []
    bare: list[float] = []
    for number in range(rounds + 1):
        # The order alternates, so that neither is always the first after a collection.
        for recorded in (True, False) if number % 2 else (False, True):
            took = cpu_of(turn, recorded=recorded)
            if number:  # the first round warms up
                (whole if recorded else bare).append(took / TURN * 1_000_000)
    return whole, bare


def cpu_of(turn: Any, *, recorded: bool) -> float:
    turn.prepare()
    gc.collect()
    if recorded:
        return timed(turn)
    # `write` is the one place where the two rows are written.
    with (
        patch.object(changes, "write", lambda *_, **__: None),
        patch.object(changes, "_snapshot", lambda *_: None),
    ):
        return timed(turn)


def timed(turn: Callable[[], None]) -> float:
    before = time.process_time()
    turn()
    return time.process_time() - before


class VariableTurns:
    """One variable, changed again and again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        body = VariableCreate(name="bench", value=0)
        self._id = str(store.write_sync(variables.create_variable, CONTEXT, body=body).id)
        self._value = 0

    def prepare(self) -> None:
        return

    def __call__(self) -> None:
        for _ in range(TURN):
            self._value += 1
            body = VariableUpdate(value=self._value)
            self._store.write_sync(variables.update_variable, CONTEXT, self._id, body=body)


class StateTurns:
    """Runs that begin to run: the write that there are most of."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[str] = []

    def prepare(self) -> None:
        body = FlowRunBegin(
            flow=FlowCreate(name="bench"),
            run=FlowRunCreate(flow_id=UUID(int=0), state=StateCreate(type=StateType.PENDING)),
        )
        self._waiting = [
            str(self._store.write_sync(flow_runs.begin_flow_run, CONTEXT, body=body).id)
            for _ in range(TURN)
        ]

    def __call__(self) -> None:
        for id in self._waiting:
            body = SetStateBody(state=StateCreate(type=StateType.RUNNING))
            self._store.write_sync(flow_runs.set_flow_run_state, CONTEXT, id, body=body)


def report(name: str, whole: list[float], bare: list[float]) -> None:
    added = [one - other for one, other in zip(whole, bare, strict=True)]
    best = min(whole) - min(bare)
    print(
        f"{name}: {statistics.median(whole):.0f} us of CPU, {statistics.median(bare):.0f} us "
        f"without recording; recording adds {statistics.median(added):.0f} us in the median of "
        f"{len(added)} rounds, {best:.0f} us between the best of both (budget {BUDGET:.0f} us)"
    )


def seal(store: Store) -> None:
    before = time.process_time()
    rows = asyncio.run(AuditSeals(store).run_once(None))  # type: ignore[arg-type]
    took = time.process_time() - before
    print(f"sealing: {took / rows * 1_000_000:.1f} us of CPU a row, later ({rows} rows)")


if __name__ == "__main__":
    main()
