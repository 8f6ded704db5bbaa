"""The foreman."""

import asyncio
from typing import Any

import pytest
from tests.databases import World
from tests.deployments import deploy
from tests.deployments import read as read_deployment
from tests.work import beat, last_event, polled, pool, queue, read_pool, read_queue

from penstock.server.ops import readiness
from penstock.server.services.foreman import Foreman


def run_once(world: World, **settings: Any) -> int:
    return asyncio.run(Foreman(world.store, **settings).run_once(world.now))


def test_a_silent_worker_takes_its_pool_along(world: World) -> None:
    pool(world)
    beat(world, "a", interval=10)
    beat(world, "b", interval=20)
    count = len(world.events())
    world.clock.advance(29)
    assert run_once(world) == 0
    world.clock.advance(2)
    assert run_once(world) == 1
    assert read_pool(world)["status"] == "READY"
    world.clock.advance(30)
    assert run_once(world) == 2
    assert world.events()[count:] == [
        "penstock.worker.offline",
        "penstock.worker.offline",
        "prefect.work-pool.not-ready",
    ]
    event = last_event(world, "prefect.work-pool.not-ready")
    assert event["members"]["actor"]["name"] == "foreman"
    assert event["follows"] == last_event(world, "prefect.work-pool.ready")["id"]
    assert run_once(world) == 0
    beat(world, "a", interval=10)
    assert read_pool(world)["status"] == "READY"
    assert world.events()[-2:] == ["penstock.worker.online", "prefect.work-pool.ready"]


def test_what_is_not_polled_for_is_not_ready(world: World) -> None:
    pool(world)
    queue(world, "a")
    deployment = deploy(world, work_pool_name="local", work_queue_name="a")
    polled(world, "local", "a")
    polled(world, "local", "default")
    world.clock.advance(50)
    polled(world, "local", "default")
    world.clock.advance(10)
    assert run_once(world) == 0
    world.clock.advance(1)
    assert run_once(world) == 2
    assert read_queue(world, "a")["status"] == "NOT_READY"
    assert read_queue(world, "default")["status"] == "READY"
    assert read_deployment(world, deployment)["status"] == "NOT_READY"
    assert world.events()[-2:] == ["prefect.deployment.not-ready", "prefect.work-queue.not-ready"]
    assert run_once(world) == 0


def test_everything_that_is_due_is_done_in_one_round(world: World) -> None:
    pool(world)
    for place in range(7):
        queue(world, f"q{place}")
    polled(world)
    world.clock.advance(61)
    assert run_once(world, batch=3) == 8


def test_a_part_that_fails_keeps_no_other_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool(world)
    polled(world)
    world.clock.advance(61)

    def broken(*arguments: object) -> int:
        raise ValueError("broken")

    monkeypatch.setattr(readiness, "mark_silent_workers", broken)
    with pytest.raises(ExceptionGroup, match="1 parts failed"):
        run_once(world)
    assert read_queue(world, "default")["status"] == "NOT_READY"
