"""What a delivery takes from its run at the last moment, and from the host's clock."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from tests.databases import World, clock, world
from tests.queue.conftest import KIND

from penstock.base.clock import ManualClock
from penstock.schemas.flow_runs import FlowRunUpdate
from penstock.schemas.states import StateType
from penstock.server.bus import MemoryBus
from penstock.server.domain.cleanup import Message
from penstock.server.domain.cleanup_owed import id_of
from penstock.server.ops import cleanup_ledger, flow_runs
from penstock.server.queue import Reservation
from penstock.server.queue.database import DatabaseQueue

__all__ = ["clock", "world"]
pytestmark = pytest.mark.parametrize("world", ["sqlite"], indirect=True)
POOL = str(uuid4())


def owed(world: World, run: str, pid: str | None) -> str:
    message = Message(
        id=id_of(run),
        work_pool_id=POOL,
        kind=KIND,
        cause="cancelling_timeout",
        flow_run_id=run,
        target={"flow_run_id": run, "infrastructure_pid": pid},
        data={},
        idempotency_key=run,
        available_at=world.now,
        created_at=world.now,
        updated_at=world.now,
        queued_at=world.now,
    )
    world.write(cleanup_ledger.enqueue, message)
    return message.id


def report(world: World, run: str, pid: str) -> None:
    world.write(flow_runs.update_flow_run, run, body=FlowRunUpdate(infrastructure_pid=pid))


def reserve(queue: DatabaseQueue) -> Reservation | None:
    asked = queue.reserve(POOL, [KIND], consumer_id=str(uuid4()), worker_name="w1")
    return asyncio.run(asked)


def state_of(world: World, id: str) -> tuple[str, str | None]:
    found = world.store.read_sync(cleanup_ledger.find, id)
    assert found is not None
    return found.message.state.value, found.message.last_reason


@pytest.fixture
def queue(world: World) -> DatabaseQueue:
    return DatabaseQueue(world.store, MemoryBus())


def test_a_message_without_a_handle_gets_the_one_its_run_has_by_now(
    world: World, queue: DatabaseQueue
) -> None:
    run = world.flow_run(StateType.CANCELLED)
    owed(world, run, None)
    report(world, run, "host:42")
    held = reserve(queue)
    assert held is not None
    assert held.target["infrastructure_pid"] == "host:42"


def test_what_a_new_attempt_owns_is_not_torn_down(world: World, queue: DatabaseQueue) -> None:
    run = world.flow_run(StateType.RUNNING)
    report(world, run, "host:42")
    id = owed(world, run, "host:42")
    assert reserve(queue) is None
    assert state_of(world, id) == ("cancelled", "superseded")


def test_what_an_earlier_attempt_left_is_torn_down(world: World, queue: DatabaseQueue) -> None:
    run = world.flow_run(StateType.RUNNING)
    report(world, run, "host:43")
    owed(world, run, "host:42")
    held = reserve(queue)
    assert held is not None
    assert held.target["infrastructure_pid"] == "host:42"


def test_without_a_handle_nothing_is_done_to_a_new_attempt(
    world: World, queue: DatabaseQueue
) -> None:
    run = world.flow_run(StateType.RUNNING)
    report(world, run, "host:43")
    id = owed(world, run, None)
    assert reserve(queue) is None
    assert state_of(world, id) == ("cancelled", "superseded")


def test_a_deleted_run_is_torn_down_by_what_the_message_says(
    world: World, queue: DatabaseQueue
) -> None:
    run = world.flow_run(StateType.CANCELLED)
    owed(world, run, "host:42")
    world.write(flow_runs.delete_flow_run, run)
    held = reserve(queue)
    assert held is not None
    assert held.target["infrastructure_pid"] == "host:42"


@pytest.mark.parametrize("hours", [1, -1])
def test_a_jump_of_the_hosts_clock_neither_ends_nor_freezes_leases(
    world: World, queue: DatabaseQueue, clock: ManualClock, hours: int
) -> None:
    owed(world, world.flow_run(StateType.CANCELLED), "host:42")
    held = reserve(queue)
    assert held is not None
    asyncio.run(queue.reconcile(100))
    clock._start += timedelta(hours=hours)  # the wall alone; the monotonic clock goes on as before
    asyncio.run(queue.reconcile(100))
    assert len(asyncio.run(queue.expire(100))) == 0
    clock.advance(31)
    assert len(asyncio.run(queue.expire(100))) == 1


@pytest.mark.parametrize("alive", [True, False])
def test_what_a_lost_server_held_is_not_charged(
    world: World, queue: DatabaseQueue, clock: ManualClock, alive: bool
) -> None:
    id = owed(world, world.flow_run(StateType.CANCELLED), "host:42")
    assert reserve(queue) is not None
    clock.advance(15)
    if alive:
        asyncio.run(queue.reconcile(100))
    clock.advance(16)
    other = DatabaseQueue(world.store, MemoryBus())
    assert len(asyncio.run(other.expire(100))) == 1
    found = world.store.read_sync(cleanup_ledger.find, id)
    assert found is not None
    assert found.message.attempts == (1 if alive else 0)
