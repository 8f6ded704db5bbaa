"""Polls of workers."""

from datetime import timedelta
from typing import Any

import pytest
from tests.databases import World, scheduled, wire
from tests.deployments import deploy
from tests.deployments import read as read_deployment
from tests.work import ask, due_run, polled, pool, queue, read_queue

from penstock.schemas.errors import ObjectMissing, RequestInvalid
from penstock.schemas.filters import (
    AnyTextFilter,
    WorkPoolFilter,
    WorkQueueFilter,
    WorkQueueFilterName,
)
from penstock.schemas.flow_runs import FlowRunPolicy, FlowRunsFilterPage
from penstock.schemas.states import StateType
from penstock.schemas.work import WorkPoolUpdate, WorkQueueRunsBody, WorkQueueUpdate
from penstock.server.ops import flow_run_lists, polling, work_pools, work_queues


def test_priority_goes_before_time(world: World) -> None:
    pool(world)
    queue(world, "urgent", priority=1)
    late = due_run(world, "default", ago=50)
    early = [due_run(world, "urgent", ago=ago) for ago in (1, 9, 5)]
    assert polled(world) == [early[1], early[2], early[0], late]
    assert polled(world, limit=2) == [early[1], early[2]]
    assert polled(world, "local", "default") == [late]
    assert polled(world, limit=0) == []


def test_the_window(world: World) -> None:
    pool(world)
    soon = due_run(world, ago=-8)
    past = due_run(world, ago=100)
    assert polled(world, scheduled_before=world.now) == [past]
    ahead = world.now + timedelta(seconds=10)
    assert polled(world, scheduled_before=ahead) == [past, soon]
    assert polled(world, scheduled_after=world.now) == [soon]


def test_slots_of_queue_and_pool(world: World) -> None:
    pool(world, concurrency_limit=4)
    queue(world, "urgent", priority=1, concurrency_limit=2)
    urgent = [due_run(world, "urgent", ago=9 - place) for place in range(3)]
    default = [due_run(world, "default", ago=9 - place) for place in range(5)]
    assert polled(world) == [*urgent[:2], *default[:2]]
    for state in (StateType.PENDING, StateType.RUNNING):
        world.flow_run(state, work_pool_name="local", work_queue_name="default")
    world.flow_run(StateType.CANCELLING, work_pool_name="local", work_queue_name="default")
    assert polled(world) == urgent[:2]
    world.flow_run(StateType.RUNNING, work_pool_name="local", work_queue_name="urgent")
    assert polled(world) == urgent[:1]
    assert polled(world, "local", "default") == default[:1]
    world.flow_run(StateType.RUNNING, work_pool_name="local", work_queue_name="default")
    world.flow_run(StateType.RUNNING, work_pool_name="local", work_queue_name="default")
    assert polled(world) == []


def test_what_a_paused_queue_holds_counts_for_the_pool(world: World) -> None:
    pool(world, concurrency_limit=1)
    made = queue(world, "still")
    world.flow_run(StateType.RUNNING, work_pool_name="local", work_queue_name="still")
    waiting = due_run(world)
    hidden = due_run(world, "still")
    pausing = WorkQueueUpdate(is_paused=True)
    world.write(work_queues.update_work_queue, made["id"], body=pausing)
    assert polled(world) == []
    world.write(work_pools.update_work_pool, "local", body=WorkPoolUpdate(concurrency_limit=9))
    assert polled(world) == [waiting]
    world.write(work_pools.update_work_pool, "local", body=WorkPoolUpdate(is_paused=True))
    assert polled(world) == []
    assert hidden not in polled(world)


def test_only_runs_to_start(world: World) -> None:
    pool(world)
    for state in (StateType.PENDING, StateType.RUNNING, StateType.COMPLETED, StateType.PAUSED):
        world.flow_run(state, work_pool_name="local")
    world.flow_run(
        scheduled(world.now),
        work_pool_name="local",
        empirical_policy=FlowRunPolicy(retry_type="in_process"),
    )
    kept = world.flow_run(
        scheduled(world.now),
        work_pool_name="local",
        empirical_policy=FlowRunPolicy(retry_type="reschedule", pause_keys=["in_process"]),
    )
    world.flow_run(scheduled(world.now))
    assert polled(world) == [kept]


