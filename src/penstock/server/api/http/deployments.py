"""Operations on deployments that take more, or less, than one writing transaction."""

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from penstock.schemas.deployments import FlowRunBulkCreateResponse
from penstock.server.api.adapter import Call, Handler
from penstock.server.ops import deployment_runs, deployment_schedules, deployments


def _checking(op: Callable[..., Any], schedules_of: Callable[[Any], Any]) -> Handler:
    """A handler that checks the schedules of a body before it takes the one writer's time."""

    async def handle(call: Call) -> Any:
        schedules = schedules_of(call.body)
        if schedules:
            await asyncio.to_thread(deployment_schedules.check_schedules, schedules)
        return await call.edge.store.write(op, call.context, *call.params, body=call.body)

    return handle


def _members(body: Any) -> Any:
    return () if body.schedules is UNSET else body.schedules


async def bulk_create_flow_runs_from_deployment(call: Call) -> Any:
    """Each run in a transaction of its own, so that none undoes another."""
    store = call.edge.store
    (id,) = call.params
    deployment_runs.check_bulk(call.body)
    await store.read(deployments.read_deployment, call.context, id)
    outcomes = await asyncio.gather(
        *(
            store.write(deployment_runs.create_flow_run_from_deployment, call.context, id, body=one)
            for one in call.body
        ),
        return_exceptions=True,
    )
    return FlowRunBulkCreateResponse(
        results=[
            deployment_runs.result_of(
                outcome if isinstance(outcome, BaseException) else outcome.value
            )
            for outcome in outcomes
        ]
    )


async def get_scheduled_flow_runs_for_deployments(call: Call) -> Any:
    """Reads, and writes only where it is time to note that somebody polls."""
    store = call.edge.store
    runs = await store.read(
        deployment_runs.get_scheduled_flow_runs_for_deployments, call.context, body=call.body
    )
    ids = await store.read(deployment_runs.unmarked_deployments, call.body.deployment_ids)
    if ids:
        await store.write(deployment_runs.mark_deployments_polled, call.context, ids)
    return runs


HANDLERS: dict[str, Handler] = {
    "create_deployment": _checking(deployments.create_deployment, _members),
    "update_deployment": _checking(deployments.update_deployment, _members),
    "create_deployment_schedules": _checking(
        deployment_schedules.create_deployment_schedules, lambda body: body
    ),
    "update_deployment_schedule": _checking(
        deployment_schedules.update_deployment_schedule, lambda body: [body]
    ),
    "bulk_create_flow_runs_from_deployment": bulk_create_flow_runs_from_deployment,
    "get_scheduled_flow_runs_for_deployments": get_scheduled_flow_runs_for_deployments,
}
