"""Any mix of changes of slots: what is taken is what leases hold and what was taken without one,
and it never exceeds the limit. On real databases, against a model of a few lines."""

import asyncio
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from uuid import UUID

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.databases import database_url
from tests.store.run_rows import put_deployment, put_flow_run

from penstock.base.clock import ManualClock
from penstock.schemas.limits import (
    ConcurrencyLimitV2Create,
    ConcurrencyLimitWithLeaseResponse,
    SlotsDecrement,
    SlotsIncrement,
    SlotsIncrementWithLease,
)
from penstock.schemas.states import SetStateBody, SetStateStatus, StateCreate, StateType
from penstock.server.ops import limits
from penstock.server.ops.context import Context
from penstock.server.ops.limits import Denied
from penstock.server.ops.transition import set_flow_run_state
from penstock.server.services.leases import Leases
from penstock.server.store import open_store

CONTEXT = Context(client_version=(3, 7, 4))
SIZES = {"a": 2, "b": 3, "c": 5}
NAMES = st.lists(st.sampled_from([*SIZES, "unknown"]), min_size=1, max_size=3, unique=True)
SLOTS = st.integers(1, 2)
AT_WORK = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)


class Lease:
    def __init__(self, names: list[str], slots: int, expires: datetime) -> None:
        self.names = [name for name in names if name in SIZES]
        self.slots = slots
        self.expires = expires


class SlotsMachine(RuleBasedStateMachine):
    """Limits `a`, `b` and `c`; runs of a deployment that is limited by `c`."""

    database: ClassVar[str] = "sqlite"

    @initialize()
    def begin(self) -> None:
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(TemporaryDirectory()))
        self.clock = ManualClock()
        url = self.stack.enter_context(database_url(self.database, folder))
        self.store = open_store(url, clock=self.clock)
        self.store.start()
        self.stack.callback(self.store.stop)
        self.leases: dict[UUID, Lease] = {}
        self.ended: list[UUID] = []
        self.loose = dict.fromkeys(SIZES, 0)
        self.runs: dict[str, StateType | None] = {}
        ids = {}
        for name, size in SIZES.items():
            body = ConcurrencyLimitV2Create(name=name, limit=size)
            ids[name] = self.write(limits.create_concurrency_limit_v2, body=body).id
        self.deployment = self.store.write_sync(put_deployment, concurrency_limit_id=ids["c"])

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.stack.close()

    def write(self, op: Any, *args: Any, **kwargs: Any) -> Any:
        return self.store.write_sync(op, CONTEXT, *args, **kwargs)

    def held(self, name: str) -> int:
        leased = sum(lease.slots for lease in self.leases.values() if name in lease.names)
        return leased + self.loose[name]

    def is_free(self, names: list[str], slots: int) -> bool:
        return all(self.held(name) + slots <= SIZES[name] for name in names if name in SIZES)

    @rule(names=NAMES, slots=SLOTS, seconds=st.sampled_from([60, 100]))
    def acquire(self, names: list[str], slots: int, seconds: int) -> None:
        free = self.is_free(names, slots)
        body = SlotsIncrementWithLease(names=names, slots=slots, lease_duration=seconds)
        answer = self.write(limits.bulk_increment_active_slots_with_lease, body=body)
        assert isinstance(answer, ConcurrencyLimitWithLeaseResponse) == free
        if isinstance(answer, ConcurrencyLimitWithLeaseResponse):
            end = self.clock.now() + timedelta(seconds=seconds)
            self.leases[answer.lease_id] = Lease(names, slots, end)

    @rule(names=NAMES, slots=SLOTS)
    def take(self, names: list[str], slots: int) -> None:
        free = self.is_free(names, slots)
        body = SlotsIncrement(names=names, slots=slots)
        answer = self.write(limits.bulk_increment_active_slots, body=body)
        assert isinstance(answer, Denied) != free
        if free:
            for name in SIZES.keys() & set(names):
                self.loose[name] += slots

    @rule(names=NAMES, slots=st.integers(1, 4))
    def give_back(self, names: list[str], slots: int) -> None:
        self.write(
            limits.bulk_decrement_active_slots, body=SlotsDecrement(names=names, slots=slots)
        )
        for name in SIZES.keys() & set(names):
            self.loose[name] = max(0, self.loose[name] - slots)

    @precondition(lambda self: self.leases or self.ended)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from([*self.leases, *self.ended]))
        assert self.store.write_sync(limits.release_lease, str(id)) == (id in self.leases)
        self.leases.pop(id, None)
        self.ended.append(id)

    @precondition(lambda self: self.leases or self.ended)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from([*self.leases, *self.ended]))
        lease = self.leases.get(id)
        alive = lease is not None and lease.expires > self.clock.now()
        assert self.store.write_sync(limits.renew_lease, str(id), 60) == alive
        if lease is not None and alive:
            lease.expires = self.clock.now() + timedelta(seconds=60)

    @rule(seconds=st.integers(1, 70))
    def advance(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def expire(self) -> None:
        asyncio.run(Leases(self.store, batch=2).run_once(self.clock.now()))
        for id, lease in list(self.leases.items()):
            if lease.expires <= self.clock.now():
                del self.leases[id]
                self.ended.append(id)

    @rule()
    def schedule(self) -> None:
        self.runs[self.store.write_sync(put_flow_run, deployment_id=self.deployment)] = None

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), force=st.booleans())
    def move(self, data: st.DataObject, force: bool) -> None:
        id = data.draw(st.sampled_from(sorted(self.runs)))
        type = data.draw(st.sampled_from(StateType))
        before = self.run_leases(id)
        body = SetStateBody(state=StateCreate(type=type), force=force)
        result = self.write(set_flow_run_state, id, body=body).value
        if result.status in (SetStateStatus.ACCEPT, SetStateStatus.REJECT) and result.state:
            self.runs[id] = result.state.type
        after = self.run_leases(id)
        for gone in before.keys() - after.keys():
            self.leases.pop(gone, None)
            self.ended.append(gone)
        for lease, expires in after.items():
            self.leases[lease] = Lease(["c"], 1, expires)
        assert len(after) <= 1
        if self.runs[id] not in AT_WORK:
            assert after == {}

    def run_leases(self, id: str) -> dict[UUID, datetime]:
        sql = "SELECT id, expires FROM concurrency_lease WHERE holder_id = ?"
        rows = self.store.read_sync(lambda tx: tx.fetch(sql, [id]))
        return {UUID(row["id"]): row["expires"] for row in rows}

    @invariant()
    def held_slots_are_those_of_leases_and_those_taken_without(self) -> None:
        if not hasattr(self, "store"):
            return
        sql = "SELECT name, active_slots, slot_limit FROM concurrency_limit"
        rows = self.store.read_sync(lambda tx: tx.fetch(sql, []))
        assert {row["name"]: row["active_slots"] for row in rows} == {
            name: self.held(name) for name in SIZES
        }
        assert all(row["active_slots"] <= row["slot_limit"] for row in rows)


class PostgresMachine(SlotsMachine):
    database = "postgresql"


TestOnSqlite = SlotsMachine.TestCase
TestOnSqlite.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestOnPostgres = PostgresMachine.TestCase
TestOnPostgres.settings = settings(max_examples=6, stateful_step_count=40, deadline=None)
