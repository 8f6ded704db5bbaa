"""Timers fire once, in the transaction of what they do."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests.databases import World, wire

from penstock.schemas.states import SetStateBody, StateCreate, StateDetails, StateType
from penstock.server.ops import flow_runs
from penstock.server.ops.context import Context
from penstock.server.services import timers as service
from penstock.server.services.timers import Timers
from penstock.server.store.transaction import Tx


def run_once(world: World, loop: Timers) -> int:
    return asyncio.run(loop.run_once(world.now))


def set_timer(world: World, kind: str, key: str, seconds: float = 0) -> None:
    due = world.now + timedelta(seconds=seconds)
    world.store.write_sync(lambda tx: tx.run("timer.set", kind=kind, key=key, due=due, payload={}))


def keys(world: World) -> list[str]:
    return [row["key"] for row in world.rows("SELECT key FROM timer ORDER BY key")]


def propose(world: World, run: str, state: StateType, **details: Any) -> None:
    body = SetStateBody(state=StateCreate(type=state, state_details=StateDetails(**details)))
    answer = world.write(flow_runs.set_flow_run_state, run, body=body).value
    assert answer.status == "ACCEPT", answer


def state_of(world: World, run: str) -> dict[str, Any]:
    return wire(world.read(flow_runs.read_flow_run, run))["state"]


def test_due_timers_fire_once_and_in_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BATCH", 2)
    fired: list[str] = []

    def fire(tx: Tx, context: Context, key: str) -> bool:
        fired.append(key)
        return True

    for n in range(5):
        set_timer(world, "test", f"k{n}", seconds=n)
    set_timer(world, "test", "later", seconds=60)
    world.clock.advance(10)
    loop = Timers(world.store, handlers={"test": fire})
    assert run_once(world, loop) == 5
    assert sorted(fired) == ["k0", "k1", "k2", "k3", "k4"]
    assert run_once(world, loop) == 0
    assert keys(world) == ["later"]


def test_a_failing_timer_stays_and_delays_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BATCH", 1)

    def fire(tx: Tx, context: Context, key: str) -> bool:
        tx.run("timer.set", kind="done", key=key, due=tx.now + timedelta(days=1), payload={})
        if key == "a":
            raise ZeroDivisionError(key)
        return True

    for key in ("a", "b"):
        set_timer(world, "test", key)
    loop = Timers(world.store, handlers={"test": fire})
    with pytest.raises(ExceptionGroup, match="1 rows failed"):
        run_once(world, loop)
    rows = world.rows("SELECT kind, key FROM timer ORDER BY key")
    assert [(row["kind"], row["key"]) for row in rows] == [("test", "a"), ("done", "b")]


def test_timers_of_unknown_kinds_are_left_alone(world: World) -> None:
    set_timer(world, "another-part", "a")
    assert run_once(world, Timers(world.store)) == 0
    assert keys(world) == ["a"]


def test_a_timer_that_was_moved_does_not_fire(world: World) -> None:
    set_timer(world, "test", "a")
    (row,) = world.rows("SELECT kind, key, due FROM timer")
    world.clock.advance(1)
    set_timer(world, "test", "a", seconds=60)
    loop = Timers(world.store, handlers={"test": lambda tx, context, key: 1 / 0 > 0})
    assert world.store.write_sync(loop._fire, row) is False
    assert keys(world) == ["a"]


def test_a_run_that_is_not_resumed_in_time_fails(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    world.clock.advance(1)
    propose(world, run, StateType.PAUSED, pause_timeout=world.now + timedelta(seconds=30))
    loop = Timers(world.store)
    world.clock.advance(29)
    assert run_once(world, loop) == 0
    assert state_of(world, run)["type"] == "PAUSED"
    world.clock.advance(2)
    assert run_once(world, loop) == 1
    state = state_of(world, run)
    assert (state["type"], state["message"]) == ("FAILED", "The flow was paused and never resumed.")
    assert world.events("prefect.flow-run.")[-1] == "prefect.flow-run.Failed"
    assert keys(world) == []


def test_a_resumed_run_is_not_failed(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    world.clock.advance(1)
    propose(world, run, StateType.PAUSED, pause_timeout=world.now + timedelta(seconds=30))
    world.clock.advance(1)
    propose(world, run, StateType.RUNNING)
    world.clock.advance(60)
    # Even a timer that was left behind does nothing to a run that goes on.
    set_timer(world, service.PAUSE_TIMER, run)
    assert run_once(world, Timers(world.store)) == 1
    assert state_of(world, run)["type"] == "RUNNING"


def test_a_second_pause_has_its_own_time(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    for seconds in (10, 100):
        world.clock.advance(1)
        timeout = world.now + timedelta(seconds=seconds)
        propose(world, run, StateType.PAUSED, pause_timeout=timeout, pause_key=str(seconds))
        if seconds == 10:
            world.clock.advance(1)
            propose(world, run, StateType.RUNNING)
    world.clock.advance(50)
    assert run_once(world, Timers(world.store)) == 0
    assert state_of(world, run)["type"] == "PAUSED"


def test_a_run_whose_worker_is_silent_is_cancelled(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    world.clock.advance(1)
    propose(world, run, StateType.CANCELLING)
    loop = Timers(world.store)
    world.clock.advance(world.context.limits.cancelling_seconds - 1)
    assert run_once(world, loop) == 0
    world.clock.advance(2)
    assert run_once(world, loop) == 1
    assert state_of(world, run)["type"] == "CANCELLED"


def test_timers_of_deleted_runs_change_nothing(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    world.write(flow_runs.delete_flow_run, run)
    set_timer(world, service.PAUSE_TIMER, run)
    set_timer(world, service.CANCELLING_TIMER, run)
    assert run_once(world, Timers(world.store)) == 2
    assert keys(world) == []
