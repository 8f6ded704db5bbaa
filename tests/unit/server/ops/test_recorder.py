"""Events of task runs leave the same rows however they arrive."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.store.run_rows import decoded, put_flow_run
from tests.store.task_events import task_event

from penstock.base.clock import ManualClock
from penstock.base.ids import uuid7
from penstock.schemas.events import Event
from penstock.schemas.states import TERMINAL_STATES, StateType
from penstock.server.ops.recorder import record
from penstock.server.store import Store, open_store
from penstock.server.store.transaction import Row, Tx

START = datetime(2026, 2, 1, tzinfo=UTC)

histories = st.lists(
    st.tuples(st.sampled_from(StateType), st.integers(1, 1_000)), min_size=1, max_size=6
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path: Path = tmp_path_factory.mktemp("recorder") / "store.db"
    opened = open_store(f"sqlite:///{path}", clock=ManualClock())
    opened.start()
    yield opened
    opened.stop()


@pytest.fixture(scope="module")
def flow_run(store: Store) -> str:
    return store.write_sync(put_flow_run)


def reported(
    run_id: str, flow_run_id: str | None, history: list[tuple[StateType, int]], complete: bool
) -> list[Event]:
    """The events of one run, with or without the times its engine keeps."""
    events: list[Event] = []
    now, columns = START, Columns()
    for type, pause in history:
        now += timedelta(milliseconds=pause)
        columns.enter(type, now)
        events.append(
            task_event(
                run_id,
                type,
                now,
                flow_run_id=flow_run_id,
                **(columns.told() if complete else {}),
            )
        )
    return events


class Columns:
    """Times and counters of a run, kept the plain way, one state after the other."""

    def __init__(self) -> None:
        self.run_count = 0
        self.total = timedelta()
        self.start: datetime | None = None
        self.end: datetime | None = None
        self.expected: datetime | None = None
        self.due: datetime | None = None
        self.running_since: datetime | None = None

    def enter(self, type: StateType, now: datetime) -> None:
        if self.running_since is not None:
            self.total += now - self.running_since
        self.running_since = now if type is StateType.RUNNING else None
        self.run_count += type is StateType.RUNNING
        self.expected = self.expected or now
        self.due = None
        if type in TERMINAL_STATES:
            if self.end is None:
                self.start = self.start or now
                self.end = now
        else:
            self.end = None
        if type is StateType.RUNNING:
            self.start = self.start or now

    def told(self) -> dict[str, Any]:
        return {
            "run_count": self.run_count,
            "total_run_time": self.total.total_seconds(),
            "start_time": _text(self.start),
            "end_time": _text(self.end),
            "expected_start_time": _text(self.expected),
            "next_scheduled_start_time": None,
        }


def _text(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None


def rows_left(tx: Tx, batches: Sequence[Sequence[Event]]) -> tuple[list[Row], list[Row]]:
    """All rows the batches leave, which are removed again."""
    for batch in batches:
        record(tx, batch)
    runs = tx.fetch("SELECT * FROM task_run ORDER BY id", [])
    states = tx.fetch("SELECT * FROM task_run_state ORDER BY id", [])
    tx.fetch("DELETE FROM task_run RETURNING id", [])
    return [decoded(row) for row in runs], [decoded(row) for row in states]


@settings(max_examples=80, deadline=None)
@given(data=st.data(), complete=st.booleans(), in_flow=st.booleans())
def test_order_repetition_and_batches_do_not_matter(
    store: Store, flow_run: str, data: st.DataObject, complete: bool, in_flow: bool
) -> None:
    parent = flow_run if in_flow else None
    events: list[Event] = []
    for history in data.draw(st.lists(histories, min_size=1, max_size=3)):
        events += reported(str(uuid7()), parent, history, complete)
    wanted = store.write_sync(rows_left, [events])

    arriving = data.draw(st.permutations(events))
    arriving += data.draw(st.lists(st.sampled_from(events), max_size=5))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(arriving)), max_size=4)))
    edges = [0, *cuts, len(arriving)]
    batches = [arriving[a:b] for a, b in pairwise(edges)]
    assert store.write_sync(rows_left, batches) == wanted


@settings(max_examples=60, deadline=None)
@given(history=histories, complete=st.booleans())
def test_columns_are_those_of_a_run_that_was_watched(
    store: Store, history: list[tuple[StateType, int]], complete: bool
) -> None:
    id = str(uuid7())
    columns, now = Columns(), START
    for type, pause in history:
        now += timedelta(milliseconds=pause)
        columns.enter(type, now)
    (run,), states = store.write_sync(rows_left, [reported(id, None, history, complete)])
    assert len(states) == len(history)
    assert (run["state_type"], run["state_timestamp"]) == (history[-1][0].value, now)
    assert run["run_count"] == columns.run_count
    assert run["total_run_time"] == pytest.approx(columns.total.total_seconds())
    assert (run["start_time"], run["end_time"]) == (columns.start, columns.end)
    assert run["expected_start_time"] == columns.expected
