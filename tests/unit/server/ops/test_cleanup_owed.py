"""What a run's end owes, in the transaction of the end."""

from typing import Any
from uuid import uuid4

import pytest
from tests.databases import World

from penstock.schemas.cleanup import CleanupFilter, CleanupPage, FlowRunCleanupBody
from penstock.schemas.errors import ObjectConflict, ObjectMissing
from penstock.schemas.flow_runs import FlowRunUpdate
from penstock.schemas.states import StateCreate, StateType
from penstock.schemas.work import WorkPoolCreate
from penstock.server.ops import (
    cleanup,
    cleanup_ledger,
    cleanup_owed,
    flow_runs,
    upkeep,
    work_pools,
)
from penstock.server.ops.context import Context, Limits, service
from penstock.server.ops.transition import force_state

# One database for most: the statements are checked on both, and creating a schema takes a second.
sqlite = pytest.mark.parametrize("world", ["sqlite"], indirect=True)


def owed(world: World) -> list[Any]:
    """The messages there are, oldest first."""
    page = CleanupPage(cleanup_messages=CleanupFilter(), sort="CREATED_ASC")  # type: ignore[arg-type]
    return world.store.read_sync(cleanup_ledger.page, page).results


def submitted(world: World, pool_type: str = "process", pid: str | None = "host:42") -> str:
    """A running run of a pool, launched by the worker `launcher`."""
    name = f"pool-{uuid4().hex[:8]}"
    pool = world.write(work_pools.create_work_pool, body=WorkPoolCreate(name=name, type=pool_type))
    run = world.flow_run(StateType.PENDING)
    world.store.write_sync(
        lambda tx: tx.fetch(
            "UPDATE flow_run SET work_queue_id = ? WHERE id = ? RETURNING id",
            (str(pool.default_queue_id), run),
        )
    )
    force(world, run, StateType.RUNNING)
    if pid is not None:
        worker = Context(claims=(("worker-name", "launcher"),))
        world.store.write_sync(
            flow_runs.update_flow_run, worker, run, body=FlowRunUpdate(infrastructure_pid=pid)
        )
    return run


def force(world: World, run: str, type: StateType, context: Context | None = None) -> None:
    state = StateCreate(type=type)
    world.store.write_sync(force_state, context or world.context, "flow_run", run, state)


def test_a_cancellation_nobody_confirmed_owes_a_teardown(world: World) -> None:
    run = submitted(world)
    force(world, run, StateType.CANCELLING)
    world.clock.advance(301)
    assert world.write(upkeep.expire_cancelling, run)
    (message,) = owed(world)
    assert (message.cause, message.state) == ("cancelling_timeout", "ready")
    assert message.target == {"flow_run_id": run, "infrastructure_pid": "host:42"}
    assert (message.placement, message.affinity_worker_name, message.host_id) == (
        "require",
        "launcher",
        "host",
    )
    assert world.read(flow_runs.read_flow_run, run).state_type == "CANCELLED"


@sqlite
def test_the_end_of_a_cancellation_is_decided_once(world: World) -> None:
    run = submitted(world)
    force(world, run, StateType.CANCELLING)
    row = world.rows("SELECT id, state_id FROM flow_run WHERE id = ?", run)[0]
    body = cleanup_owed.cancelled_body(row)
    assert body.state.id == cleanup_owed.cancelled_body(row).state.id
    world.clock.advance(301)
    assert world.write(upkeep.expire_cancelling, run)
    assert not world.write(upkeep.expire_cancelling, run)
    assert len(owed(world)) == 1
    assert str(world.read(flow_runs.read_flow_run, run).state_id) == str(body.state.id)


@sqlite
def test_a_change_that_is_undone_owes_nothing(world: World) -> None:
    run = submitted(world)
    force(world, run, StateType.CANCELLING)

    def failing(tx: Any, context: Context) -> None:
        assert upkeep.expire_cancelling(tx, context, run)
        raise RuntimeError("undone")

    with pytest.raises(RuntimeError, match="undone"):
        world.write(failing)
    assert owed(world) == []
    assert world.read(flow_runs.read_flow_run, run).state_type == "CANCELLING"


@sqlite
@pytest.mark.parametrize("pool_type", ["cloud-run:push", "prefect:managed"])
def test_a_pool_without_workers_is_told_and_owed_nothing(world: World, pool_type: str) -> None:
    run = submitted(world, pool_type)
    force(world, run, StateType.CANCELLING)
    assert world.write(upkeep.expire_cancelling, run)
    assert owed(world) == []
    told = "SELECT payload FROM event WHERE event = 'penstock.cleanup-message.skipped'"
    assert b"pool_without_workers" in bytes(world.rows(told)[0]["payload"])


