"""Late runs."""

import asyncio
from datetime import timedelta

import pytest
from tests.databases import World, scheduled, wire

from penstock.schemas.states import StateType
from penstock.server.ops import flow_runs
from penstock.server.services import late_runs as service
from penstock.server.services.late_runs import LateRuns


def run_once(world: World, **settings: float) -> int:
    return asyncio.run(LateRuns(world.store, **settings).run_once(world.now))


def names(world: World) -> dict[str, int]:
    rows = world.rows("SELECT state_name, COUNT(*) AS runs FROM flow_run GROUP BY state_name")
    return {row["state_name"]: row["runs"] for row in rows}


def test_a_run_is_late_after_fifteen_seconds(world: World) -> None:
    due = world.now + timedelta(seconds=60)
    run = world.flow_run(scheduled(due))
    world.clock.advance(74.9)
    assert run_once(world) == 0
    world.clock.advance(0.1)
    assert run_once(world) == 1
    stored = wire(world.read(flow_runs.read_flow_run, run))
    assert (stored["state_type"], stored["state_name"]) == ("SCHEDULED", "Late")
    assert stored["next_scheduled_start_time"] == wire(due)
    assert stored["state"]["state_details"]["scheduled_time"] == wire(due)
    assert stored["expected_start_time"] == wire(due)
    assert world.events("prefect.flow-run.")[-1] == "prefect.flow-run.Late"
    assert run_once(world) == 0


def test_only_runs_named_scheduled_are_late(world: World) -> None:
    world.flow_run(scheduled(world.now, name="AwaitingRetry"))
    world.flow_run(scheduled(world.now, name="Resuming"))
    world.flow_run(scheduled(world.now + timedelta(hours=2)))
    world.flow_run(StateType.PENDING)
    world.clock.advance(3600)
    assert run_once(world) == 0


def test_the_threshold_is_a_setting(world: World) -> None:
    world.flow_run(scheduled(world.now))
    world.clock.advance(5)
    assert run_once(world, after_seconds=10) == 0
    assert run_once(world, after_seconds=5) == 1


def test_one_round_takes_all_of_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BATCH", 4)
    # Equal times, so that only the second part of the key tells pages apart.
    for _ in range(11):
        world.flow_run(scheduled(world.now))
    world.clock.advance(60)
    assert run_once(world) == 11
    assert names(world) == {"Late": 11}


def test_a_run_that_cannot_be_marked_delays_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BATCH", 1)
    blocked = world.flow_run(scheduled(world.now))
    world.clock.advance(1)
    world.flow_run(scheduled(world.now))
    world.clock.advance(60)
    real = service.mark_late

    def failing(tx, context, id, before):
        if id == blocked:
            raise ZeroDivisionError(id)
        return real(tx, context, id, before)

    monkeypatch.setattr(service, "mark_late", failing)
    with pytest.raises(ExceptionGroup):
        run_once(world)
    assert names(world) == {"Scheduled": 1, "Late": 1}


def test_a_run_that_started_meanwhile_is_left(world: World) -> None:
    run = world.flow_run(StateType.RUNNING)
    assert not world.write(service.mark_late, run, world.now)
    waiting = world.flow_run(scheduled(world.now + timedelta(hours=1)))
    assert not world.write(service.mark_late, waiting, world.now)