def test_the_answer(world: World) -> None:
    made = pool(world)
    run = due_run(world)
    (one,) = wire(ask(world).answer)
    assert (one["work_pool_id"], one["work_queue_id"]) == (made["id"], made["default_queue_id"])
    told = one["flow_run"]
    assert (told["id"], told["state"], told["state_type"]) == (run, None, "SCHEDULED")
    assert (told["work_pool_name"], told["work_queue_name"]) == ("local", "default")


def test_what_is_missing(world: World) -> None:
    pool(world)
    with pytest.raises(ObjectMissing, match="'nowhere' does not exist"):
        ask(world, "nowhere")
    with pytest.raises(ObjectMissing, match="no queue 'x'"):
        ask(world, "local", "default", "x")
    with pytest.raises(RequestInvalid):
        ask(world, limit=201)


def test_the_first_poll_makes_queues_and_deployments_ready(world: World) -> None:
    pool(world)
    queue(world, "a")
    deployment = deploy(world, work_pool_name="local", work_queue_name="a")
    polled(world, "local", "a")
    assert read_queue(world, "a")["status"] == "READY"
    assert read_queue(world, "default")["status"] == "NOT_READY"
    assert read_deployment(world, deployment)["status"] == "READY"
    assert world.events()[-2:] == ["prefect.work-queue.ready", "prefect.deployment.ready"]
    count = len(world.events())
    assert ask(world, "local", "a").unnoted == []
    world.clock.advance(6)
    polled(world, "local", "a")
    assert read_queue(world, "a")["last_polled"] == wire(world.now)
    assert len(world.events()) == count


def test_a_poll_costs_two_statements_and_a_note_few(world: World) -> None:
    pool(world)
    for place in range(20):
        queue(world, f"q{place}")
        due_run(world, f"q{place}")
    before = world.store.statistics.snapshot()
    assert len(ask(world).answer) == 20
    after = world.store.statistics.snapshot()
    assert (after[0] - before[0], after[1] - before[1]) == (1, 2)


def test_one_queue_by_its_id(world: World) -> None:
    made = pool(world)
    other = queue(world, "a")
    run = due_run(world)
    due_run(world, "a")
    write = world.write if world.store.dialect == "postgresql" else world.read
    poll = write(polling.read_work_queue_runs, made["default_queue_id"])
    assert [str(one.id) for one in poll.answer] == [run]
    assert poll.unnoted == [made["default_queue_id"]]
    body = WorkQueueRunsBody(scheduled_before=world.now - timedelta(seconds=1))
    assert write(polling.read_work_queue_runs, other["id"], body=body).answer == []


def test_runs_are_found_by_pool_and_queue(world: World) -> None:
    pool(world)
    pool(world, "other")
    queue(world, "a")
    first, second = due_run(world, "a"), due_run(world)
    third = due_run(world, "a", "other")
    of_pool = WorkPoolFilter(name=AnyTextFilter(any_=["local"]))
    of_queue = WorkQueueFilter(name=WorkQueueFilterName(any_=["a"]))

    def found(**filters: Any) -> set[str]:
        body = FlowRunsFilterPage(**filters)
        return {str(one.id) for one in world.read(flow_run_lists.read_flow_runs, body=body)}

    assert found(work_pools=of_pool) == {first, second}
    assert found(work_pool_queues=of_queue) == {first, third}
    assert found(work_pools=of_pool, work_pool_queues=of_queue) == {first}
    body = FlowRunsFilterPage(work_pools=of_pool)
    names = {one.work_pool_name for one in world.read(flow_run_lists.read_flow_runs, body=body)}
    assert names == {"local"}
