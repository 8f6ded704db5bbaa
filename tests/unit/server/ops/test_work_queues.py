"""Work queues."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.databases import World, wire
from tests.deployments import deploy
from tests.deployments import read as read_deployment
from tests.work import due_run, last_event, places, polled, pool, queue, read_queue, roles

from penstock.schemas.errors import ObjectConflict, ObjectMissing, RequestInvalid
from penstock.schemas.filters import WorkQueueFilter, WorkQueueFilterName
from penstock.schemas.states import StateType
from penstock.schemas.work import (
    QueueFilter,
    WorkQueueConcurrencyStatusBody,
    WorkQueueCreate,
    WorkQueuesPage,
    WorkQueueUpdate,
)
from penstock.server.ops import agent_queues, flow_runs, work_queues


def update(world: World, queue: str, /, **fields: Any) -> None:
    world.write(work_queues.update_work_pool_queue, "local", queue, body=WorkQueueUpdate(**fields))


def test_priorities_are_given_and_make_room(world: World) -> None:
    pool(world)
    assert queue(world, "a")["priority"] == 2
    before = len(world.events())
    queue(world, "b", priority=1)
    assert places(world) == {"b": 1, "default": 2, "a": 3}
    assert world.events()[before:] == [
        "prefect.work-queue.updated",
        "prefect.work-queue.updated",
        "prefect.work-queue.created",
    ]
    moved = last_event(world, "prefect.work-queue.updated")
    assert moved["payload"]["updates"] == {"priority": {"from": 2, "to": 3}}
    created = last_event(world, "prefect.work-queue.created")
    assert moved["members"]["caused_by"] == created["id"]
    queue(world, "far", priority=9)
    queue(world, "c")
    assert places(world) == {"b": 1, "default": 2, "a": 3, "c": 4, "far": 9}
    update(world, "a", priority=1)
    assert places(world) == {"a": 1, "b": 2, "default": 3, "c": 4, "far": 9}


def test_an_update_of_nothing_is_none(world: World) -> None:
    pool(world)
    queue(world, "a", description="x", filter=QueueFilter(tags=["t"]))
    before = len(world.events())
    update(world, "a")
    update(
        world,
        "a",
        description="x",
        priority=2,
        name="a",
        is_paused=False,
        filter=QueueFilter(tags=["t"]),
    )
    update(world, "a", name=None, priority=None)
    assert len(world.events()) == before
    update(world, "a", concurrency_limit=3, filter=None)
    event = last_event(world, "prefect.work-queue.updated")
    assert event["payload"]["updated_fields"] == ["concurrency_limit", "filter"]
    assert roles(event)["work-pool"]["prefect.resource.name"] == "local"
    assert read_queue(world, "a")["active_slots"] == 0


def test_a_pause_changes_the_status(world: World) -> None:
    pool(world)
    queue(world, "a")
    update(world, "a", is_paused=True)
    update(world, "a", is_paused=True)
    assert read_queue(world, "a")["status"] == "PAUSED"
    update(world, "a", is_paused=False)
    assert read_queue(world, "a")["status"] == "NOT_READY"
    polled(world, "local", "a")
    update(world, "a", is_paused=True)
    polled(world, "local", "a")
    assert read_queue(world, "a")["status"] == "PAUSED"
    update(world, "a", is_paused=False)
    assert read_queue(world, "a")["status"] == "READY"
    assert world.events("prefect.work-queue.")[2:] == [
        "prefect.work-queue.paused",
        "prefect.work-queue.not-ready",
        "prefect.work-queue.ready",
        "prefect.work-queue.paused",
        "prefect.work-queue.ready",
    ]
    assert queue(world, "still", is_paused=True)["status"] == "PAUSED"


def test_a_new_name_reaches_deployments(world: World) -> None:
    pool(world)
    queue(world, "a")
    deployment = deploy(world, work_pool_name="local", work_queue_name="a")
    update(world, "a", name="b")
    assert read_deployment(world, deployment)["work_queue_name"] == "b"
    event = last_event(world, "prefect.deployment.updated")
    assert event["members"]["changes"] == [{"path": "/work_queue_name", "from": "a", "to": "b"}]
    with pytest.raises(ObjectConflict, match="has a queue 'default' already"):
        update(world, "b", name="default")
    with pytest.raises(RequestInvalid, match="cannot be the name"):
        update(world, "b", name="a/b")


def test_the_default_queue_stays(world: World) -> None:
    made = pool(world)
    before = world.events()
    with pytest.raises(ObjectConflict, match="default queue of work pool 'local'"):
        world.write(work_queues.delete_work_pool_queue, "local", "default")
    with pytest.raises(ObjectConflict):
        world.write(work_queues.delete_work_queue, made["default_queue_id"])
    assert world.events() == before


def test_deletion_detaches(world: World) -> None:
    pool(world)
    made = queue(world, "a")
    run = due_run(world, "a")
    deployment = deploy(world, work_pool_name="local", work_queue_name="a")
    world.write(work_queues.delete_work_queue, made["id"])
    assert wire(world.read(flow_runs.read_flow_run, run))["work_queue_id"] is None
    assert read_deployment(world, deployment)["work_queue_id"] is None
    assert polled(world) == []
    with pytest.raises(ObjectMissing, match="has no queue 'a'"):
        read_queue(world, "a")


def test_what_is_missing(world: World) -> None:
    pool(world)
    for op in (work_queues.read_work_queue, work_queues.read_work_queue_status):
        with pytest.raises(ObjectMissing):
            world.read(op, str(uuid4()))
    for op in (work_queues.read_work_pool_queue, work_queues.delete_work_pool_queue):
        with pytest.raises(ObjectMissing, match="no queue 'x'"):
            world.write(op, "local", "x")
        with pytest.raises(ObjectMissing, match="'nowhere' does not exist"):
            world.write(op, "nowhere", "x")
    with pytest.raises(ObjectMissing):
        world.read(work_queues.read_work_pool_queues, "nowhere")
    with pytest.raises(ObjectConflict, match="has a queue 'default' already"):
        queue(world, "default")


def test_queues_without_a_pool_are_in_the_implicit_one(world: World) -> None:
    body = WorkQueueCreate(name="old")
    made = wire(world.write(agent_queues.create_work_queue, body=body))
    assert (made["work_pool_name"], made["priority"]) == ("default-agent-pool", 2)
    assert "prefect.work-pool.created" in world.events()
    assert wire(world.read(agent_queues.read_work_queue_by_name, "old"))["id"] == made["id"]
    assert wire(world.read(work_queues.read_work_queue, made["id"]))["name"] == "old"
    with pytest.raises(ObjectMissing):
        world.read(agent_queues.read_work_queue_by_name, "other")
    with pytest.raises(ObjectConflict):
        world.write(agent_queues.create_work_queue, body=body)


def test_lists_of_all_pools(world: World) -> None:
    pool(world)
    pool(world, "other")
    queue(world, "fast_1", "other", concurrency_limit=1)
    queue(world, "fasten")
    world.flow_run(StateType.RUNNING, work_pool_name="other", work_queue_name="fast_1")
    named = WorkQueueFilter(name=WorkQueueFilterName(startswith_=["fast_"]))
    (found,) = wire(
        world.read(work_queues.read_work_queues, body=WorkQueuesPage(work_queues=named))
    )
    assert (found["name"], found["work_pool_name"], found["active_slots"]) == (
        "fast_1",
        "other",
        1,
    )
    everything = wire(world.read(work_queues.read_work_queues))
    assert [one["name"] for one in everything] == ["default", "default", "fast_1", "fasten"]
    body = WorkQueuesPage(limit=1, offset=1)
    (second,) = wire(world.read(work_queues.read_work_pool_queues, "other", body=body))
    assert second["name"] == "fast_1"


def test_who_holds_slots_of_a_queue(world: World) -> None:
    pool(world)
    made = queue(world, "a")
    runs = []
    for _ in range(3):
        runs.append(world.flow_run(StateType.RUNNING, work_pool_name="local", work_queue_name="a"))
        world.clock.advance(1)
    body = WorkQueueConcurrencyStatusBody(limit=2, page=2)
    op = work_queues.read_work_queue_concurrency_status
    status = wire(world.read(op, made["id"], body=body))
    assert (status["active_slots"], status["count"], status["pages"]) == (3, 3, 2)
    assert [one["id"] for one in status["flow_runs"]] == runs[2:]
    world.write(
        work_queues.update_work_queue, made["id"], body=WorkQueueUpdate(concurrency_limit=9)
    )
    assert wire(world.read(op, made["id"]))["concurrency_limit"] == 9


def test_health(world: World) -> None:
    made = pool(world)
    id = made["default_queue_id"]
    assert wire(world.read(work_queues.read_work_queue_status, id))["healthy"] is False
    polled(world)
    status = wire(world.read(work_queues.read_work_queue_status, id))
    assert status["healthy"] is True
    assert status["health_check_policy"]["maximum_seconds_since_last_polled"] == 60
    world.clock.advance(61)
    assert wire(world.read(work_queues.read_work_queue_status, id))["healthy"] is False


def test_a_run_names_its_pool_and_makes_its_queue(world: World) -> None:
    made = pool(world)
    run = wire(world.read(flow_runs.read_flow_run, due_run(world, "fresh")))
    assert (run["work_pool_id"], run["work_pool_name"], run["work_queue_name"]) == (
        made["id"],
        "local",
        "fresh",
    )
    assert run["work_queue_id"] == read_queue(world, "fresh")["id"]
    event = last_event(world, "prefect.flow-run.Scheduled")
    assert roles(event)["work-pool"]["prefect.work-pool.type"] == "process"
    assert roles(event)["work-queue"]["prefect.resource.name"] == "fresh"
    names = [one["prefect.resource.role"] for one in event["related"]]
    assert names[:3] == ["flow", "work-queue", "work-pool"]
    default = wire(world.read(flow_runs.read_flow_run, due_run(world)))
    assert default["work_queue_id"] == made["default_queue_id"]
    count = len(world.events())
    with pytest.raises(ObjectMissing, match="'nowhere' does not exist"):
        world.flow_run(work_pool_name="nowhere")
    with pytest.raises(ObjectMissing, match="'nowhere' does not exist"):
        world.flow_run(work_pool_name="nowhere", id=UUID(int=5))
    with pytest.raises(RequestInvalid, match="cannot be the name"):
        due_run(world, "a/b")
    assert len(world.events()) == count
