"""Deployments that run in a work pool: queues, job variables, what events relate."""

from typing import Any

import pytest
from tests.databases import World, wire
from tests.deployments import cron, deploy, plan, put, read

from penstock.base import json
from penstock.schemas.deployments import DeploymentFlowRunCreate, DeploymentUpdate
from penstock.schemas.errors import RequestInvalid
from penstock.schemas.work import WorkPoolCreate
from penstock.server.ops import deployment_runs, deployments, work_pools

TEMPLATE = {
    "job_configuration": {"image": "{{ image }}", "cpu": "{{ cpu }}"},
    "variables": {
        "type": "object",
        "properties": {"image": {"type": "string"}, "cpu": {"type": "integer", "default": 1}},
        "required": ["image"],
    },
}


@pytest.fixture(autouse=True)
def pool(world: World) -> None:
    body = WorkPoolCreate(name="docker", type="docker", base_job_template=TEMPLATE)
    world.write(work_pools.create_work_pool, body=body)


def run(world: World, id: str, **fields: Any) -> dict[str, Any]:
    body = DeploymentFlowRunCreate(**fields)
    return wire(world.write(deployment_runs.create_flow_run_from_deployment, id, body=body).value)


def test_the_default_queue_unless_one_is_named(world: World) -> None:
    one = put(world, work_pool_name="docker")
    assert (one["work_pool_name"], one["work_queue_name"]) == ("docker", "default")
    two = put(world, "two", work_pool_name="docker", work_queue_name="fast")
    assert (two["work_queue_name"], two["work_pool_name"]) == ("fast", "docker")
    assert two["work_queue_id"] not in (None, one["work_queue_id"])
    check = world.read(deployment_runs.work_queue_check_for_deployment, two["id"])
    assert [queue["name"] for queue in wire(check)] == ["fast"]
    world.write(
        deployments.update_deployment, two["id"], body=DeploymentUpdate(work_pool_name=None)
    )
    cleared = read(world, two["id"])
    assert (cleared["work_pool_name"], cleared["work_queue_id"]) == (None, None)
    assert world.read(deployment_runs.work_queue_check_for_deployment, two["id"]) == []


def test_events_relate_queue_and_pool(world: World) -> None:
    put(world, work_pool_name="docker")
    [event] = world.rows("SELECT related FROM event WHERE event = 'prefect.deployment.created'")
    related = {one["prefect.resource.role"]: one for one in json.decode(event["related"])}
    assert related["work-queue"]["prefect.resource.name"] == "default"
    assert related["work-pool"]["prefect.resource.name"] == "docker"
    assert related["work-pool"]["prefect.work-pool.type"] == "docker"


def test_job_variables_must_fit_the_pool(world: World) -> None:
    with pytest.raises(RequestInvalid, match=r"\$\.cpu"):
        put(world, work_pool_name="docker", job_variables={"cpu": "many"})
    id = deploy(world, work_pool_name="docker", job_variables={"cpu": 2})
    with pytest.raises(RequestInvalid, match=r"\$\.cpu"):
        body = DeploymentUpdate(job_variables={"cpu": "many"})
        world.write(deployments.update_deployment, id, body=body)
    with pytest.raises(RequestInvalid, match="'image' is a required property"):
        run(world, id)
    made = run(world, id, job_variables={"image": "{{ prefect.variables.image }}", "cpu": 4})
    assert made["job_variables"]["cpu"] == 4
    assert made["work_queue_name"] == "default"


def test_a_run_in_another_queue(world: World) -> None:
    id = deploy(world, work_pool_name="docker", job_variables={"image": "a"})
    made = run(world, id, work_queue_name="fast")
    assert made["work_queue_name"] == "fast"
    assert made["work_queue_id"] != read(world, id)["work_queue_id"]


def test_planned_runs_follow_their_deployment_into_another_queue(world: World) -> None:
    id = deploy(world, work_pool_name="docker", schedules=[cron()])
    plan(world)
    body = DeploymentUpdate(work_pool_name="docker", work_queue_name="fast")
    world.write(deployments.update_deployment, id, body=body)
    plan(world)
    rows = world.rows("SELECT DISTINCT work_queue_name FROM flow_run")
    assert [row["work_queue_name"] for row in rows] == ["fast"]
