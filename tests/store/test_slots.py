"""Concurrency limits in transitions and services, on real databases, from several stores."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any
from uuid import UUID

import pytest
from tests.store.run_rows import put_deployment, put_flow_run, put_task_run, run_row

from penstock.base import json
from penstock.base.clock import ManualClock
from penstock.schemas.limits import (
    ConcurrencyLeaseHolder,
    ConcurrencyLimitV2Create,
    ConcurrencyLimitV2Update,
    ConcurrencyLimitWithLeaseResponse,
    LeaseRelease,
    SlotsIncrementWithLease,
)
from penstock.schemas.states import (
    OrchestrationResult,
    SetStateBody,
    SetStateStatus,
    StateCreate,
    StateType,
)
from penstock.server.ops import deployment_limits, limits
from penstock.server.ops.context import Context
from penstock.server.ops.deletion import delete_flow_run_row
from penstock.server.ops.limits import Denied
from penstock.server.ops.transition import mark_late, set_flow_run_state, set_task_run_state
from penstock.server.services.leases import Leases
from penstock.server.store import Store, open_store
from penstock.server.store.transaction import Tx

NEW = Context(client_version=(3, 7, 4))
OLD = Context(client_version=None)
SCHEDULED, PENDING, RUNNING = StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING
COMPLETED, CANCELLED, CANCELLING = StateType.COMPLETED, StateType.CANCELLED, StateType.CANCELLING


class Slots:
    """One store, its limits and the runs that want slots."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock

    def limit(self, name: str, slots: int, **fields: Any) -> str:
        body = ConcurrencyLimitV2Create(name=name, limit=slots, **fields)
        return str(self.store.write_sync(limits.create_concurrency_limit_v2, NEW, body=body).id)

    def deployment(self, limit: str | None, **options: Any) -> str:
        given = json.text(options) if options else None
        return self.store.write_sync(
            put_deployment, concurrency_limit_id=limit, concurrency_options=given
        )

    def flow_run(self, deployment: str | None, **fields: Any) -> str:
        return self.store.write_sync(put_flow_run, deployment_id=deployment, **fields)

    def task_run(self, *tags: str) -> str:
        run = self.store.write_sync(put_flow_run)
        self.to(run, RUNNING, force=True)
        return self.store.write_sync(put_task_run, flow_run_id=run, tags=list(tags))

    def to(
        self, id: str, type: StateType, *, context: Context = NEW, force: bool = False, **state: Any
    ) -> OrchestrationResult:
        body = SetStateBody(state=StateCreate(type=type, **state), force=force)
        return self.store.write_sync(set_flow_run_state, context, id, body=body).value

    def task_to(self, id: str, type: StateType, **state: Any) -> OrchestrationResult:
        body = SetStateBody(state=StateCreate(type=type, **state))
        return self.store.write_sync(set_task_run_state, NEW, id, body=body).value

    def taken(self, name: str) -> int:
        return self.store.read_sync(limits.read_concurrency_limit_v2, NEW, name).active_slots

    def leases(self) -> list[dict[str, Any]]:
        sql = "SELECT * FROM concurrency_lease ORDER BY created, id, part"
        return self.store.read_sync(lambda tx: tx.fetch(sql, []))

    def expire(self) -> int:
        return asyncio.run(Leases(self.store).run_once(self.clock.now()))

    def acquire(self, body: SlotsIncrementWithLease) -> UUID:
        take = limits.bulk_increment_active_slots_with_lease
        result = self.store.write_sync(take, NEW, body=body)
        assert isinstance(result, ConcurrencyLimitWithLeaseResponse)
        return result.lease_id

    def cost(self, act: Any, *args: Any, **kwargs: Any) -> int:
        """Statements that `act` takes."""
        before = self.store.statistics.snapshot()
        act(*args, **kwargs)
        return self.store.statistics.snapshot()[1] - before[1]


@pytest.fixture
def slots(store: Store, clock: ManualClock) -> Slots:
    return Slots(store, clock)


# --- deployments ----------------------------------------------------------------------------------


