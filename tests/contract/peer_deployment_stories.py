"""Stories of deployments and schedules, told by the peer's own SDK and commands."""

import json
import sys
import traceback
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from peer_cli import prefect
from prefect import flow, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
)
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

STORIES = []


def story(function):
    STORIES.append(function)
    return function


def client():
    return get_client(sync_client=True)


@flow
def etl(x: int = 1, name: str = "a"):
    return x


def deploy(**fields):
    """A new deployment of `etl` through the peer's own objects; its id and its name."""
    name = f"d-{uuid4().hex[:8]}"
    return etl.to_deployment(name, **fields).apply(), name


def scheduled(deployment_id, count=1, seconds=20.0):
    """The runs of a deployment, once there are so many."""
    import time

    end = time.monotonic() + seconds
    while True:
        with client() as api:
            runs = api.read_flow_runs(
                flow_run_filter=FlowRunFilter(
                    deployment_id=FlowRunFilterDeploymentId(any_=[deployment_id])
                )
            )
        if len(runs) >= count:
            return runs
        assert time.monotonic() < end, f"{len(runs)} runs after {seconds} s"
        time.sleep(0.05)


@story
def a_deployment_is_made_and_read_back():
    id, name = deploy(
        cron="0 2 * * *",
        tags=["night"],
        parameters={"x": 2},
        description="words",
        version="7",
        concurrency_limit=ConcurrencyLimitConfig(limit=3, collision_strategy="CANCEL_NEW"),
    )
    with client() as api:
        by_id = api.read_deployment(id)
        by_name = api.read_deployment_by_name(f"etl/{name}")
    assert by_id == by_name
    assert (by_id.tags, by_id.parameters, by_id.description) == (["night"], {"x": 2}, "words")
    assert by_id.version == "7"
    assert by_id.global_concurrency_limit.limit == 3
    assert by_id.concurrency_options.collision_strategy.value == "CANCEL_NEW"
    [only] = by_id.schedules
    assert only.schedule.cron == "0 2 * * *"
    assert set(by_id.parameter_openapi_schema["properties"]) == {"x", "name"}


@story
def deploying_again_keeps_schedules_and_runs():
    deployment = etl.to_deployment(f"d-{uuid4().hex[:8]}", cron="0 * * * *")
    id = deployment.apply()
    before = {run.id for run in scheduled(id, 3)}
    with client() as api:
        schedules = api.read_deployment_schedules(id)
    assert deployment.apply() == id
    with client() as api:
        assert api.read_deployment_schedules(id) == schedules
    assert {run.id for run in scheduled(id, 3)} == before


@story
def runs_are_planned_at_once_and_carry_their_schedule():
    id, _ = deploy(schedules=[IntervalSchedule(interval=timedelta(minutes=30))], tags=["t"])
    runs = scheduled(id, 3)
    assert all(run.state_name == "Scheduled" and run.auto_scheduled for run in runs)
    assert all(run.created_by.type == "SCHEDULE" for run in runs)
    assert all(set(run.tags) == {"t", "auto-scheduled"} for run in runs)
    times = sorted(run.expected_start_time for run in runs)
    assert times[1] - times[0] == timedelta(minutes=30)


@story
def a_pause_takes_runs_back():
    id, _ = deploy(cron="* * * * *")
    scheduled(id, 3)
    with client() as api:
        api.pause_deployment(id)
        assert api.read_deployment(id).paused
        assert (
            api.count_flow_runs(
                flow_run_filter=FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[id]))
            )
            == 0
        )
        api.resume_deployment(id)
    scheduled(id, 3)


@story
def schedules_are_added_changed_and_removed():
    id, _ = deploy()
    with client() as api:
        [made] = api.create_deployment_schedules(
            id, [(RRuleSchedule(rrule="FREQ=DAILY;BYHOUR=5"), True)]
        )
        api.update_deployment_schedule(id, made.id, active=False)
        [changed] = api.read_deployment_schedules(id)
        assert changed.id == made.id and not changed.active
        assert "FREQ=DAILY" in changed.schedule.rrule
        api.delete_deployment_schedule(id, made.id)
        assert api.read_deployment_schedules(id) == []