@sqlite
def test_a_run_of_no_pool_is_cancelled_all_the_same(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    force(world, run, StateType.CANCELLING)
    assert world.write(upkeep.expire_cancelling, run)
    assert owed(world) == []


@sqlite
@pytest.mark.parametrize(
    ("pool_type", "placement"), [("docker", "prefer"), ("kubernetes", "any"), ("ecs", "any")]
)
def test_the_pool_decides_who_may_tear_down(world: World, pool_type: str, placement: str) -> None:
    run = submitted(world, pool_type, "tcp://host:2375:abc")
    force(world, run, StateType.CANCELLING)
    world.write(upkeep.expire_cancelling, run)
    assert [message.placement for message in owed(world)] == [placement]


@sqlite
def test_a_crash_the_server_found_owes_a_teardown(world: World) -> None:
    run = submitted(world)
    force(world, run, StateType.CRASHED, Context(actor=service("foreman")))
    assert [message.cause for message in owed(world)] == ["heartbeat_lost"]


@sqlite
def test_a_crash_before_the_start_is_told_apart(world: World) -> None:
    run = submitted(world)
    force(world, run, StateType.PENDING)
    force(world, run, StateType.CRASHED, Context(actor=service("claims")))
    assert [message.cause for message in owed(world)] == ["pending_claim_expired"]


@sqlite
def test_a_crash_owes_nothing_where_that_is_switched_off(world: World) -> None:
    run = submitted(world)
    context = Context(actor=service("foreman"), limits=Limits(teardown_on_crash=False))
    force(world, run, StateType.CRASHED, context)
    assert owed(world) == []


@sqlite
def test_a_run_whose_owner_is_gone_owes_what_it_left(world: World) -> None:
    run = submitted(world)
    force(world, run, StateType.PENDING)
    row = world.rows("SELECT * FROM flow_run WHERE id = ?", run)[0]
    scheduled = StateCreate(type=StateType.SCHEDULED)
    lost = Context(actor=service("claims"))

    def take_back(tx: Any, context: Context) -> None:
        placed = force_state(tx, lost, "flow_run", run, scheduled).state
        assert placed is not None
        cleanup_owed.of_lost_owner(tx, lost, row, placed)

    world.write(take_back)
    assert [message.cause for message in owed(world)] == ["pending_claim_expired"]


@sqlite
def test_a_crash_that_the_run_reports_owes_nothing(world: World) -> None:
    run = submitted(world)
    force(world, run, StateType.CRASHED)
    assert owed(world) == []


@sqlite
def test_a_deleted_run_owes_what_still_runs(world: World) -> None:
    run = submitted(world)
    world.write(flow_runs.delete_flow_run, run)
    assert [message.cause for message in owed(world)] == ["flow_run_deleted"]


@sqlite
def test_a_deleted_run_that_ended_owes_nothing(world: World) -> None:
    run = submitted(world)
    force(world, run, StateType.COMPLETED)
    world.write(flow_runs.delete_flow_run, run)
    assert owed(world) == []


@sqlite
def test_a_teardown_by_hand_is_asked_for_once(world: World) -> None:
    run = submitted(world)
    force(world, run, StateType.CRASHED)
    body = FlowRunCleanupBody(infrastructure_pid="host:77")
    first = world.write(cleanup_owed.request_flow_run_cleanup, run, body=body)
    again = world.write(cleanup_owed.request_flow_run_cleanup, run, body=body)
    assert (first.id, first.cause) == (again.id, "manual")
    assert first.target["infrastructure_pid"] == "host:77"
    audits = world.rows("SELECT action FROM audit WHERE kind = 'cleanup-message'")
    assert [row["action"] for row in audits] == ["enqueued"]


@sqlite
def test_a_teardown_by_hand_needs_an_ended_run_with_workers(world: World) -> None:
    with pytest.raises(ObjectConflict, match="cancel it first"):
        world.write(cleanup_owed.request_flow_run_cleanup, submitted(world))
    alone = world.flow_run(StateType.COMPLETED)
    with pytest.raises(ObjectConflict, match="no_work_pool"):
        world.write(cleanup_owed.request_flow_run_cleanup, alone)
    with pytest.raises(ObjectMissing):
        world.write(cleanup_owed.request_flow_run_cleanup, str(uuid4()))


@sqlite
def test_what_a_deleted_pool_owed_is_dead_and_found(world: World) -> None:
    run = submitted(world)
    force(world, run, StateType.CRASHED, Context(actor=service("foreman")))
    (message,) = owed(world)
    name = world.rows("SELECT name FROM work_pool WHERE id = ?", str(message.work_pool_id))
    world.write(work_pools.delete_work_pool, name[0]["name"])
    (dead,) = owed(world)
    assert (dead.state, dead.dead_reason) == ("dead", "work_pool_deleted")


@sqlite
def test_the_evidence_of_a_run_is_in_order_of_time(world: World) -> None:
    run = submitted(world)
    force(world, run, StateType.CRASHED, Context(actor=service("foreman")))
    (message,) = owed(world)
    world.clock.advance(60)
    world.write(cleanup.cancel_cleanup_message, str(message.id))
    history = world.read(cleanup.read_flow_run_cleanup, run)
    steps = [step.step for step in history.evidence]
    assert steps.count("owed") == 1
    assert steps[-2:] == ["cancelled", "cancelled"]
    assert history.messages[0].message.id == message.id
    assert [step.at for step in history.evidence] == sorted(step.at for step in history.evidence)
