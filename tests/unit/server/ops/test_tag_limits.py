"""Limits on tags, as version 1 of the API knows them."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.databases import World, wire

from penstock.schemas.errors import ObjectMissing, RequestInvalid
from penstock.schemas.limits import (
    ConcurrencyLimitCreate,
    ConcurrencyLimitsPage,
    ConcurrencyLimitV2Create,
    SlotsIncrement,
    SlotsIncrementWithLease,
    TaggedSlotsDecrement,
    TaggedSlotsIncrement,
    TaggedSlotsReset,
)
from penstock.server.ops import limits, tag_limits
from penstock.server.ops.limits import Denied

ONE, TWO = UUID(int=1), UUID(int=2)


def limit(world: World, tag: str = "db", slots: int = 1) -> Any:
    body = ConcurrencyLimitCreate(tag=tag, concurrency_limit=slots)
    return world.write(tag_limits.create_concurrency_limit, body=body)


def take(world: World, run: UUID, *tags: str) -> Any:
    body = TaggedSlotsIncrement(names=list(tags), task_run_id=run)
    return world.write(tag_limits.increment_concurrency_limits_v1, body=body)


def give_back(world: World, run: UUID, *tags: str, **fields: Any) -> Any:
    body = TaggedSlotsDecrement(names=list(tags), task_run_id=run, **fields)
    return world.write(tag_limits.decrement_concurrency_limits_v1, body=body)


def holders(world: World, tag: str = "db") -> list[str]:
    return wire(world.read(tag_limits.read_concurrency_limit_by_tag, tag))["active_slots"]


def taken(world: World, tag: str = "db") -> int:
    return world.read(limits.read_concurrency_limit_v2, f"tag:{tag}").active_slots


def test_a_limit_is_made_or_changed_by_its_tag(world: World) -> None:
    made = limit(world, "db", 1)
    equal = limit(world, "db", 1)
    changed = limit(world, "db", 5)
    assert [one.created for one in (made, equal, changed)] == [True, False, False]
    assert wire(made.value)["id"] == wire(changed.value)["id"]
    assert wire(changed.value)["concurrency_limit"] == 5
    assert world.events() == [
        "prefect.concurrency-limit.created",
        "prefect.concurrency-limit.updated",
    ]
    (event, _) = world.rows("SELECT * FROM event ORDER BY seq")
    assert wire(event["payload"])["name"] == "tag:db"
    with pytest.raises(RequestInvalid):
        limit(world, "db", -1)


def test_limits_are_read_listed_and_deleted(world: World) -> None:
    ids = [wire(limit(world, tag).value)["id"] for tag in ("b", "a", "c")]
    page = ConcurrencyLimitsPage(limit=2)
    rows = wire(world.read(tag_limits.read_concurrency_limits, body=page))
    assert [row["tag"] for row in rows] == ["a", "b"]
    assert wire(world.read(tag_limits.read_concurrency_limit, ids[0]))["tag"] == "b"
    world.write(tag_limits.delete_concurrency_limit, ids[0])
    world.write(tag_limits.delete_concurrency_limit_by_tag, "a")
    assert [row["tag"] for row in wire(world.read(tag_limits.read_concurrency_limits))] == ["c"]
    for act in (
        tag_limits.read_concurrency_limit_by_tag,
        tag_limits.delete_concurrency_limit_by_tag,
        tag_limits.reset_concurrency_limit_by_tag,
    ):
        with pytest.raises(ObjectMissing, match="'a'"):
            world.write(act, "a")
    for act in (tag_limits.read_concurrency_limit, tag_limits.delete_concurrency_limit):
        with pytest.raises(ObjectMissing):
            world.write(act, str(uuid4()))


def test_other_limits_are_no_limits_on_tags(world: World) -> None:
    body = ConcurrencyLimitV2Create(name="global", limit=1)
    other = world.write(limits.create_concurrency_limit_v2, body=body)
    assert world.read(tag_limits.read_concurrency_limits) == []
    with pytest.raises(ObjectMissing):
        world.read(tag_limits.read_concurrency_limit, other.id)


def test_a_task_run_holds_one_slot_of_each_tag(world: World) -> None:
    limit(world, "db", 1)
    limit(world, "api", 2)
    answer = wire(take(world, ONE, "db", "api", "free"))
    assert [one["name"] for one in answer] == ["tag:api", "tag:db"]
    take(world, ONE, "db", "api")
    assert (holders(world), holders(world, "api")) == ([str(ONE)], [str(ONE)])
    assert isinstance(take(world, TWO, "api", "db"), Denied)
    assert taken(world, "api") == 1
    world.clock.advance(10 * 365 * 86_400)
    assert world.store.write_sync(limits.expire_leases, 10) == 0
    assert [one["name"] for one in wire(give_back(world, ONE, "db"))] == ["tag:db"]
    assert (holders(world), holders(world, "api")) == ([], [str(ONE)])
    assert not isinstance(take(world, TWO, "api", "db"), Denied)


def test_a_limit_of_zero_denies(world: World) -> None:
    limit(world, "db", 0)
    assert isinstance(take(world, ONE, "db"), Denied)


def test_only_the_holder_gives_back(world: World) -> None:
    limit(world, "db", 1)
    take(world, ONE, "db")
    give_back(world, TWO, "db")
    assert (holders(world), taken(world)) == ([str(ONE)], 1)


def test_a_reset_gives_back_everything_however_it_is_held(world: World) -> None:
    limit(world, "db", 5)
    take(world, ONE, "db")
    world.write(limits.bulk_increment_active_slots, body=SlotsIncrement(names=["tag:db"], slots=1))
    lease = world.write(
        limits.bulk_increment_active_slots_with_lease,
        body=SlotsIncrementWithLease(names=["tag:db"], slots=2),
    )
    assert taken(world) == 4
    world.write(tag_limits.reset_concurrency_limit_by_tag, "db")
    assert (taken(world), holders(world)) == (0, [])
    world.store.write_sync(limits.release_lease, str(lease.lease_id))
    assert taken(world) == 0
    body = TaggedSlotsReset(slot_override=[ONE, TWO, ONE])
    world.write(tag_limits.reset_concurrency_limit_by_tag, "db", body=body)
    assert (taken(world), sorted(holders(world))) == (2, [str(ONE), str(TWO)])
