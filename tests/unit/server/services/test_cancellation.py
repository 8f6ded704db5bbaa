"""What is left of cancelled flow runs is cancelled."""

import asyncio
from uuid import uuid4

import pytest
from tests.databases import World, wire

from penstock.schemas.states import SetStateBody, StateCreate, StateType
from penstock.server.ops import flow_runs, task_runs
from penstock.server.services import cancellation as service
from penstock.server.services.cancellation import CancellationCleanup


def run_once(world: World) -> int:
    return asyncio.run(CancellationCleanup(world.store).run_once(world.now))


def cancel(world: World, run: str) -> None:
    body = SetStateBody(state=StateCreate(type=StateType.CANCELLED), force=True)
    world.write(flow_runs.set_flow_run_state, run, body=body)
    world.clock.advance(1)


def flow_state(world: World, run: str) -> str:
    return wire(world.read(flow_runs.read_flow_run, run))["state_type"]


def task_state(world: World, run: str) -> str:
    return wire(world.read(task_runs.read_task_run, run))["state_type"]


def test_task_runs_that_have_not_ended_are_cancelled(world: World) -> None:
    run, other = world.flow_run(StateType.RUNNING), world.flow_run(StateType.RUNNING)
    unfinished = [
        world.task_run(run, state)
        for state in (StateType.RUNNING, StateType.PENDING, StateType.SCHEDULED, StateType.PAUSED)
    ]
    done = world.task_run(run, StateType.COMPLETED)
    elsewhere = world.task_run(other, StateType.RUNNING)
    alone = world.task_run(None, StateType.RUNNING)
    assert run_once(world) == 0
    cancel(world, run)
    assert run_once(world) == len(unfinished)
    assert {task_state(world, id) for id in unfinished} == {"CANCELLED"}
    assert task_state(world, done) == "COMPLETED"
    assert task_state(world, elsewhere) == task_state(world, alone) == "RUNNING"
    assert run_once(world) == 0


def test_subflow_runs_are_cancelled_and_theirs_too(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    child = world.subflow_run(run, StateType.RUNNING)
    grandchild = world.subflow_run(child, StateType.RUNNING)
    cancel(world, run)
    while run_once(world):
        world.clock.advance(1)
    assert flow_state(world, child) == flow_state(world, grandchild) == "CANCELLED"


def test_a_deployed_subflow_run_is_asked_to_stop(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    child = world.subflow_run(run, StateType.RUNNING, deployment_id=uuid4())
    cancel(world, run)
    run_once(world)
    assert flow_state(world, child) == "CANCELLING"
    # Its worker is at it now.
    assert run_once(world) == 0


def test_one_round_takes_all_of_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BATCH", 3)
    run = world.flow_run(StateType.RUNNING)
    tasks = [world.task_run(run, StateType.RUNNING) for _ in range(10)]
    cancel(world, run)
    assert run_once(world) == 10
    assert {task_state(world, id) for id in tasks} == {"CANCELLED"}


def test_the_row_is_looked_at_again(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    task = world.task_run(run, StateType.RUNNING)
    child = world.subflow_run(run, StateType.RUNNING)
    for op, id in ((service.cancel_task_run, task), (service.cancel_subflow_run, child)):
        assert not world.write(op, id), "the parent runs"
        assert not world.write(op, str(uuid4())), "unknown"
    assert not world.write(service.cancel_task_run, world.task_run(None, StateType.RUNNING))
    assert not world.write(service.cancel_subflow_run, run)
