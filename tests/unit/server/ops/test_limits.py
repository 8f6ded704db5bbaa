"""Concurrency limits: definition and its events, taking and giving back slots, leases."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.databases import World, wire

from penstock.schemas.errors import ObjectConflict, ObjectGone, ObjectMissing, RequestInvalid
from penstock.schemas.limits import (
    ConcurrencyLeaseHolder,
    ConcurrencyLimitsPage,
    ConcurrencyLimitV2Create,
    ConcurrencyLimitV2Update,
    ConcurrencyLimitWithLeaseResponse,
    LeaseRelease,
    LeaseRenewal,
    SlotsDecrement,
    SlotsIncrement,
    SlotsIncrementWithLease,
)
from penstock.server.ops import deployment_limits, limits
from penstock.server.ops.limits import Denied


def limit(world: World, name: str = "db", slots: int = 2, **fields: Any) -> str:
    body = ConcurrencyLimitV2Create(name=name, limit=slots, **fields)
    return str(world.write(limits.create_concurrency_limit_v2, body=body).id)


def read(world: World, name: str = "db") -> dict[str, Any]:
    return wire(world.read(limits.read_concurrency_limit_v2, name))


def taken(world: World, name: str = "db") -> int:
    return read(world, name)["active_slots"]


def take(world: World, *names: str, slots: int = 1, **fields: Any) -> Any:
    body = SlotsIncrement(names=list(names), slots=slots, **fields)
    return world.write(limits.bulk_increment_active_slots, body=body)


def lease(world: World, *names: str, slots: int = 1, **fields: Any) -> UUID:
    body = SlotsIncrementWithLease(names=list(names), slots=slots, **fields)
    answer = world.write(limits.bulk_increment_active_slots_with_lease, body=body)
    assert isinstance(answer, ConcurrencyLimitWithLeaseResponse)
    return answer.lease_id


def give_back(world: World, *names: str, slots: int = 1, **fields: Any) -> Any:
    body = SlotsDecrement(names=list(names), slots=slots, **fields)
    return world.write(limits.bulk_decrement_active_slots, body=body)


def release(world: World, id: UUID) -> None:
    world.write(limits.bulk_decrement_active_slots_with_lease, body=LeaseRelease(lease_id=id))


def names_of(answer: Any) -> list[str]:
    return [one["name"] for one in wire(answer)]


# --- definition -----------------------------------------------------------------------------------


def test_a_limit_is_made_read_listed_and_deleted(world: World) -> None:
    id = limit(world, "db", 2, slot_decay_per_second=0.5, active_slots=1, denied_slots=4)
    limit(world, "api", 0, active=False)
    row = read(world, id)
    assert row == read(world, "db")
    assert (row["name"], row["limit"], row["active"], row["active_slots"]) == ("db", 2, True, 1)
    assert row["slot_decay_per_second"] == 0.5
    page = world.read(limits.read_all_concurrency_limits_v2)
    assert names_of(page) == ["api", "db"]
    body = ConcurrencyLimitsPage(limit=1, offset=1)
    assert names_of(world.read(limits.read_all_concurrency_limits_v2, body=body)) == ["db"]
    world.write(deployment_limits.delete_concurrency_limit_v2, "db")
    world.write(deployment_limits.delete_concurrency_limit_v2, read(world, "api")["id"])
    assert world.read(limits.read_all_concurrency_limits_v2) == []


def test_what_is_not_there_is_missing_by_id_and_by_name(world: World) -> None:
    for name in ("db", str(uuid4())):
        delete = deployment_limits.delete_concurrency_limit_v2
        for act in (limits.read_concurrency_limit_v2, delete):
            with pytest.raises(ObjectMissing, match=name):
                world.write(act, name)
        with pytest.raises(ObjectMissing, match=name):
            world.write(
                limits.update_concurrency_limit_v2, name, body=ConcurrencyLimitV2Update(limit=1)
            )


def test_a_limit_whose_name_looks_like_an_id_is_found_by_it(world: World) -> None:
    name = str(uuid4())
    id = limit(world, name)
    assert read(world, name)["id"] == id


def test_a_name_is_taken_once(world: World) -> None:
    limit(world, "db")
    limit(world, "api")
    with pytest.raises(ObjectConflict):
        limit(world, "db")
    with pytest.raises(ObjectConflict):
        world.write(
            limits.update_concurrency_limit_v2, "api", body=ConcurrencyLimitV2Update(name="db")
        )
    assert world.events() == ["prefect.concurrency-limit.created"] * 2


EVENTS: list[tuple[str, dict[str, Any], str | None, dict[str, Any]]] = [
    ("raised", {"limit": 5}, "updated", {"limit": 5}),
    ("renamed", {"name": "new"}, "updated", {"name": "new"}),
    ("switched off", {"active": False}, "updated", {"active": False}),
    ("decaying", {"slot_decay_per_second": 0.25}, "updated", {"slot_decay_per_second": 0.25}),
    ("slots by hand", {"active_slots": 1}, "updated", {}),
    ("equal", {"limit": 2, "name": "db", "active": True}, None, {}),
    ("nulls", {"limit": None, "name": None, "active_slots": None}, None, {}),
    ("empty", {}, None, {}),
]


@pytest.mark.parametrize(("fields", "action", "changed"), [row[1:] for row in EVENTS])
def test_a_change_is_told_and_kept_once(
    world: World, fields: dict[str, Any], action: str | None, changed: dict[str, Any]
) -> None:
    id = limit(world)
    world.clock.advance(1)
    world.write(limits.update_concurrency_limit_v2, id, body=ConcurrencyLimitV2Update(**fields))
    events = world.rows("SELECT * FROM event ORDER BY seq")[1:]
    audit = world.rows("SELECT * FROM audit ORDER BY seq")[1:]
    if action is None:
        assert (events, audit) == ([], [])
        assert read(world, id)["updated"] == read(world, id)["created"]
        return
    ((event,), (row,)) = (events, audit)
    assert event["event"] == f"prefect.concurrency-limit.{action}"
    payload = {"name": "db", "limit": 2, "active": True, "slot_decay_per_second": 0, **changed}
    assert wire(event["payload"]) == payload
    assert wire(event["resource"]) == {
        "prefect.resource.id": f"prefect.concurrency-limit.{id}",
        "prefect.resource.name": payload["name"],
    }
    assert (row["id"], row["action"], row["kind"]) == (event["id"], action, "concurrency-limit")
    (difference,) = wire(row["changes"])
    ((name, value),) = fields.items()
    assert (difference["path"], difference["to"]) == (f"/{name}", value)
    assert read(world, id)["updated"] > read(world, id)["created"]


def test_creation_and_deletion_are_told(world: World) -> None:
    id = limit(world)
    world.write(deployment_limits.delete_concurrency_limit_v2, id)
    events = world.rows("SELECT * FROM event ORDER BY seq")
    assert [event["event"].rpartition(".")[2] for event in events] == ["created", "deleted"]
    assert wire(events[1]["payload"]) == wire(events[0]["payload"])
    rows = world.rows("SELECT * FROM audit ORDER BY seq")
    assert [(row["before"] is None, row["after"] is None) for row in rows] == [
        (True, False),
        (False, True),
    ]


def test_slots_are_silent(world: World) -> None:
    limit(world)
    take(world, "db")
    id = lease(world, "db")
    take(world, "db")
    release(world, id)
    give_back(world, "db")
    assert world.events() == ["prefect.concurrency-limit.created"]


# --- slots ----------------------------------------------------------------------------------------


def test_slots_are_taken_of_all_limits_or_of_none(world: World) -> None:
    limit(world, "db", 2)
    limit(world, "api", 1)
    limit(world, "off", 1, active=False)
    assert names_of(take(world, "db", "api", "off", "unknown", "db")) == ["api", "db"]
    denied = take(world, "db", "api")
    assert isinstance(denied, Denied) and "'api'" in denied.detail and "'db'" not in denied.detail
    assert (taken(world, "db"), taken(world, "api")) == (1, 1)
    denials = {
        row["name"]: row["denied_slots"] for row in world.rows("SELECT * FROM concurrency_limit")
    }
    assert denials == {"db": 0, "api": 1, "off": 0}
    assert names_of(give_back(world, "db", "api", "unknown")) == ["api", "db"]
    assert (taken(world, "db"), taken(world, "api")) == (0, 0)
    assert take(world, "unknown") == [] and take(world) == []
    assert give_back(world, "unknown") == []


def test_what_can_never_be_granted_is_refused(world: World) -> None:
    limit(world, "db", 2)
    with pytest.raises(RequestInvalid, match="3 slots"):
        take(world, "db", slots=3)
    with pytest.raises(RequestInvalid, match="slot_decay_per_second"):
        take(world, "db", mode="rate_limit")
    limit(world, "rate", 1, slot_decay_per_second=1)
    with pytest.raises(RequestInvalid, match="slot_decay_per_second"):
        lease(world, "rate", "db", mode="rate_limit")
    assert taken(world) == 0


def test_slots_decay_one_by_one_and_lose_no_fraction(world: World) -> None:
    limit(world, "rate", 3, slot_decay_per_second=0.5)
    take(world, "rate", slots=3, mode="rate_limit")
    world.clock.advance(1.9)
    assert taken(world, "rate") == 3
    assert isinstance(take(world, "rate", mode="rate_limit"), Denied)
    world.clock.advance(0.1)
    assert taken(world, "rate") == 2
    world.clock.advance(1.9)
    assert not isinstance(take(world, "rate", mode="rate_limit"), Denied)
    world.clock.advance(0.1)
    # The 1.9 seconds before the last slot was taken count for the one that decays next.
    assert taken(world, "rate") == 2
    world.clock.advance(100)
    assert taken(world, "rate") == 0
    take(world, "rate", mode="rate_limit")
    world.clock.advance(1.9)
    assert taken(world, "rate") == 1


def test_leased_slots_decay_as_others_do(world: World) -> None:
    limit(world, "rate", 4, slot_decay_per_second=0.5)
    lease(world, "rate", slots=2)
    world.clock.advance(3)
    lease(world, "rate", slots=2)
    assert taken(world, "rate") == 3
    world.clock.advance(1)
    assert taken(world, "rate") == 2


def test_a_clock_that_is_behind_takes_no_slots(world: World) -> None:
    limit(world, "rate", 4, slot_decay_per_second=0.5)
    take(world, "rate", mode="rate_limit")
    world.store.write_sync(
        lambda tx: tx.fetch(
            "UPDATE concurrency_limit SET decayed = decayed + ? RETURNING id", [10**8]
        )
    )
    lease(world, "rate")
    assert taken(world, "rate") == 2


def test_the_wait_of_a_denial_is_what_is_missing_times_how_long_slots_are_held(
    world: World,
) -> None:
    world.limited(slot_wait=30.0, tag_slot_wait=10.0)
    limit(world, "db", 4, active_slots=4)
    limit(world, "rate", 4, active_slots=4, slot_decay_per_second=0.25)
    limit(world, "slow", 1, active_slots=1, slot_decay_per_second=0.01)
    limit(world, "tag:slow", 1, active_slots=1, slot_decay_per_second=0.01)
    waits = {
        names: take(world, *names, slots=slots).wait_seconds
        for names, slots in [(("db",), 1), (("db", "rate"), 3), (("slow",), 1), (("tag:slow",), 1)]
    }
    assert waits == {("db",): 2.0, ("db", "rate"): 12.0, ("slow",): 30.0, ("tag:slow",): 10.0}


def test_a_release_teaches_how_long_slots_are_held(world: World) -> None:
    limit(world, "db", 2)

    def average() -> float:
        (row,) = world.rows("SELECT avg_slot_occupancy_seconds AS seconds FROM concurrency_limit")
        return row["seconds"]

    take(world, "db")
    give_back(world, "db", occupancy_seconds=10)
    assert average() == 4.0  # 2 + (10 - 2) / (2 * 2)
    id = lease(world, "db")
    world.clock.advance(8)
    release(world, id)
    assert average() == 5.0
    take(world, "db")
    give_back(world, "db", occupancy_seconds=0.001)
    assert average() == pytest.approx(5.0 + (0.1 - 5.0) / 4)
    take(world, "db")
    before = average()
    give_back(world, "db")
    assert average() == before


def test_more_is_never_given_back_than_was_taken_without_a_lease(world: World) -> None:
    limit(world, "db", 5)
    lease(world, "db", slots=2)
    take(world, "db")
    give_back(world, "db", slots=5)
    assert taken(world) == 2
    give_back(world, "db")
    assert taken(world) == 2


# --- leases ---------------------------------------------------------------------------------------


def test_there_is_a_lease_even_without_a_limit(world: World) -> None:
    body = SlotsIncrementWithLease(names=["tag:red"], slots=1)
    answer = world.write(limits.bulk_increment_active_slots_with_lease, body=body)
    assert wire(answer)["limits"] == []
    world.write(limits.renew_concurrency_lease, str(answer.lease_id))
    release(world, answer.lease_id)
    assert world.rows("SELECT * FROM concurrency_lease") == []


def test_a_lease_holds_until_it_is_released_once(world: World) -> None:
    limit(world, "db", 2)
    limit(world, "api", 2)
    holder = ConcurrencyLeaseHolder(id=UUID(int=5), type="flow_run")
    id = lease(world, "db", "api", slots=2, holder=holder, lease_duration=90)
    rows = world.rows("SELECT * FROM concurrency_lease")
    assert {(row["id"], row["holder_type"], row["holder_id"]) for row in rows} == {
        (str(id), "flow_run", str(UUID(int=5)))
    }
    assert {row["expires"] for row in rows} == {world.now + timedelta(seconds=90)}
    assert (taken(world, "db"), taken(world, "api")) == (2, 2)
    release(world, id)
    assert (taken(world, "db"), taken(world, "api")) == (0, 0)
    take(world, "db")
    release(world, id)
    release(world, uuid4())
    assert taken(world, "db") == 1


def test_a_lease_is_renewed_until_it_ends(world: World) -> None:
    limit(world)
    id = lease(world, "db", lease_duration=60)
    world.clock.advance(59)
    world.write(limits.renew_concurrency_lease, str(id), body=LeaseRenewal(lease_duration=120))
    world.clock.advance(119)
    assert world.store.write_sync(limits.expire_leases, 10) == 0
    world.clock.advance(1)
    with pytest.raises(ObjectGone, match=str(id)):
        world.write(limits.renew_concurrency_lease, str(id))
    assert taken(world) == 1
    assert world.store.write_sync(limits.expire_leases, 10) == 1
    assert taken(world) == 0
    with pytest.raises(ObjectGone):
        world.write(limits.renew_concurrency_lease, str(id))


def test_expiry_takes_the_longest_due_first_in_batches(world: World) -> None:
    limit(world, "db", 5)
    for _ in range(5):
        lease(world, "db", lease_duration=60)
        world.clock.advance(1)
    world.clock.advance(60)
    assert [world.store.write_sync(limits.expire_leases, 2) for _ in range(4)] == [2, 2, 1, 0]
    assert taken(world) == 0


def test_slots_set_by_hand_take_leases_off_the_limit(world: World) -> None:
    limit(world, "db", 5)
    limit(world, "api", 5)
    first = lease(world, "db", "api")
    world.clock.advance(1)
    second = lease(world, "db")
    take(world, "db")
    world.write(
        limits.update_concurrency_limit_v2, "db", body=ConcurrencyLimitV2Update(active_slots=1)
    )
    assert (taken(world, "db"), taken(world, "api")) == (1, 1)
    release(world, first)
    assert (taken(world, "db"), taken(world, "api")) == (1, 0)
    release(world, second)
    assert taken(world, "db") == 0


def test_a_deleted_limit_leaves_its_leases_alive(world: World) -> None:
    limit(world, "db")
    limit(world, "api")
    id = lease(world, "db", "api")
    world.write(deployment_limits.delete_concurrency_limit_v2, "db")
    world.write(limits.renew_concurrency_lease, str(id))
    release(world, id)
    assert taken(world, "api") == 0


def test_what_operations_cost(world: World) -> None:
    limit(world, "db", 3)
    limit(world, "api", 3)

    def cost(act: Any, *args: Any, **kwargs: Any) -> tuple[int, Any]:
        before = world.store.statistics.snapshot()[1]
        answer = act(world, *args, **kwargs)
        return world.store.statistics.snapshot()[1] - before, answer

    assert cost(take, "db", "api")[0] == 2
    spent, id = cost(lease, "db", "api")
    assert spent == 2
    assert cost(lease, "unknown")[0] == 2
    assert cost(give_back, "db", "api")[0] == 3
    assert cost(release, id)[0] == 3
    take(world, "db", slots=3)
    assert cost(take, "db", slots=3)[0] == 2
