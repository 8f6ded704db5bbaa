"""Workers."""

from datetime import timedelta
from typing import Any

import pytest
from tests.databases import World, wire
from tests.work import beat, last_event, pool, read_pool, roles

from penstock.schemas.errors import ObjectMissing
from penstock.schemas.filters import TimeBounds
from penstock.schemas.shapes import Operator
from penstock.schemas.work import WorkerFilter, WorkerFilterStatus, WorkersPage, WorkerStatus
from penstock.server.ops import workers


def listed(world: World, **filter: Any) -> list[tuple[str, str]]:
    body = WorkersPage(workers=WorkerFilter(**filter)) if filter else None
    rows = wire(world.read(workers.read_workers, "local", body=body))
    return [(row["name"], row["status"]) for row in rows]


def test_the_first_heartbeat_is_told(world: World) -> None:
    pool(world)
    beat(world)
    assert world.events()[-2:] == ["penstock.worker.online", "prefect.work-pool.ready"]
    assert roles(last_event(world, "penstock.worker.online"))["work-pool"]
    assert read_pool(world)["status"] == "READY"
    count = len(world.events())
    before = world.store.statistics.snapshot()
    beat(world)
    after = world.store.statistics.snapshot()
    assert after[1] - before[1] == 2
    beat(world, "second")
    assert world.events()[count:] == ["penstock.worker.online"]


def test_silence_of_three_intervals_is_offline(world: World) -> None:
    pool(world)
    beat(world, "said", interval=10)
    beat(world, "unsaid")
    world.clock.advance(29.9)
    assert listed(world) == [("said", "ONLINE"), ("unsaid", "ONLINE")]
    world.clock.advance(0.1)
    assert dict(listed(world)) == {"said": "OFFLINE", "unsaid": "ONLINE"}
    world.clock.advance(60)
    assert dict(listed(world)) == {"said": "OFFLINE", "unsaid": "OFFLINE"}
    beat(world, "huge", interval=10**15)
    assert listed(world)[0] == ("huge", "ONLINE")


def test_filters_go_by_the_status_now(world: World) -> None:
    pool(world)
    beat(world, "old", interval=10)
    world.clock.advance(60)
    beat(world, "new", interval=10)
    online, offline = [WorkerStatus.ONLINE], [WorkerStatus.OFFLINE]
    assert listed(world, status=WorkerFilterStatus(any_=online)) == [("new", "ONLINE")]
    assert listed(world, status=WorkerFilterStatus(any_=offline)) == [("old", "OFFLINE")]
    assert listed(world, status=WorkerFilterStatus(not_any_=online)) == [("old", "OFFLINE")]
    assert listed(world, status=WorkerFilterStatus(any_=[])) == []
    assert len(listed(world, status=WorkerFilterStatus(any_=online + offline))) == 2
    assert listed(world, status=WorkerFilterStatus(not_any_=online + offline)) == []
    assert len(listed(world, status=WorkerFilterStatus(not_any_=[]))) == 2
    lately = TimeBounds(after_=world.now - timedelta(seconds=1))
    assert listed(world, last_heartbeat_time=lately) == [("new", "ONLINE")]
    either = listed(
        world,
        operator=Operator.OR,
        last_heartbeat_time=lately,
        status=WorkerFilterStatus(any_=offline),
    )
    assert either == [("new", "ONLINE"), ("old", "OFFLINE")]


def test_a_deleted_worker_may_come_back(world: World) -> None:
    pool(world)
    beat(world)
    world.write(workers.delete_worker, "local", "w")
    assert listed(world) == [] and world.events()[-1] == "penstock.worker.deleted"
    beat(world)
    assert listed(world) == [("w", "ONLINE")]


def test_what_is_missing(world: World) -> None:
    pool(world)
    with pytest.raises(ObjectMissing, match="no worker 'x'"):
        world.write(workers.delete_worker, "local", "x")
    with pytest.raises(ObjectMissing):
        world.read(workers.read_workers, "nowhere")
    with pytest.raises(ObjectMissing):
        beat(world, pool="nowhere")