def test_a_run_takes_a_slot_and_gives_it_back(slots: Slots) -> None:
    deployment = slots.deployment(slots.limit("d", 1), collision_strategy="ENQUEUE")
    first, second = slots.flow_run(deployment), slots.flow_run(deployment)

    taken = slots.to(first, PENDING)
    assert taken.status is SetStateStatus.ACCEPT and taken.state is not None
    lease = taken.state.state_details.deployment_concurrency_lease_id
    (row,) = slots.leases()
    assert (row["id"], row["holder_type"], row["holder_id"]) == (str(lease), "flow_run", first)
    assert row["expires"] == slots.clock.now() + timedelta(seconds=300)
    assert slots.taken("d") == 1

    waits = slots.to(second, PENDING)
    assert waits.status is SetStateStatus.REJECT and waits.state is not None
    assert waits.state.name == "AwaitingConcurrencySlot"
    assert waits.state.state_details.scheduled_time == slots.clock.now() + timedelta(seconds=30)

    slots.clock.advance(1)
    assert slots.to(first, RUNNING).status is SetStateStatus.ACCEPT
    assert slots.leases()[0]["expires"] == slots.clock.now() + timedelta(seconds=300)
    assert slots.to(first, COMPLETED).status is SetStateStatus.ACCEPT
    assert (slots.taken("d"), slots.leases()) == (0, [])

    slots.clock.advance(60)
    assert slots.to(second, PENDING).status is SetStateStatus.ACCEPT
    assert slots.taken("d") == 1


def test_the_deployment_says_what_a_full_limit_does_and_how_long_a_lease_lasts(
    slots: Slots,
) -> None:
    limit = slots.limit("d", 1)
    deployment = slots.deployment(limit, collision_strategy="CANCEL_NEW", grace_period_seconds=90)
    slots.to(slots.flow_run(deployment), PENDING)
    assert slots.leases()[0]["expires"] == slots.clock.now() + timedelta(seconds=90)
    refused = slots.to(slots.flow_run(deployment), PENDING)
    assert refused.state is not None and refused.state.type is CANCELLED
    late = slots.flow_run(deployment)
    slots.to(late, SCHEDULED)
    result = slots.store.write_sync(
        mark_late, NEW, late, state=StateCreate(type=SCHEDULED, name="Late")
    )
    assert result.state is not None and result.state.type is CANCELLED


def test_a_run_of_no_deployment_that_is_there_is_not_started(slots: Slots) -> None:
    run = slots.flow_run("22222222-2222-7222-8222-222222222222")
    assert slots.to(run, PENDING).status is SetStateStatus.ABORT


def test_an_inactive_limit_holds_nobody_up(slots: Slots) -> None:
    deployment = slots.deployment(slots.limit("d", 1, active=False))
    for _ in range(2):
        assert slots.to(slots.flow_run(deployment), PENDING).status is SetStateStatus.ACCEPT
    assert slots.leases() == []


def test_a_slot_lost_while_the_run_was_provisioned_is_taken_again(slots: Slots) -> None:
    deployment = slots.deployment(slots.limit("d", 1))
    run = slots.flow_run(deployment)
    slots.to(run, PENDING)
    slots.clock.advance(301)
    assert slots.expire() == 1 and slots.taken("d") == 0
    again = slots.to(run, RUNNING)
    assert again.status is SetStateStatus.ACCEPT and again.state is not None
    (lease,) = slots.leases()
    assert lease["id"] == str(again.state.state_details.deployment_concurrency_lease_id)
    assert slots.taken("d") == 1


def test_a_run_whose_slot_went_to_another_is_cancelled(slots: Slots) -> None:
    deployment = slots.deployment(slots.limit("d", 1))
    run = slots.flow_run(deployment)
    slots.to(run, PENDING)
    slots.clock.advance(301)
    slots.expire()
    other = slots.flow_run(deployment)
    slots.to(other, PENDING)
    lost = slots.to(run, RUNNING)
    assert lost.status is SetStateStatus.REJECT and lost.state is not None
    assert lost.state.type is CANCELLED
    assert [lease["holder_id"] for lease in slots.leases()] == [other]


def test_a_client_that_renews_no_leases_keeps_its_slot_to_the_end(slots: Slots) -> None:
    deployment = slots.deployment(slots.limit("d", 1))
    run = slots.flow_run(deployment)
    slots.to(run, PENDING, context=OLD)
    slots.to(run, RUNNING, context=OLD)
    slots.clock.advance(86_400)
    assert slots.expire() == 0 and slots.taken("d") == 1
    slots.to(run, COMPLETED, context=OLD)
    assert slots.taken("d") == 0


def test_a_run_that_was_forced_to_run_takes_nobodys_slot_with_it(slots: Slots) -> None:
    deployment = slots.deployment(slots.limit("d", 1))
    holder, forced = slots.flow_run(deployment), slots.flow_run(deployment)
    slots.to(holder, PENDING)
    slots.to(forced, RUNNING, force=True)
    slots.to(forced, COMPLETED)
    assert slots.taken("d") == 1


