"""Runs of deployments: made on request, planned, and handed to whoever polls for them."""

from datetime import timedelta
from typing import Any

from penstock.base import json
from penstock.schemas.deployments import (
    DeploymentFlowRunCreate,
    FlowRunBulkCreateResponse,
    FlowRunCreateResult,
    ScheduleDeploymentBody,
    ScheduledFlowRunsBody,
)
from penstock.schemas.errors import ObjectMissing, Refusal, RequestInvalid
from penstock.schemas.flow_runs import FlowRun, FlowRunCreate
from penstock.schemas.states import StateCreate, StateDetails, StateType
from penstock.schemas.work import WorkQueue
from penstock.server.domain.schedules.planning import NEVER, Horizon
from penstock.server.ops import views
from penstock.server.ops.changes import Change, record
from penstock.server.ops.context import Context, Made
from penstock.server.ops.deployment_rows import existing_deployment, locked_deployment, related
from penstock.server.ops.deployment_values import (
    check_job_variables,
    check_parameters_fit,
    hydrated,
)
from penstock.server.ops.flow_runs import put_flow_run
from penstock.server.ops.paging import page_limit
from penstock.server.ops.planning import plan_deployment
from penstock.server.ops.work_queues import existing_queue, queue_of_pool
from penstock.server.ops.work_records import queue_view
from penstock.server.store.transaction import Row, Tx

BULK = 100
"""Runs that one request may make."""
MARK_AGAIN = timedelta(seconds=15)
"""How old the note of the last poll may get before a poll writes it again."""


def create_flow_run_from_deployment(
    tx: Tx, context: Context, id: str, *, body: DeploymentFlowRunCreate
) -> Made[FlowRun]:
    """A run of the deployment, Scheduled for now unless `body` has a state.

    Repeatable by `idempotency_key`, whatever else the repetition says. Refuses parameters that
    cannot be worked out (400) or do not fit the schema (409), job variables that do not fit the
    work pool (422), and a work queue for a deployment without a pool (400).
    """
    deployment = existing_deployment(tx, id)
    flow = {
        "id": deployment["flow_id"],
        "name": deployment["flow_name"],
        "tags": deployment["flow_tags"],
    }
    parameters = hydrated(tx, context, {**json.decode(deployment["parameters"]), **body.parameters})
    enforced = body.enforce_parameter_schema
    if deployment["enforce_parameter_schema"] if enforced is None else enforced:
        check_parameters_fit(deployment, parameters)
    queue = _queue(tx, context, deployment, body)
    if queue["work_pool_name"] is not None:
        pool = tx.one("deployment.pool", queue_id=queue["work_queue_id"])
        if pool is not None:
            check_job_variables(
                pool, deployment["job_variables"], body.job_variables, required=True
            )
    run = FlowRunCreate(
        flow_id=deployment["flow_id"],
        deployment_id=deployment["id"],
        context=body.context,
        empirical_policy=body.empirical_policy,
        idempotency_key=body.idempotency_key,
        infrastructure_document_id=(
            body.infrastructure_document_id or deployment["infrastructure_document_id"]
        ),
        job_variables=body.job_variables,
        labels={**(json.decode(deployment["labels"]) or {}), **(body.labels or {})},
        name=body.name,
        parameters=parameters,
        parent_task_run_id=body.parent_task_run_id,
        state=body.state or _scheduled(tx),
        tags=sorted({*json.decode(deployment["tags"]), *body.tags}),
        work_queue_name=queue["work_queue_name"],
    )
    return put_flow_run(tx, context, flow, run, deployment=deployment, queue=queue)


def _queue(tx: Tx, context: Context, deployment: Row, body: DeploymentFlowRunCreate) -> Row:
    if body.work_queue_name is None or body.work_queue_name == deployment["work_queue_name"]:
        return deployment
    if deployment["work_pool_name"] is None:
        raise Refusal(
            f"deployment {deployment['name']!r} has no work pool, so its run cannot be put into "
            f"the queue {body.work_queue_name!r}; give the deployment a work pool first"
        )
    found = queue_of_pool(tx, context, deployment["work_pool_name"], body.work_queue_name)
    return {**found, "work_queue_name": found["queue_name"]}


def _scheduled(tx: Tx) -> StateCreate:
    return StateCreate(type=StateType.SCHEDULED, state_details=StateDetails(scheduled_time=tx.now))


