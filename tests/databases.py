"""A started store on each database, and a short way to run operations on it."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from tests.prepared import copy_sqlite, postgres_schema

from penstock.base import json
from penstock.base.clock import ManualClock
from penstock.schemas.flow_runs import FlowRunBegin, FlowRunCreate
from penstock.schemas.flows import FlowCreate
from penstock.schemas.states import StateCreate, StateDetails, StateType
from penstock.schemas.task_runs import TaskRunCreate
from penstock.server.ops import flow_runs, flows, task_runs
from penstock.server.ops.context import Context, Limits
from penstock.server.store import Store, open_store

POSTGRES = os.environ.get("PENSTOCK_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
DATABASES = ("sqlite", "postgresql")


@contextmanager
def database_url(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a database with empty tables; skips without a server for it."""
    if kind == "sqlite":
        copy_sqlite(folder / "store.db")
        yield f"sqlite:///{folder}/store.db"
        return
    with ExitStack() as stack:
        try:
            url = stack.enter_context(postgres_schema(POSTGRES))
        except psycopg.OperationalError:
            pytest.skip("2026-11-25: no PostgreSQL server answers at PENSTOCK_TEST_POSTGRES")
        yield url


class World:
    """A store and a clock, with the operations that most tests begin with."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.context = Context(base_url="http://server/api")

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def limited(self, **limits: Any) -> None:
        """Go on with other limits than the default ones."""
        self.context = Context(base_url=self.context.base_url, limits=Limits(**limits))

    def write(self, op: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self.store.write_sync(op, self.context, *args, **kwargs)

    def read(self, op: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self.store.read_sync(op, self.context, *args, **kwargs)

    def rows(self, sql: str, *params: Any) -> list[dict[str, Any]]:
        return self.store.read_sync(lambda tx: tx.fetch(sql, params))

    def flow(self, name: str = "etl", **fields: Any) -> str:
        made = self.write(flows.create_flow, body=FlowCreate(name=name, **fields))
        return made.value.id

    def flow_run(
        self, state: StateCreate | StateType | None = None, flow: str = "etl", **fields: Any
    ) -> str:
        body = FlowRunBegin(
            flow=FlowCreate(name=flow),
            run=FlowRunCreate(flow_id=UUID(int=0), state=_state(state), **fields),
        )
        return self.write(flow_runs.begin_flow_run, body=body).id

    def task_run(
        self,
        flow_run_id: str | None = None,
        state: StateCreate | StateType | None = None,
        key: str = "work",
        **fields: Any,
    ) -> str:
        body = TaskRunCreate(
            flow_run_id=None if flow_run_id is None else UUID(flow_run_id),
            task_key=key,
            dynamic_key=fields.pop("dynamic_key", uuid4().hex),
            state=_state(state),
            **fields,
        )
        return self.write(task_runs.create_task_run, body=body).value.id

    def subflow_run(self, parent: str, state: Any = None, **fields: Any) -> str:
        """A run called by `parent`, through a task run that stands for it."""
        stub = self.task_run(parent, StateType.PENDING, key="subflow")
        return self.flow_run(state, flow="child", parent_task_run_id=UUID(stub), **fields)

    def events(self, prefix: str = "") -> list[str]:
        """Names of the stored events, in order, that begin with `prefix`."""
        rows = self.rows("SELECT event FROM event ORDER BY seq")
        return [row["event"] for row in rows if row["event"].startswith(prefix)]


def scheduled(at: datetime, name: str = "Scheduled") -> StateCreate:
    return StateCreate(
        type=StateType.SCHEDULED, name=name, state_details=StateDetails(scheduled_time=at)
    )


def wire(value: Any) -> Any:
    """`value` as a client decodes it: what the server encodes, read without types."""
    return json.decode(json.encode(value))


def _state(state: StateCreate | StateType | None) -> StateCreate | None:
    return StateCreate(type=state) if isinstance(state, StateType) else state


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=DATABASES)
def world(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[World]:
    with database_url(request.param, tmp_path) as url:
        store = open_store(url, clock=clock)
        store.start()
        try:
            yield World(store, clock)
        finally:
            store.stop()