def test_a_deleted_run_holds_nothing(slots: Slots) -> None:
    deployment = slots.deployment(slots.limit("d", 1))
    run = slots.flow_run(deployment)
    slots.to(run, PENDING)

    def delete(tx: Tx) -> None:
        row = tx.one("flow_run.get", id=run)
        assert row is not None
        delete_flow_run_row(tx, NEW, row)

    slots.store.write_sync(delete)
    assert (slots.taken("d"), slots.leases()) == (0, [])


def test_deleting_a_limit_leaves_its_deployment_and_lets_its_run_end(slots: Slots) -> None:
    limit = slots.limit("d", 1)
    deployment = slots.deployment(limit)
    run = slots.flow_run(deployment)
    slots.to(run, PENDING)
    slots.store.write_sync(deployment_limits.delete_concurrency_limit_v2, NEW, "d")
    row = slots.store.read_sync(run_row, "deployment", deployment)
    assert row["concurrency_limit_id"] is None
    (lease,) = slots.leases()
    assert lease["limit_id"] is None
    slots.store.write_sync(limits.renew_concurrency_lease, NEW, lease["id"])
    assert slots.to(run, RUNNING).status is SetStateStatus.ACCEPT
    assert slots.to(run, COMPLETED).status is SetStateStatus.ACCEPT
    assert slots.leases() == []


def test_no_transition_with_a_limit_takes_more_than_five_statements(slots: Slots) -> None:
    deployment = slots.deployment(slots.limit("d", 1))
    run, other = slots.flow_run(deployment), slots.flow_run(deployment)
    slots.to(run, SCHEDULED)
    slots.to(other, SCHEDULED)
    costs = [
        slots.cost(slots.to, run, PENDING),
        slots.cost(slots.to, other, PENDING),
        slots.cost(slots.to, run, RUNNING),
        slots.cost(slots.to, run, COMPLETED),
    ]
    assert costs == [5, 4, 5, 5]
    plain = slots.flow_run(None)
    assert [slots.cost(slots.to, plain, type) for type in (PENDING, RUNNING, COMPLETED)] == [
        4,
        4,
        4,
    ]


# --- tags -----------------------------------------------------------------------------------------


def test_a_task_run_takes_slots_of_all_its_tags_or_of_none(slots: Slots) -> None:
    slots.limit("tag:db", 1)
    slots.limit("tag:api", 2)
    first, second = slots.task_run("db", "api", "free"), slots.task_run("api", "db")
    assert slots.task_to(first, RUNNING).status is SetStateStatus.ACCEPT
    assert (slots.taken("tag:db"), slots.taken("tag:api")) == (1, 1)
    waits = slots.task_to(second, RUNNING)
    assert waits.status is SetStateStatus.WAIT
    assert (slots.taken("tag:db"), slots.taken("tag:api")) == (1, 1)
    # To be told to run twice takes no second slot.
    assert slots.task_to(first, RUNNING).status is SetStateStatus.ACCEPT
    assert (slots.taken("tag:db"), slots.taken("tag:api")) == (1, 1)
    slots.task_to(first, COMPLETED)
    assert slots.leases() == []
    assert slots.task_to(second, RUNNING).status is SetStateStatus.ACCEPT
    assert (slots.taken("tag:db"), slots.taken("tag:api")) == (1, 1)


def test_a_limit_of_zero_aborts_the_task_run(slots: Slots) -> None:
    slots.limit("tag:db", 0)
    assert slots.task_to(slots.task_run("db"), RUNNING).status is SetStateStatus.ABORT


def test_a_task_run_gives_back_what_it_holds_of_a_limit_that_was_switched_off(
    slots: Slots,
) -> None:
    limit = slots.limit("tag:db", 1)
    run = slots.task_run("db")
    slots.task_to(run, RUNNING)
    body = ConcurrencyLimitV2Update(active=False)
    slots.store.write_sync(limits.update_concurrency_limit_v2, NEW, limit, body=body)
    slots.task_to(run, COMPLETED)
    assert (slots.leases(), slots.taken("tag:db")) == ([], 0)


def test_task_transitions_with_limits_cost_one_statement_more(slots: Slots) -> None:
    slots.limit("tag:db", 1)
    slots.limit("tag:api", 1)
    costs = {}
    for tags in ((), ("db", "api")):
        run = slots.task_run(*tags)
        slots.task_to(run, PENDING)
        costs[tags] = [slots.cost(slots.task_to, run, type) for type in (RUNNING, COMPLETED)]
    assert costs == {(): [3, 3], ("db", "api"): [4, 4]}


# --- several stores -------------------------------------------------------------------------------


@pytest.fixture
def stores(store: Store, database_url: str, clock: ManualClock) -> Iterator[list[Store]]:
    """Two stores of one database, as two server processes have them."""
    other = open_store(database_url, clock=clock)
    other.start()
    yield [store, other]
    other.stop()