@story
def schedules_merge_by_slug():
    id, _ = deploy()
    cron = CronSchedule(cron="0 1 * * *")
    with client() as api:
        api.create_deployment_schedules(id, [DeploymentScheduleCreate(schedule=cron, slug="a")])
        [before] = api.read_deployment_schedules(id)
        changed = CronSchedule(cron="0 2 * * *")
        api.update_deployment(
            id,
            DeploymentUpdate(
                schedules=[
                    {"slug": "a", "schedule": changed},
                    {"slug": "b", "schedule": cron},
                ]
            ),
        )
        after = {one.slug: one for one in api.read_deployment_schedules(id)}
    assert set(after) == {"a", "b"}
    assert after["a"].id == before.id
    assert after["a"].schedule.cron == "0 2 * * *"


@story
def a_run_is_made_of_the_deployment():
    id, _ = deploy(parameters={"x": 2}, tags=["night"])
    with client() as api:
        run = api.create_flow_run_from_deployment(
            id, parameters={"name": "b"}, tags=["extra"], idempotency_key="once", name="named"
        )
        again = api.create_flow_run_from_deployment(id, idempotency_key="once")
        assert (run.parameters, set(run.tags)) == ({"x": 2, "name": "b"}, {"night", "extra"})
        assert (run.id, run.name, run.state.name) == (again.id, "named", "Scheduled")
        assert run.deployment_id == id
        try:
            api.create_flow_run_from_deployment(id, parameters={"x": "many"})
        except PrefectHTTPStatusError as error:
            assert error.response.status_code == 409
        else:
            raise AssertionError("parameters that do not fit were taken")
        due = api.get_scheduled_flow_runs_for_deployments(
            [id], scheduled_before=datetime.now(UTC) + timedelta(seconds=10)
        )
        assert [one.id for one in due] == [run.id]
        assert api.read_deployment(id).status.value == "READY"


@story
def deployments_are_found_by_filters():
    tag = uuid4().hex
    id, _ = deploy(tags=[tag])
    with client() as api:
        found = api.read_deployments(
            deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[tag]))
        )
        assert [one.id for one in found] == [id]
        none = api.read_deployments(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[uuid4()]))
        )
        assert none == []


@story
def a_deleted_deployment_is_gone():
    id, name = deploy(cron="* * * * *", concurrency_limit=2)
    scheduled(id, 3)
    with client() as api:
        api.delete_deployment(id)
        for read in (
            lambda: api.read_deployment(id),
            lambda: api.read_deployment_by_name(f"etl/{name}"),
        ):
            try:
                read()
            except ObjectNotFound:
                continue
            raise AssertionError("the deployment can still be read")
        assert api.read_global_concurrency_limits(limit=200, offset=0) == [] or all(
            str(id) not in one.name
            for one in api.read_global_concurrency_limits(limit=200, offset=0)
        )


@story
def the_peers_commands():
    id, name = deploy(cron="0 3 * * *", parameters={"x": 4})
    full = f"etl/{name}"
    assert full in prefect("deployment", "ls")
    prefect("deployment", "schedule", "create", full, "--interval", "3600")
    listed = prefect("deployment", "schedule", "ls", full)
    assert "cron: 0 3 * * *" in listed and "interval: 1:00:00s" in listed
    with client() as api:
        schedule = api.read_deployment_schedules(id)[0]
    prefect("deployment", "schedule", "pause", full, str(schedule.id))
    assert "False" in prefect("deployment", "schedule", "ls", full)
    prefect("deployment", "schedule", "resume", full, str(schedule.id))
    assert "False" not in prefect("deployment", "schedule", "ls", full)
    printed = prefect("deployment", "run", full, "-p", "x=5", "--start-in", "10 minutes")
    assert "{'x': 5}" in printed
    assert "available on the deployment" in prefect(
        "deployment", "run", full, "-p", "unknown=5", code=1
    )
    prefect("deployment", "schedule", "clear", full, "-y")
    assert "cron" not in prefect("deployment", "schedule", "ls", full)
    prefect("deployment", "delete", full)
    assert full not in prefect("deployment", "ls")


def main():
    wanted = set(sys.argv[1:])
    for function in STORIES:
        if wanted and function.__name__ not in wanted:
            continue
        problem = None
        try:
            function()
        except BaseException:
            problem = traceback.format_exc()
        print(json.dumps({"story": function.__name__, "problem": problem}), flush=True)


if __name__ == "__main__":
    main()
