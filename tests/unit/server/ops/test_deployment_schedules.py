"""How the schedules of a request meet the stored ones."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from tests.databases import World, wire
from tests.deployments import cron, deploy, plan, put, read, times

from penstock.schemas.deployments import (
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
    DeploymentUpdate,
)
from penstock.schemas.errors import ObjectConflict, ObjectMissing, RequestInvalid
from penstock.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from penstock.server.ops import deployment_schedules, deployments

EARLY, LATE = CronSchedule(cron="0 1 * * *"), CronSchedule(cron="0 2 * * *")


def patch(world: World, id: str, *schedules: DeploymentScheduleUpdate) -> None:
    body = DeploymentUpdate(schedules=list(schedules))
    world.write(deployments.update_deployment, id, body=body)


def change(slug: str | None = None, **fields: Any) -> DeploymentScheduleUpdate:
    if slug is not None:
        fields["slug"] = slug
    return DeploymentScheduleUpdate(**fields)


def ids(world: World, id: str) -> dict[str | None, str]:
    """The ids of a deployment's schedules by slug, or by expression."""
    return {
        one["slug"] or one["schedule"].get("cron"): one["id"]
        for one in read(world, id)["schedules"]
    }


def test_slugs_tell_which_schedule_is_meant(world: World) -> None:
    id = deploy(world, schedules=[cron("0 1 * * *", slug="a"), cron("0 2 * * *", slug="b")])
    before = ids(world, id)
    patch(world, id, change("a", schedule=LATE, active=False), change("c", schedule=EARLY))
    after = ids(world, id)
    assert set(after) == {"a", "b", "c"}
    assert {slug: after[slug] for slug in "ab"} == before
    [a] = [one for one in read(world, id)["schedules"] if one["slug"] == "a"]
    assert (a["schedule"]["cron"], a["active"]) == ("0 2 * * *", False)


def test_a_schedule_takes_the_place_of_another(world: World) -> None:
    id = deploy(world, schedules=[cron(slug="old")])
    before = ids(world, id)
    patch(world, id, change("new", replaces="old"))
    assert ids(world, id) == {"new": before["old"]}


@pytest.mark.parametrize(
    "wanted",
    [
        [change(schedule=EARLY)],
        [change("a", active=False), change("a", active=True)],
        [change("b", replaces="a")],
        [change("a", active=False), change("c", replaces="a")],
        [change("new")],
    ],
    ids=["without slug", "twice", "taken", "one for two", "says not when"],
)
def test_what_is_not_clear_is_refused(world: World, wanted: list[DeploymentScheduleUpdate]) -> None:
    id = deploy(world, schedules=[cron(slug="a"), cron("30 * * * *", slug="b")])
    before = read(world, id)
    with pytest.raises(RequestInvalid):
        patch(world, id, *wanted)
    assert read(world, id) == before


def test_without_slugs_the_wanted_schedules_take_the_place_of_all(world: World) -> None:
    id = deploy(world, schedules=[cron("0 1 * * *"), cron("0 3 * * *")])
    before = ids(world, id)
    patch(world, id, change(schedule=EARLY), change(schedule=LATE))
    after = ids(world, id)
    assert set(after) == {"0 1 * * *", "0 2 * * *"}
    assert after["0 1 * * *"] == before["0 1 * * *"], "the same schedule keeps its id"


@pytest.mark.parametrize("slug", ["a", None])
def test_an_empty_list_removes_all(world: World, slug: str | None) -> None:
    id = deploy(world, schedules=[cron(slug=slug)])
    plan(world)
    patch(world, id)
    assert read(world, id)["schedules"] == []
    assert times(world) == []


def test_an_interval_without_anchor_keeps_the_one_it_has(world: World) -> None:
    def half_hourly() -> DeploymentScheduleCreate:
        return DeploymentScheduleCreate(schedule={"interval": 1800})  # type: ignore[arg-type]

    first = put(world, schedules=[half_hourly()])
    world.clock.advance(100)
    assert put(world, schedules=[half_hourly()]) == first
    moved = IntervalSchedule(interval=1800, anchor_date=datetime(2026, 1, 1, tzinfo=UTC))
    again = put(world, schedules=[DeploymentScheduleCreate(schedule=moved)])
    assert again["schedules"][0]["schedule"]["anchor_date"] == "2026-01-01T00:00:00Z"


def test_routes_of_schedules(world: World) -> None:
    id = deploy(world)
    rule = RRuleSchedule(rrule="FREQ=DAILY;BYHOUR=5", timezone="Europe/Berlin")
    body = [cron(slug="a", max_scheduled_runs=5), DeploymentScheduleCreate(schedule=rule)]
    made = wire(world.write(deployment_schedules.create_deployment_schedules, id, body=body))
    assert [one["slug"] for one in made] == ["a", None]
    assert made[0]["max_scheduled_runs"] == 5
    assert made[0]["deployment_id"] == id
    assert made[1]["schedule"] == {"rrule": rule.rrule, "timezone": "Europe/Berlin"}
    with pytest.raises(ObjectConflict, match="used twice"):
        world.write(deployment_schedules.create_deployment_schedules, id, body=[cron(slug="a")])
    world.clock.advance(1)
    world.write(
        deployment_schedules.update_deployment_schedule,
        id,
        made[0]["id"],
        body=change(parameters={"x": 1}),
    )
    listed = wire(world.read(deployment_schedules.read_deployment_schedules, id))
    assert [one["id"] for one in listed] == [made[0]["id"], made[1]["id"]]
    assert listed[0]["parameters"] == {"x": 1}
    world.write(deployment_schedules.delete_deployment_schedule, id, made[0]["id"])
    for missing in (made[0]["id"], str(uuid4())):
        with pytest.raises(ObjectMissing):
            world.write(deployment_schedules.delete_deployment_schedule, id, missing)
    with pytest.raises(ObjectMissing):
        world.read(deployment_schedules.read_deployment_schedules, str(uuid4()))


@pytest.mark.parametrize(
    "schedule",
    [
        CronSchedule(cron="0 0 31 2 *"),
        CronSchedule(cron="nonsense"),
        CronSchedule(cron="0 * * * *", timezone="Mars/Olympus"),
        IntervalSchedule(interval=0),
        RRuleSchedule(rrule="FREQ=NEVER"),
    ],
)
def test_a_schedule_that_cannot_be_evaluated_is_refused(world: World, schedule: Any) -> None:
    with pytest.raises(RequestInvalid):
        put(world, schedules=[DeploymentScheduleCreate(schedule=schedule)])
    assert world.rows("SELECT id FROM deployment") == []
