"""The same loops in two servers at once do each thing once."""

import asyncio
from datetime import timedelta
from typing import Any

from tests.databases import World, scheduled

from penstock.schemas.states import SetStateBody, StateCreate, StateDetails, StateType
from penstock.server.ops import flow_runs
from penstock.server.services.cancellation import CancellationCleanup
from penstock.server.services.late_runs import LateRuns
from penstock.server.services.retention import EventRetention, RunRetention
from penstock.server.services.timers import Timers

COUNT = 12


def race(world: World, service: type, **settings: Any) -> int:
    """Run two instances at the same time; how much they did together."""

    async def both() -> list[int]:
        loops = [service(world.store, **settings) for _ in range(2)]
        return await asyncio.gather(*(loop.run_once(world.now) for loop in loops))

    return sum(asyncio.run(both()))


def test_a_run_becomes_late_once(world: World) -> None:
    for _ in range(COUNT):
        world.flow_run(scheduled(world.now))
    world.clock.advance(60)
    assert race(world, LateRuns) == COUNT
    assert len(world.events("prefect.flow-run.Late")) == COUNT


def test_a_timer_fires_once(world: World) -> None:
    timeout = world.now + timedelta(seconds=30)
    for _ in range(COUNT):
        run = world.flow_run(StateType.RUNNING)
        state = StateCreate(
            type=StateType.PAUSED, state_details=StateDetails(pause_timeout=timeout)
        )
        world.write(flow_runs.set_flow_run_state, run, body=SetStateBody(state=state))
    world.clock.advance(60)
    assert race(world, Timers) == COUNT
    assert len(world.events("prefect.flow-run.Failed")) == COUNT


def test_a_child_is_cancelled_once(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    for _ in range(COUNT):
        world.task_run(run, StateType.RUNNING)
    child = world.subflow_run(run, StateType.RUNNING)
    world.clock.advance(1)
    body = SetStateBody(state=StateCreate(type=StateType.CANCELLED), force=True)
    world.write(flow_runs.set_flow_run_state, run, body=body)
    world.clock.advance(1)
    race(world, CancellationCleanup)
    for task in world.rows("SELECT id FROM task_run"):
        states = world.rows("SELECT type FROM task_run_state WHERE task_run_id = ?", task["id"])
        assert [state["type"] for state in states].count("CANCELLED") == 1
    states = world.rows("SELECT type FROM flow_run_state WHERE flow_run_id = ?", child)
    assert [state["type"] for state in states].count("CANCELLED") == 1


def test_what_is_deleted_is_deleted_once(world: World) -> None:
    for _ in range(COUNT):
        world.flow_run(StateType.COMPLETED)
    world.clock.advance(100 * 86_400)
    assert race(world, RunRetention, batch=5) == COUNT
    assert len(world.events("penstock.flow-run.deleted")) == COUNT
    race(world, EventRetention, batch=5)
    assert set(world.events()) == {"penstock.flow-run.deleted"}
