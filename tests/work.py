"""Work pools, queues and workers in tests: made through the operations, looked at through them."""

from datetime import timedelta
from typing import Any

from tests.databases import World, scheduled, wire

from penstock.base import json
from penstock.schemas.work import PollBody, WorkerHeartbeat, WorkPoolCreate, WorkQueueCreate
from penstock.server.ops import polling, work_pools, work_queues, workers


def pool(world: World, name: str = "local", type: str = "process", **fields: Any) -> dict[str, Any]:
    body = WorkPoolCreate(name=name, type=type, **fields)
    return wire(world.write(work_pools.create_work_pool, body=body))


def read_pool(world: World, name: str = "local") -> dict[str, Any]:
    return wire(world.read(work_pools.read_work_pool, name))


def queue(world: World, name: str, pool: str = "local", **fields: Any) -> dict[str, Any]:
    body = WorkQueueCreate(name=name, **fields)
    return wire(world.write(work_queues.create_work_pool_queue, pool, body=body))


def read_queue(world: World, name: str, pool: str = "local") -> dict[str, Any]:
    return wire(world.read(work_queues.read_work_pool_queue, pool, name))


def places(world: World, pool: str = "local") -> dict[str, int]:
    """Queues of a pool with their priorities, in the order in which they are listed."""
    listed = wire(world.read(work_queues.read_work_pool_queues, pool))
    return {one["name"]: one["priority"] for one in listed}


def due_run(
    world: World, queue: str | None = None, pool: str = "local", ago: float = 0.0, **fields: Any
) -> str:
    """A run of a queue that has been due for `ago` seconds; its id."""
    state = scheduled(world.now - timedelta(seconds=ago))
    return world.flow_run(state, work_pool_name=pool, work_queue_name=queue, **fields)


def ask(world: World, pool: str = "local", *queues: str, **fields: Any) -> polling.Poll:
    """One poll, without the note of it."""
    body = PollBody(work_queue_names=list(queues), **fields)
    run = world.write if world.store.dialect == "postgresql" else world.read
    return run(polling.get_scheduled_flow_runs, pool, body=body)


def polled(world: World, pool: str = "local", *queues: str, **fields: Any) -> list[str]:
    """Ids of the runs that a poll answers with, in order; the poll is noted as the edge does."""
    poll = ask(world, pool, *queues, **fields)
    if poll.unnoted:
        world.write(polling.note_poll, poll.unnoted)
    return [str(one.flow_run.id) for one in poll.answer]


def beat(world: World, name: str = "w", pool: str = "local", interval: int | None = None) -> None:
    body = WorkerHeartbeat(name=name, heartbeat_interval_seconds=interval)
    world.write(workers.worker_heartbeat, pool, body=body)


def last_event(world: World, name: str) -> dict[str, Any]:
    """The newest event of that name, decoded."""
    rows = world.rows("SELECT * FROM event WHERE event = ? ORDER BY seq DESC LIMIT 1", name)
    (row,) = rows
    return {
        "id": row["id"],
        "follows": row["follows"],
        "resource": json.decode(row["resource"]),
        "related": json.decode(row["related"]),
        "payload": json.decode(row["payload"]),
        "members": json.decode(row["members"]) if row["members"] is not None else {},
    }


def roles(event: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["prefect.resource.role"]: one for one in event["related"]}