def test_no_two_of_many_claims_take_the_same_slot(slots: Slots, stores: list[Store]) -> None:
    deployment = slots.deployment(slots.limit("d", 3))
    runs = [slots.flow_run(deployment) for _ in range(16)]
    together = Barrier(len(runs))
    results: dict[str, SetStateStatus] = {}

    def claim(number: int, run: str) -> None:
        together.wait()
        body = SetStateBody(state=StateCreate(type=PENDING))
        store = stores[number % 2]
        results[run] = store.write_sync(set_flow_run_state, NEW, run, body=body).value.status

    in_threads(claim, list(enumerate(runs)))
    assert sorted(results.values()) == [SetStateStatus.ACCEPT] * 3 + [SetStateStatus.REJECT] * 13
    assert slots.taken("d") == 3


def test_acquisitions_from_two_stores_never_exceed_the_limits(
    slots: Slots, stores: list[Store]
) -> None:
    slots.limit("a", 4)
    slots.limit("b", 3)
    together = Barrier(12)
    held: list[UUID] = []

    def acquire(number: int) -> None:
        together.wait()
        names = ["a", "b"] if number % 2 else ["b", "a"]
        body = SlotsIncrementWithLease(names=names, slots=1)
        result = stores[number % 2].write_sync(
            limits.bulk_increment_active_slots_with_lease, NEW, body=body
        )
        if isinstance(result, ConcurrencyLimitWithLeaseResponse):
            held.append(result.lease_id)

    in_threads(acquire, [(number,) for number in range(12)])
    assert (len(held), slots.taken("a"), slots.taken("b")) == (3, 3, 3)


def test_two_stores_end_a_lease_once_and_a_late_renewal_changes_nothing(
    slots: Slots, stores: list[Store]
) -> None:
    slots.limit("a", 20)
    body = SlotsIncrementWithLease(names=["a"], slots=1, lease_duration=60)
    leases = [slots.acquire(body) for _ in range(20)]
    slots.clock.advance(60)
    together = Barrier(22)
    renewed: list[UUID] = []

    def renew(lease: UUID) -> None:
        together.wait()
        if stores[0].write_sync(limits.renew_lease, str(lease), 60):
            renewed.append(lease)

    def expire(store: Store) -> None:
        together.wait()
        asyncio.run(Leases(store, batch=7).run_once(slots.clock.now()))

    jobs: list[tuple[Any, ...]] = [(renew, lease) for lease in leases]
    jobs += [(expire, store) for store in stores]
    in_threads(lambda job, argument: job(argument), jobs)
    assert renewed == []
    assert (slots.taken("a"), slots.leases()) == (0, [])


def test_the_slots_of_a_dead_holder_come_back(slots: Slots) -> None:
    slots.limit("a", 2)
    holder = ConcurrencyLeaseHolder(id=UUID(int=7), type="task_run")
    body = SlotsIncrementWithLease(names=["a"], slots=2, lease_duration=60, holder=holder)
    take = limits.bulk_increment_active_slots_with_lease
    kept = slots.acquire(body)
    assert isinstance(slots.store.write_sync(take, NEW, body=body), Denied)
    slots.clock.advance(59)
    assert slots.expire() == 0
    slots.clock.advance(1)
    assert slots.expire() == 1
    assert slots.taken("a") == 0
    assert not isinstance(slots.store.write_sync(take, NEW, body=body), Denied)
    # The dead holder that comes back gives nothing back that is not its own.
    release = LeaseRelease(lease_id=kept)
    slots.store.write_sync(limits.bulk_decrement_active_slots_with_lease, NEW, body=release)
    assert slots.taken("a") == 2


def in_threads(act: Any, calls: list[tuple[Any, ...]]) -> None:
    threads = [Thread(target=act, args=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_processes_share_a_limit_and_the_slots_of_killed_ones_come_back(
    database_url: str, slots: Slots
) -> None:
    slots.limit("shared", 3)
    script = Path(__file__).with_name("slots_process.py")
    command = [sys.executable, str(script), database_url, "40"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    processes = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(3)
    ]
    most = 0
    try:
        for process in processes:
            assert process.stdout is not None
            most = max(most, slots.taken("shared"))
            assert process.stdout.readline() == "holding\n"
            most = max(most, slots.taken("shared"))
        assert (slots.taken("shared"), most) == (3, 3)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    ends = max(lease["expires"] for lease in slots.leases())
    slots.clock.advance((ends - slots.clock.now()).total_seconds() - 30)
    assert slots.expire() == 0 and slots.taken("shared") == 3
    slots.clock.advance(30)
    assert slots.expire() == 3 and slots.taken("shared") == 0
