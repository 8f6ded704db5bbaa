"""Actions that change the server's own objects, through the operations everybody else uses."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

from penstock.schemas.automations import (
    Action,
    AutomationPartialUpdate,
    CancelFlowRun,
    ChangeFlowRunState,
    DeleteFlowRun,
    PauseAutomation,
    PauseDeployment,
    PauseWorkPool,
    PauseWorkQueue,
    ResumeAutomation,
    ResumeDeployment,
    ResumeFlowRun,
    ResumeWorkPool,
    ResumeWorkQueue,
    RunDeployment,
    SuspendFlowRun,
)
from penstock.schemas.deployments import DeploymentFlowRunCreate
from penstock.schemas.errors import ObjectConflict, ObjectMissing, Refusal, ServiceUnavailable
from penstock.schemas.states import (
    OrchestrationResult,
    SetStateBody,
    SetStateStatus,
    StateCreate,
    StateDetails,
    StateType,
)
from penstock.schemas.work import WorkPoolUpdate, WorkQueueUpdate
from penstock.server.domain.targets import KINDS, inferred, target_resource
from penstock.server.ops import (
    automations,
    deployment_runs,
    deployments,
    flow_runs,
    resume,
    transition,
    work_pools,
    work_queues,
)
from penstock.server.ops.actions import (
    ActionFailed,
    Outcome,
    Task,
    conclude,
    context_of,
    holds,
    settle,
)
from penstock.server.ops.context import Context
from penstock.server.store.transaction import Tx

SUSPENDED_SECONDS = 3600.0

Perform = Callable[[Tx, Context, Task, Any], Outcome]


def carry_out(tx: Tx, context: Context, task: Task, parameters: Any = None) -> bool:
    """Do it and write the outcome, in one transaction: it takes effect once or not at all.

    `parameters` are those of a run of a deployment, rendered. Raises `ActionFailed` and what the
    operations raise; nothing was changed then.
    """
    if not holds(tx, task):
        return False
    perform = _PERFORM[type(task.command)]
    outcome = perform(tx, context_of(context, task), task, parameters)
    settle(tx, [(task, outcome)])
    return True


def fail(tx: Tx, context: Context, task: Task, error: Exception) -> bool:
    """Write the outcome of an action that raised `error`."""
    details: dict[str, Any] = error.details if isinstance(error, ActionFailed) else {}
    if isinstance(error, Refusal):
        details = {"status_code": error.status}
        if isinstance(error, ObjectConflict):
            details["validation_error"] = error.detail
    touched = _touched(task)
    outcome = Outcome(
        status="failed", reason=reason_of(task.command, error), details=details, touched=touched
    )
    return conclude(tx, context, task, outcome)


def reason_of(command: Action, error: Exception) -> str:
    """Why an action failed, as its event says."""
    if not isinstance(error, Refusal):
        return str(error)
    if isinstance(command, RunDeployment):
        if isinstance(error, ObjectConflict):
            return f"Validation error occurred for 'run-deployment' - {error.detail}"
        if not isinstance(error, ObjectMissing):
            return f"Unable to create flow run from deployment: {error.detail}"
    kind = command.__struct_config__.tag
    return f"Unexpected status from '{kind}' action: {error.status}: {error.detail}"


def is_transient(error: Exception) -> bool:
    """Whether another try may succeed."""
    return isinstance(error, ServiceUnavailable)


# --- targets -------------------------------------------------------------------------------------


def target(task: Task, kind: str) -> str:
    """The id of the object that the action is about. Raises `ActionFailed`."""
    member = next((name for name, found in KINDS.items() if found == kind), None)
    selected = getattr(task.command, member, None) if member is not None else None
    if selected is not None:
        return str(selected)
    event = task.event
    found = inferred(kind, event.resource, event.related, task.labels) if event else None
    if found is None:
        raise ActionFailed(f"No {kind.replace('-', ' ')} could be inferred")
    return found


def _touched(task: Task) -> list[Any]:
    """What a failed action was meant to touch, as far as it is known."""
    kind = _KINDS.get(type(task.command), "flow-run")
    try:
        return [target_resource(kind, target(task, kind))]
    except ActionFailed:
        return []


# --- deployments ---------------------------------------------------------------------------------


def _run_deployment(tx: Tx, context: Context, task: Task, parameters: Any) -> Outcome:
    command = cast(RunDeployment, task.command)
    id = target(task, "deployment")
    after = timedelta(seconds=float(command.schedule_after))
    details = StateDetails(scheduled_time=tx.now + after)
    made = deployment_runs.create_flow_run_from_deployment(
        tx,
        context,
        id,
        body=DeploymentFlowRunCreate(
            state=StateCreate(type=StateType.SCHEDULED, state_details=details),
            parameters=parameters or {},
            job_variables=command.job_variables,
            idempotency_key=(
                f"automation {task.automation_id}, action {task.place}, "
                f"invocation {task.invocation}"
            ),
        ),
    )
    run = made.value
    return Outcome(
        details={"status_code": 201 if made.created else 200},
        touched=[
            target_resource("deployment", id),
            {
                "prefect.resource.id": f"prefect.flow-run.{run.id}",
                "prefect.resource.role": "flow-run",
                "prefect.resource.name": run.name,
            },
        ],
        flow_run_id=str(run.id),
    )


def _pause_deployment(tx: Tx, context: Context, task: Task, _: Any) -> Outcome:
    id = target(task, "deployment")
    change = (
        deployments.pause_deployment
        if isinstance(task.command, PauseDeployment)
        else deployments.resume_deployment
    )
    change(tx, context, id)
    return _done("deployment", id)


# --- flow runs -----------------------------------------------------------------------------------


def _set_state(tx: Tx, context: Context, task: Task, state: StateCreate, force: bool) -> Outcome:
    id = target(task, "flow-run")
    body = SetStateBody(state=state, force=force)
    made = transition.set_flow_run_state(tx, context, id, body=body)
    return _accepted(id, made.value, "Failed to set state", 201 if made.created else 200)


def _accepted(id: str, result: OrchestrationResult, failed: str, status: int) -> Outcome:
    if result.status != SetStateStatus.ACCEPT:
        told = getattr(result.details, "reason", None) or result.status
        raise ActionFailed(f"{failed}: {told}", {"status_code": status})
    return _done("flow-run", id, status)


def _cancel(tx: Tx, context: Context, task: Task, _: Any) -> Outcome:
    message = f"Cancelled by Automation {task.automation_id}"
    state = StateCreate(type=StateType.CANCELLING, message=message)
    return _set_state(tx, context, task, state, False)


def _suspend(tx: Tx, context: Context, task: Task, _: Any) -> Outcome:
    details = StateDetails(
        pause_timeout=tx.now + timedelta(seconds=SUSPENDED_SECONDS), pause_reschedule=True
    )
    state = StateCreate(
        type=StateType.PAUSED,
        name="Suspended",
        message=f"Suspended by Automation {task.automation_id}",
        state_details=details,
    )
    return _set_state(tx, context, task, state, False)


def _change_state(tx: Tx, context: Context, task: Task, _: Any) -> Outcome:
    command = cast(ChangeFlowRunState, task.command)
    state = StateCreate(
        type=command.state,
        name=command.name,
        message=command.message or f"State changed by Automation {task.automation_id}",
    )
    return _set_state(tx, context, task, state, command.force)


def _resume(tx: Tx, context: Context, task: Task, _: Any) -> Outcome:
    id = target(task, "flow-run")
    made = resume.resume_flow_run(tx, context, id)
    return _accepted(id, made.value, "Failed to resume flow run", 201 if made.created else 200)


def _delete(tx: Tx, context: Context, task: Task, _: Any) -> Outcome:
    id = target(task, "flow-run")
    flow_runs.delete_flow_run(tx, context, id)
    return _done("flow-run", id, 204)


# --- pools, queues, automations ------------------------------------------------------------------


def _pause_pool(tx: Tx, context: Context, task: Task, _: Any) -> Outcome:
    id = target(task, "work-pool")
    row = tx.one("work_pool.get", id=id)
    if row is None:
        raise ActionFailed(f"Work pool {id} not found")
    body = WorkPoolUpdate(is_paused=isinstance(task.command, PauseWorkPool))
    work_pools.update_work_pool(tx, context, row["name"], body=body)
    return Outcome(
        details={"status_code": 204}, touched=[target_resource("work-pool", id, row["name"])]
    )


def _pause_queue(tx: Tx, context: Context, task: Task, _: Any) -> Outcome:
    id = target(task, "work-queue")
    body = WorkQueueUpdate(is_paused=isinstance(task.command, PauseWorkQueue))
    work_queues.update_work_queue(tx, context, id, body=body)
    return _done("work-queue", id, 204)


def _pause_automation(tx: Tx, context: Context, task: Task, _: Any) -> Outcome:
    id = target(task, "automation")
    body = AutomationPartialUpdate(enabled=isinstance(task.command, ResumeAutomation))
    automations.patch_automation(tx, context, id, body=body)
    return _done("automation", id, 204)


def _done(kind: str, id: str, status: int = 200) -> Outcome:
    return Outcome(details={"status_code": status}, touched=[target_resource(kind, id)])


_PERFORM: dict[type[Any], Perform] = {
    RunDeployment: _run_deployment,
    PauseDeployment: _pause_deployment,
    ResumeDeployment: _pause_deployment,
    CancelFlowRun: _cancel,
    SuspendFlowRun: _suspend,
    ResumeFlowRun: _resume,
    ChangeFlowRunState: _change_state,
    DeleteFlowRun: _delete,
    PauseWorkPool: _pause_pool,
    ResumeWorkPool: _pause_pool,
    PauseWorkQueue: _pause_queue,
    ResumeWorkQueue: _pause_queue,
    PauseAutomation: _pause_automation,
    ResumeAutomation: _pause_automation,
}
_KINDS: dict[type[Any], str] = {
    RunDeployment: "deployment",
    PauseDeployment: "deployment",
    ResumeDeployment: "deployment",
    PauseWorkPool: "work-pool",
    ResumeWorkPool: "work-pool",
    PauseWorkQueue: "work-queue",
    ResumeWorkQueue: "work-queue",
    PauseAutomation: "automation",
    ResumeAutomation: "automation",
}
