"""`run_deployment`: start a run of a deployment from code, and wait for it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from penstock.base.clock import utc_now
from penstock.base.dual import Steps, dual
from penstock.base.ids import uuid7
from penstock.base.run_context import current_run, current_tags
from penstock.flow_runs import wait_steps
from penstock.schemas.deployments import Deployment, DeploymentFlowRunCreate
from penstock.schemas.errors import FlowRunWaitTimeout
from penstock.schemas.flow_runs import FlowRun
from penstock.schemas.states import StateCreate, StateDetails, StateType
from penstock.schemas.task_runs import TaskRun, TaskRunCreate
from penstock.steps import Request


def _run_deployment(
    name: str | UUID,
    client: Any = None,
    parameters: dict[str, Any] | None = None,
    scheduled_time: datetime | None = None,
    flow_run_name: str | None = None,
    timeout: float | None = None,
    poll_interval: float | None = 5,
    tags: Iterable[str] | None = None,
    idempotency_key: str | None = None,
    work_queue_name: str | None = None,
    as_subflow: bool | None = True,
    job_variables: dict[str, Any] | None = None,
) -> Steps[FlowRun]:
    """Start a run of the deployment and wait until it is final; the run.

    The deployment is named by its id or as `<flow>/<deployment>`. `timeout` seconds are waited at
    most (None: without end, 0: not at all), then the run is returned as it is. Its end is heard of
    as it happens (`poll_interval` is accepted and not needed). Inside a flow it is a subflow,
    unless `as_subflow` is false. Raises `ValueError` for a negative timeout.
    """
    if timeout is not None and timeout < 0:
        raise ValueError(f"the timeout is {timeout} and cannot be negative; 0 means not to wait")
    deployment = yield from _deployment(name, client)
    stand_in = None
    if as_subflow:
        stand_in = yield from _stand_in(deployment, client)
    body = DeploymentFlowRunCreate(
        parameters=parameters or {},
        state=StateCreate(
            type=StateType.SCHEDULED,
            state_details=StateDetails(scheduled_time=scheduled_time or utc_now()),
        ),
        name=flow_run_name,
        tags=sorted({*(tags or ()), *current_tags.get()}),
        idempotency_key=idempotency_key or (str(stand_in.id) if stand_in is not None else None),
        parent_task_run_id=stand_in.id if stand_in is not None else None,
        work_queue_name=work_queue_name,
        job_variables=job_variables,
    )
    run: FlowRun = yield Request(
        "create_flow_run_from_deployment", deployment.id, body=body, client=client
    )
    if timeout == 0:
        return run
    try:
        return (yield from wait_steps(run.id, timeout, None, client))
    except FlowRunWaitTimeout:
        return (yield Request("read_flow_run", run.id, client=client))


run_deployment, arun_deployment = dual(_run_deployment)


def _deployment(name: str | UUID, client: Any) -> Steps[Deployment]:
    """Raises `ValueError` for a name of another form, `ObjectNotFound` when there is none."""
    try:
        id = name if isinstance(name, UUID) else UUID(name)
    except ValueError:
        flow, slash, deployment = str(name).partition("/")
        if not (flow and slash and deployment):
            raise ValueError(
                f"{name!r} names no deployment; write <flow>/<deployment> or give its id"
            ) from None
        return (yield Request("read_deployment_by_name", flow, deployment, client=client))
    return (yield Request("read_deployment", id, client=client))


def _stand_in(deployment: Deployment, client: Any) -> Steps[TaskRun | None]:
    """The task run that stands for the new run in the flow that is running here, if one is."""
    outer = current_run.get()
    parent = outer.flow_context if outer is not None else None
    if parent is None or parent.flow_run is None:
        return None
    flow_name = deployment.name
    key = f"{flow_name}-{uuid7()}"
    return (
        yield Request(
            "create_task_run",
            body=TaskRunCreate(
                name=flow_name,
                flow_run_id=parent.flow_run.id,
                task_key=f"deployment.{deployment.id}",
                dynamic_key=key,
                tags=sorted(current_tags.get()),
                state=StateCreate(type=StateType.PENDING, id=uuid7()),
            ),
            client=client,
        )
    )
