"""What is old enough is deleted, and nothing else."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from tests.databases import World, wire

from penstock.schemas.events import Event
from penstock.schemas.logs import LogCreate
from penstock.schemas.states import StateType
from penstock.server.ops import events, flow_run_lists, logs
from penstock.server.services.retention import EventRetention, OrphanCleanup, RunRetention

DAY = timedelta(days=1)


def run_once(world: World, service: type, **settings: Any) -> int:
    return asyncio.run(service(world.store, **settings).run_once(world.now))


def put_event(world: World, name: str, age: timedelta) -> None:
    event = Event(
        occurred=world.now - age,
        event=name,
        resource={"prefect.resource.id": f"r.{name}"},
        related=[{"prefect.resource.id": "shared", "prefect.resource.role": "x"}] * 2,
    )
    world.write(events.ingest, [event])


def test_old_events_go_with_their_index_rows(world: World) -> None:
    for n in range(7):
        put_event(world, f"old{n}", 8 * DAY)
    put_event(world, "young", 6 * DAY)
    assert run_once(world, EventRetention, batch=3) == 7
    assert world.events() == ["young"]
    rows = world.rows("SELECT resource_id FROM event_resource ORDER BY resource_id")
    assert [row["resource_id"] for row in rows] == ["r.young", "shared"]
    assert run_once(world, EventRetention) == 0


def test_some_names_are_kept_for_less(world: World) -> None:
    for name in ("beat", "other"):
        put_event(world, name, 3 * DAY)
        put_event(world, name, DAY)
    overrides = {"beat": 2 * DAY, "other": 30 * DAY}
    assert run_once(world, EventRetention, overrides=overrides) == 1
    assert sorted(world.events()) == ["beat", "other", "other"]
    put_event(world, "other", 20 * DAY)
    assert run_once(world, EventRetention, overrides=overrides) == 1


def test_runs_that_ended_long_ago_go(world: World) -> None:
    ended = [world.flow_run(StateType.COMPLETED) for _ in range(5)]
    parent = world.flow_run(StateType.RUNNING)
    child = world.subflow_run(parent, StateType.COMPLETED)
    world.clock.advance(100 * 86_400)
    young = world.flow_run(StateType.FAILED)
    assert run_once(world, RunRetention, batch=2) == len(ended)
    left = {run.id for run in world.read(flow_run_lists.read_flow_runs)}
    assert left == {parent, child, young}
    assert run_once(world, RunRetention, period=200 * DAY) == 0


def test_subflow_runs_go_after_their_parent(world: World) -> None:
    parent = world.flow_run(StateType.COMPLETED)
    world.subflow_run(parent, StateType.COMPLETED)
    world.clock.advance(100 * 86_400)
    total = 0
    while count := run_once(world, RunRetention):
        total += count
    assert total == 2
    assert world.read(flow_run_lists.count_flow_runs) == 0


def put_log(world: World, run: str | None, message: str) -> None:
    record = LogCreate(
        level=20,
        message=message,
        name="n",
        timestamp=world.now,
        flow_run_id=None if run is None else UUID(run),
    )
    world.write(logs.create_logs, body=[record])


def test_log_records_without_their_run_go(world: World) -> None:
    run = world.flow_run()
    put_log(world, run, "of a run")
    put_log(world, None, "of none")
    for _ in range(5):
        put_log(world, str(uuid4()), "orphan")
    young = str(uuid4())
    put_log(world, young, "orphan")
    world.clock.advance(3601)
    put_log(world, young, "young")
    assert run_once(world, OrphanCleanup, batch=2) == 6
    left = {wire(row)["message"] for row in world.rows("SELECT message FROM log")}
    assert left == {"of a run", "of none", "young"}


def test_cache_entries_that_cannot_be_hit_go(world: World) -> None:
    task = world.task_run(None, StateType.COMPLETED)
    (state,) = world.rows("SELECT id FROM task_run_state WHERE task_run_id = ?", task)
    hour = timedelta(hours=1)

    def put(key: str, state_id: str, expiration: Any) -> None:
        world.store.write_sync(
            lambda tx: tx.run(
                "transition.insert_cache",
                cache_key=key,
                cache_expiration=expiration,
                state_id=state_id,
                now=world.now,
            )
        )

    put("good", state["id"], None)
    put("fresh", state["id"], world.now + hour)
    put("expired", state["id"], world.now - hour)
    put("orphan", str(uuid4()), None)
    assert run_once(world, OrphanCleanup) == 2
    rows = world.rows("SELECT cache_key FROM task_run_state_cache ORDER BY cache_key")
    assert [row["cache_key"] for row in rows] == ["fresh", "good"]