def bulk_create_flow_runs_from_deployment(
    tx: Tx, context: Context, id: str, *, body: list[DeploymentFlowRunCreate]
) -> FlowRunBulkCreateResponse:
    """Runs of the deployment, one after the other; what is refused keeps none from being made.

    Only refusals that precede any write are answered this way. Takes 1 to 100 runs.
    """
    check_bulk(body)
    existing_deployment(tx, id)
    return FlowRunBulkCreateResponse(
        results=[result_of(_tried(tx, context, id, one)) for one in body]
    )


def _tried(tx: Tx, context: Context, id: str, one: DeploymentFlowRunCreate) -> FlowRun | Refusal:
    try:
        return create_flow_run_from_deployment(tx, context, id, body=one).value
    except Refusal as refusal:
        return refusal


def check_bulk(body: list[DeploymentFlowRunCreate]) -> None:
    if not 1 <= len(body) <= BULK:
        raise RequestInvalid(f"the request holds {len(body)} runs; send 1 to {BULK} at a time")


def result_of(run: FlowRun | BaseException) -> FlowRunCreateResult:
    """The entry of one run in a bulk answer. Raises what is no refusal."""
    if isinstance(run, Refusal):
        return FlowRunCreateResult(status="FAILED", error=run.detail)
    if isinstance(run, BaseException):
        raise run
    return FlowRunCreateResult(status="CREATED", flow_run_id=run.id)


def schedule_deployment(
    tx: Tx, context: Context, id: str, *, body: ScheduleDeploymentBody | None = None
) -> None:
    """Make the runs of the deployment's schedules for a stretch of time, now.

    A date that has its run already gets no other one. A paused deployment gets none.
    """
    body = body or ScheduleDeploymentBody()
    deployment = locked_deployment(tx, id)
    if deployment["paused"]:
        return
    start = body.start_time or tx.now
    usual = Horizon()
    plan_deployment(
        tx,
        id,
        start,
        Horizon(
            min_runs=usual.min_runs if body.min_runs is None else body.min_runs,
            max_runs=usual.max_runs if body.max_runs is None else body.max_runs,
            min_seconds=usual.min_seconds if body.min_time is None else body.min_time,
            end=body.end_time,
        ),
    )


# --- polling -------------------------------------------------------------------------------------


def get_scheduled_flow_runs_for_deployments(
    tx: Tx, context: Context, *, body: ScheduledFlowRunsBody
) -> list[FlowRun]:
    """Scheduled runs of the deployments, the earliest first. Reserves nothing, writes nothing."""
    limit = page_limit(context, body.limit)
    if not body.deployment_ids or not limit:
        return []
    rows = tx.all(
        "deployment.scheduled_runs",
        ids=body.deployment_ids,
        before=body.scheduled_before or NEVER,
        limit=limit,
    )
    return [views.flow_run(row, tx.now) for row in rows]


def work_queue_check_for_deployment(tx: Tx, context: Context, id: str) -> list[WorkQueue]:
    """The queue that the deployment's runs are taken from; empty when there is none."""
    queue = existing_deployment(tx, id)["work_queue_id"]
    return [] if queue is None else [queue_view(existing_queue(tx, queue))]


def unmarked_deployments(tx: Tx, ids: list[Any]) -> list[str]:
    """Those of the polled deployments whose poll is worth a note."""
    if not ids:
        return []
    rows = tx.all("deployment.stale_polls", ids=ids, before=tx.now - MARK_AGAIN)
    return [row["id"] for row in rows]


def mark_deployments_polled(tx: Tx, context: Context, ids: list[Any]) -> int:
    """Note that somebody polls for these deployments; how many became ready by it."""
    before = tx.now - MARK_AGAIN
    marked = tx.all("deployment.to_be_marked", ids=ids, before=before)
    if not marked:
        return 0
    tx.run("deployment.polled", ids=[row["id"] for row in marked], before=before, now=tx.now)
    ready = [row["id"] for row in marked if row["status"] != "READY"]
    for id in ready:
        _record_ready(tx, context, id)
    return len(ready)


def _record_ready(tx: Tx, context: Context, id: str) -> None:
    try:
        row = existing_deployment(tx, id)
    except ObjectMissing:
        return
    change = Change(
        kind="deployment",
        action="ready",
        id=id,
        name=row["name"],
        before={"status": "NOT_READY"},
        after={"status": "READY"},
        related=related(row),
    )
    record(tx, context, change)
