"""Upkeep looks at a row again before it changes it; another process may have been there."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.databases import World, wire

from penstock.schemas.logs import LogCreate
from penstock.schemas.states import SetStateBody, StateCreate, StateDetails, StateType
from penstock.server.ops import flow_runs, logs, upkeep

MISSING = str(UUID(int=1))


def set_state(world: World, run: str, type: StateType, **details: Any) -> None:
    world.clock.advance(1)
    state = StateCreate(type=type, state_details=StateDetails(**details))
    body = SetStateBody(state=state, force=True)
    world.write(flow_runs.set_flow_run_state, run, body=body)


def state_of(world: World, run: str) -> str:
    return wire(world.read(flow_runs.read_flow_run, run))["state_type"]


@pytest.mark.parametrize(
    "op",
    [
        upkeep.expire_pause,
        upkeep.expire_cancelling,
        upkeep.cancel_task_run,
        upkeep.cancel_subflow_run,
    ],
)
def test_what_is_gone_or_over_is_left(world: World, op: Any) -> None:
    assert not world.write(op, MISSING)
    assert not world.write(op, world.flow_run(StateType.COMPLETED))


def test_a_pause_without_or_before_its_end_is_left(world: World) -> None:
    endless, early = world.flow_run(StateType.RUNNING), world.flow_run(StateType.RUNNING)
    set_state(world, endless, StateType.PAUSED)
    set_state(world, early, StateType.PAUSED, pause_timeout=world.now + timedelta(minutes=1))
    assert not world.write(upkeep.expire_pause, endless)
    assert not world.write(upkeep.expire_pause, early)
    world.clock.advance(60)
    assert world.write(upkeep.expire_pause, early)
    assert not world.write(upkeep.expire_pause, early)


def test_a_deployed_subflow_run_is_asked_once(world: World) -> None:
    parent = world.flow_run(StateType.RUNNING)
    child = world.subflow_run(parent, StateType.RUNNING, deployment_id=uuid4())
    set_state(world, parent, StateType.CANCELLED)
    assert world.write(upkeep.cancel_subflow_run, child)
    assert state_of(world, child) == "CANCELLING"
    assert not world.write(upkeep.cancel_subflow_run, child)


def test_runs_that_are_not_expired_are_kept(world: World) -> None:
    parent = world.flow_run(StateType.RUNNING)
    child = world.subflow_run(parent, StateType.COMPLETED)
    young = world.flow_run(StateType.COMPLETED)
    for run, before in (
        (parent, world.now + timedelta(days=1)),
        (child, world.now + timedelta(days=1)),
        (young, world.now),
        (MISSING, world.now),
    ):
        assert not world.write(upkeep.delete_expired_flow_run, run, before)
    assert world.write(upkeep.delete_expired_flow_run, young, world.now + timedelta(seconds=1))


def test_log_records_of_a_run_that_is_there_are_kept(world: World) -> None:
    run = world.flow_run()
    record = LogCreate(level=20, message="m", name="n", timestamp=world.now, flow_run_id=UUID(run))
    world.write(logs.create_logs, body=[record])
    later = world.now + timedelta(days=1)
    assert world.write(upkeep.delete_logs_without_run, run, later) == 0
    assert len(world.rows("SELECT id FROM log")) == 1
