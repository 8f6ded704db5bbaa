"""Deployments in tests: made through the operations, looked at through them."""

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID

from tests.databases import World, wire

from penstock.schemas.deployments import DeploymentCreate, DeploymentScheduleCreate
from penstock.schemas.schedules import CronSchedule
from penstock.server.ops import deployments
from penstock.server.services.scheduler import Scheduler


def deploy(world: World, name: str = "nightly", flow: str = "etl", **fields: Any) -> str:
    """Make or change a deployment through its upsert; its id."""
    return put(world, name, flow, **fields)["id"]


def put(world: World, name: str = "nightly", flow: str = "etl", **fields: Any) -> dict[str, Any]:
    body = DeploymentCreate(flow_id=UUID(world.flow(flow)), name=name, **fields)
    return wire(world.write(deployments.create_deployment, body=body).value)


def cron(expression: str = "0 * * * *", **fields: Any) -> DeploymentScheduleCreate:
    timezone = fields.pop("timezone", None)
    return DeploymentScheduleCreate(
        schedule=CronSchedule(cron=expression, timezone=timezone), **fields
    )


def read(world: World, id: str) -> dict[str, Any]:
    return wire(world.read(deployments.read_deployment, id))


def plan(world: World, **settings: Any) -> int:
    """One round of the scheduler."""
    return asyncio.run(Scheduler(world.store, **settings).run_once(world.now))


def planned(world: World) -> list[tuple[str, datetime]]:
    """Keys and times of all runs that the scheduler made, in order of time."""
    rows = world.rows(
        "SELECT idempotency_key, expected_start_time FROM flow_run WHERE auto_scheduled"
        " ORDER BY expected_start_time, id"
    )
    return [(row["idempotency_key"], row["expected_start_time"]) for row in rows]


def times(world: World) -> list[datetime]:
    return [time for _, time in planned(world)]
