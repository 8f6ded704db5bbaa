"""The scheduler: runs are made ahead of their time, each date once, whatever happens between."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.databases import World, wire
from tests.deployments import cron, deploy, plan, planned, put, read, times

from penstock.base import json
from penstock.base.clock import ManualClock
from penstock.schemas.deployments import (
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
    DeploymentUpdate,
)
from penstock.schemas.schedules import CronSchedule, IntervalSchedule
from penstock.schemas.states import SetStateBody, StateCreate, StateType
from penstock.server.domain.schedules.planning import NEVER, Horizon
from penstock.server.ops import deployment_schedules, deployments, flow_runs, flows, planning
from penstock.server.services import scheduler as service
from penstock.server.services.scheduler import Scheduler

HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC))


def test_runs_are_planned_an_hour_and_three_runs_ahead(world: World) -> None:
    hourly = deploy(world, "hourly", schedules=[cron("0 * * * *")])
    minutely = deploy(world, "minutely", schedules=[cron("* * * * *")])
    daily = deploy(world, "daily", schedules=[cron("30 2 * * *")])
    assert plan(world) == 3 + 61 + 3
    counts = world.rows(
        "SELECT deployment_id, COUNT(*) AS runs FROM flow_run GROUP BY deployment_id"
    )
    assert {row["deployment_id"]: row["runs"] for row in counts} == {
        hourly: 3,
        minutely: 61,
        daily: 3,
    }
    assert plan(world) == 0


def test_missed_dates_are_made_up_for_as_their_schedule_says(world: World) -> None:
    for name, policy in (("all", "all"), ("latest", "latest"), ("recent", 2 * 3600.0)):
        deploy(world, name, schedules=[cron("0 * * * *", catch_up=policy)])
    deploy(world, "silent", schedules=[cron("0 * * * *")])
    plan(world)
    before = set(times(world))
    world.clock.advance(10 * 3600)
    plan(world)
    missed = world.rows(
        "SELECT d.name, count(*) AS runs FROM flow_run AS r"
        " JOIN deployment AS d ON d.id = r.deployment_id WHERE r.auto_scheduled"
        " AND r.expected_start_time <= ? AND r.expected_start_time > ? GROUP BY d.name",
        world.now,
        max(before),
    )
    assert {row["name"]: row["runs"] for row in missed} == {
        "all": 7, "latest": 1, "recent": 2, "silent": 7,
    }  # fmt: skip
    assert plan(world) == 0


def test_the_policy_for_missed_dates_is_part_of_a_schedule(world: World) -> None:
    made = put(world, schedules=[cron(slug="s", catch_up="latest")])
    [schedule] = made["schedules"]
    assert schedule["catch_up"] == "latest"
    id, schedule_id = made["id"], schedule["id"]
    change = DeploymentScheduleUpdate(catch_up=90.0)
    world.write(deployment_schedules.update_deployment_schedule, id, schedule_id, body=change)
    assert read(world, id)["schedules"][0]["catch_up"] == 90.0
    world.write(
        deployment_schedules.update_deployment_schedule,
        id,
        schedule_id,
        body=DeploymentScheduleUpdate(catch_up="all"),
    )
    assert "catch_up" not in read(world, id)["schedules"][0]


def test_a_planned_run_is_made_of_its_deployment_and_its_schedule(world: World) -> None:
    made = put(
        world,
        parameters={"a": 1, "b": 1},
        tags=["red", "auto-scheduled"],
        labels={"team": "x"},
        version="7",
        schedules=[cron(parameters={"b": 2}, slug="hourly")],
    )
    plan(world)
    [schedule] = made["schedules"]
    first = datetime(2026, 3, 2, 13, tzinfo=UTC)
    id = world.rows("SELECT id FROM flow_run ORDER BY expected_start_time LIMIT 1")[0]["id"]
    run = wire(world.read(flow_runs.read_flow_run, id))
    assert run["idempotency_key"] == f"scheduled {made['id']} {schedule['id']} {first.isoformat()}"
    assert run["parameters"] == {"a": 1, "b": 2}
    assert run["tags"] == ["auto-scheduled", "red"]
    assert run["labels"] == {
        "team": "x",
        "prefect.flow.id": made["flow_id"],
        "prefect.deployment.id": made["id"],
    }
    assert run["deployment_version"] == "7"
    assert run["auto_scheduled"] is True
    assert run["created_by"] == {
        "id": schedule["id"],
        "type": "SCHEDULE",
        "display_value": "hourly",
    }
    assert run["state_type"] == "SCHEDULED"
    assert run["state_name"] == "Scheduled"
    assert run["state"]["state_details"]["scheduled_time"] == wire(first)
    assert run["state"]["state_details"]["flow_run_id"] == id
    assert run["next_scheduled_start_time"] == run["expected_start_time"] == wire(first)
    assert run["name"]
    assert world.events("prefect.flow-run.") == []


def test_a_planned_run_starts_as_any_other(world: World) -> None:
    deploy(world, schedules=[cron()])
    plan(world)
    id = world.rows("SELECT id FROM flow_run ORDER BY expected_start_time LIMIT 1")[0]["id"]
    world.clock.advance(3600)
    for type in (StateType.PENDING, StateType.RUNNING, StateType.COMPLETED):
        made = world.write(
            flow_runs.set_flow_run_state, id, body=SetStateBody(state=StateCreate(type=type))
        )
        assert made.value.status == "ACCEPT"
    assert world.events("prefect.flow-run.") == [
        "prefect.flow-run.Pending",
        "prefect.flow-run.Running",
        "prefect.flow-run.Completed",
    ]
    [first] = world.rows(
        "SELECT follows FROM event WHERE event = 'prefect.flow-run.Pending' ORDER BY seq"
    )
    assert first["follows"] is None, "there is no event of the insertion to follow"


def test_each_date_once_as_time_goes_on(world: World) -> None:
    deploy(world, schedules=[cron("*/20 * * * *")])
    begin = world.now
    for seconds in (0, 1, 59, 600, 3600, 60, 7200, 12 * 3600, 5):
        world.clock.advance(seconds)
        plan(world)
    found = times(world)
    expected = []
    date = begin.replace(minute=20, second=0)
    while date <= found[-1]:
        expected.append(date)
        date += timedelta(minutes=20)
    assert found == expected
    assert found[-1] >= world.now + HOUR * 0.9


def test_dates_missed_while_no_server_ran_are_made_up_for(world: World) -> None:
    deploy(world, schedules=[cron("* * * * *")])
    plan(world)
    world.clock.advance(10 * 3600)
    plan(world)
    found = times(world)
    assert len(found) == len(set(found))
    assert len(found) == 10 * 60 + 61
    assert found == [found[0] + timedelta(minutes=i) for i in range(len(found))]


def test_two_schedulers_at_once_make_each_run_once(world: World) -> None:
    for number in range(30):
        deploy(world, f"d{number}", schedules=[cron("*/5 * * * *")])

    async def both() -> list[int]:
        one, two = Scheduler(world.store, batch=40), Scheduler(world.store, batch=40)
        return list(await asyncio.gather(one.run_once(world.now), two.run_once(world.now)))

    made = asyncio.run(both())
    found = planned(world)
    assert len(found) == len(set(found)) == sum(made)
    assert len(found) == 30 * 13


def test_a_plan_of_yesterday_is_not_stored(world: World) -> None:
    """What was worked out before a change is dropped."""
    made = put(world, schedules=[cron("0 * * * *", slug="s")])
    rows = world.store.read_sync(planning.due_schedules, world.now, 10)
    stale = planning.planned(rows, world.now, Horizon())
    world.clock.advance(1)
    put(world, schedules=[cron("30 * * * *", slug="s")])
    assert world.store.write_sync(planning.store_plans, stale) == 0
    plan(world)
    assert {time.minute for time in times(world)} == {30}
    assert read(world, made["id"])["schedules"][0]["id"] == made["schedules"][0]["id"]


def test_batches_are_bounded_by_runs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "READ", 7)
    for number in range(20):
        deploy(world, f"d{number}", schedules=[cron("* * * * *")])
    sizes: list[int] = []
    store_plans = service.store_plans

    def counted(tx: Any, plans: Any) -> int:
        inserted = store_plans(tx, plans)
        sizes.append(inserted)
        return inserted

    monkeypatch.setattr(service, "store_plans", counted)
    assert plan(world, batch=130) == 20 * 61
    assert max(sizes) <= 130
    assert sum(sizes) == 20 * 61


def test_a_batch_costs_four_statements(world: World) -> None:
    for number in range(8):
        deploy(world, f"d{number}", schedules=[cron("* * * * *")])
    rows = world.store.read_sync(planning.due_schedules, world.now, 10)
    plans = planning.planned(rows, world.now, Horizon())
    before = world.store.statistics.statements
    assert world.store.write_sync(planning.store_plans, plans) == 8 * 61
    assert world.store.statistics.statements - before == 4


def test_a_schedule_that_cannot_be_evaluated_disturbs_no_other(world: World) -> None:
    bad = deploy(world, "bad", schedules=[cron("0 * * * *")])
    good = deploy(world, "good", schedules=[cron("0 * * * *")])

    def spoil(tx: Any) -> None:
        # As an older release may have stored it, or a zone that is no longer known.
        document = json.encode(CronSchedule(cron="0 0 31 2 *"))
        [row] = tx.all("deployment_schedule.of", deployment_id=bad)
        tx.run(
            "deployment_schedule.update",
            now=tx.now,
            **{**row, "schedule": json.Raw(document), "due": tx.now},
        )

    world.store.write_sync(spoil)
    assert plan(world) == 3
    assert {row["deployment_id"] for row in world.rows("SELECT deployment_id FROM flow_run")} == {
        good
    }
    [row] = world.rows("SELECT * FROM deployment_schedule WHERE deployment_id = ?", bad)
    assert "0 0 31 2 *" in row["problem"]
    assert row["due"] == NEVER
    schedule = read(world, bad)["schedules"][0]
    world.write(
        deployment_schedules.update_deployment_schedule,
        bad,
        schedule["id"],
        body=DeploymentScheduleUpdate(schedule=CronSchedule(cron="0 * * * *")),
    )
    assert plan(world) == 3
    assert world.rows("SELECT problem FROM deployment_schedule WHERE problem IS NOT NULL") == []


def test_unchanged_schedules_keep_their_runs(world: World) -> None:
    schedules = [
        cron("0 * * * *"),
        DeploymentScheduleCreate(
            schedule=IntervalSchedule(interval=1800, anchor_date=datetime(2026, 1, 1, tzinfo=UTC))
        ),
    ]
    before = put(world, schedules=schedules)
    plan(world)
    ids = world.rows("SELECT id FROM flow_run ORDER BY id")
    events = world.events()
    world.clock.advance(5)
    after = put(world, schedules=list(reversed(schedules)))
    assert after == before
    plan(world)
    assert world.rows("SELECT id FROM flow_run ORDER BY id") == ids
    assert world.events() == events


def test_a_changed_deployment_has_its_runs_to_come_made_anew(world: World) -> None:
    id = deploy(world, parameters={"x": 1}, schedules=[cron("* * * * *")])
    plan(world)
    world.clock.advance(100)
    body = DeploymentUpdate(parameters={"x": 2})
    world.write(deployments.update_deployment, id, body=body)
    plan(world)
    rows = world.rows("SELECT parameters, expected_start_time FROM flow_run ORDER BY 2")
    past = [row for row in rows if row["expected_start_time"] <= world.now]
    to_come = [row for row in rows if row["expected_start_time"] > world.now]
    assert {json.decode(row["parameters"])["x"] for row in past} == {1}
    assert {json.decode(row["parameters"])["x"] for row in to_come} == {2}
    found = [row["expected_start_time"] for row in rows]
    assert found == [found[0] + timedelta(minutes=i) for i in range(len(found))]


def test_a_change_that_runs_do_not_see_leaves_them(world: World) -> None:
    id = deploy(world, schedules=[cron()])
    plan(world)
    ids = world.rows("SELECT id FROM flow_run ORDER BY id")
    world.write(deployments.update_deployment, id, body=DeploymentUpdate(description="new"))
    plan(world)
    assert world.rows("SELECT id FROM flow_run ORDER BY id") == ids


def test_a_pause_takes_runs_back_and_an_end_of_it_plans_from_then_on(world: World) -> None:
    id = deploy(world, schedules=[cron("* * * * *")])
    plan(world)
    world.clock.advance(100)
    world.write(deployments.pause_deployment, id)
    assert times(world) == []
    world.clock.advance(3600)
    assert plan(world) == 0
    world.write(deployments.resume_deployment, id)
    plan(world)
    assert times(world)[0] > world.now
    assert world.events("prefect.deployment.") == [
        "prefect.deployment.created",
        "prefect.deployment.updated",
        "prefect.deployment.updated",
    ]


def test_a_run_that_was_claimed_is_not_taken_back(world: World) -> None:
    id = deploy(world, schedules=[cron("* * * * *")])
    plan(world)
    run = world.rows("SELECT id FROM flow_run ORDER BY expected_start_time LIMIT 1")[0]["id"]
    body = SetStateBody(state=StateCreate(type=StateType.PENDING))
    world.write(flow_runs.set_flow_run_state, run, body=body)
    world.write(deployments.pause_deployment, id)
    assert [row["id"] for row in world.rows("SELECT id FROM flow_run")] == [run]
    world.write(deployments.resume_deployment, id)
    plan(world)
    assert len(times(world)) == len(set(times(world))), "the claimed date has its run"


def test_a_run_somebody_asked_for_is_not_taken_back(world: World) -> None:
    id = deploy(world, schedules=[cron()])
    plan(world)
    own = world.flow_run(StateType.SCHEDULED, deployment_id=UUID(id))
    world.write(deployments.pause_deployment, id)
    assert [row["id"] for row in world.rows("SELECT id FROM flow_run")] == [own]


def test_pausing_one_schedule_leaves_the_others(world: World) -> None:
    made = put(world, schedules=[cron("0 * * * *", slug="a"), cron("30 * * * *", slug="b")])
    plan(world)
    schedule = next(one for one in made["schedules"] if one["slug"] == "a")
    off = DeploymentScheduleUpdate(active=False)
    world.write(
        deployment_schedules.update_deployment_schedule, made["id"], schedule["id"], body=off
    )
    plan(world)
    assert {time.minute for time in times(world)} == {30}
    on = DeploymentScheduleUpdate(active=True)
    world.write(
        deployment_schedules.update_deployment_schedule, made["id"], schedule["id"], body=on
    )
    plan(world)
    assert {time.minute for time in times(world)} == {0, 30}


def test_an_inactive_schedule_and_a_paused_deployment_are_not_planned(world: World) -> None:
    deploy(world, "a", schedules=[cron(active=False)])
    deploy(world, "b", paused=True, schedules=[cron()])
    assert plan(world) == 0


def test_a_deleted_schedule_leaves_no_run_to_come(world: World) -> None:
    made = put(world, schedules=[cron("0 * * * *", slug="a"), cron("30 * * * *", slug="b")])
    plan(world)
    for schedule in made["schedules"]:
        if schedule["slug"] == "b":
            world.write(deployment_schedules.delete_deployment_schedule, made["id"], schedule["id"])
    assert {time.minute for time in times(world)} == {0}


def test_deleting_the_flow_deletes_all_of_it(world: World) -> None:
    made = put(world, schedules=[cron()])
    plan(world)
    world.write(flows.delete_flow, made["flow_id"])
    assert world.rows("SELECT id FROM deployment") == []
    assert world.rows("SELECT id FROM deployment_schedule") == []
    assert world.rows("SELECT id FROM flow_run") == []
    assert world.events("prefect.")[-2:] == ["prefect.deployment.deleted", "prefect.flow.deleted"]
    [first, last] = world.rows(
        "SELECT id, caused_by FROM audit WHERE kind IN ('deployment', 'flow')"
        " AND action = 'deleted' ORDER BY seq"
    )
    assert first["caused_by"] == last["id"]


def test_rare_dates_are_planned_when_they_come_near(world: World) -> None:
    deploy(world, schedules=[cron("0 0 1 1 *")])
    assert plan(world) == 0
    [row] = world.rows("SELECT due FROM deployment_schedule")
    assert row["due"] == datetime(2027, 1, 1, tzinfo=UTC) - timedelta(days=100)
    world.clock.advance((row["due"] - world.now).total_seconds())
    assert plan(world) == 1


def test_a_new_schedule_is_planned_in_two_steps(world: World) -> None:
    """The first runs at once, the others within a minute; each date once all the same."""
    horizon = Horizon(first_seconds=180)
    deploy(world, "minutely", schedules=[cron("* * * * *")])
    deploy(world, "daily", schedules=[cron("0 9 * * *")])
    assert plan(world, horizon=horizon) == 4 + 3
    world.clock.advance(60)
    assert plan(world, horizon=horizon) == 58
    found = [time for time in times(world) if time < world.now + 2 * HOUR]
    assert found == [found[0] + timedelta(minutes=i) for i in range(62)]
    assert plan(world, horizon=horizon) == 0
