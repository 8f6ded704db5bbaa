"""The client's methods whose shape differs from the bare operation, written once.

Each function turns arguments into a `Call`, or is a generator of calls. The classes in
`generated.py` have one method for each of them and one for every other operation of the table;
`scripts/generate_client.py` writes that file.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from math import ceil
from typing import Any, TypeVar, cast
from uuid import UUID

from msgspec import UNSET

from penstock.base.ids import uuid7
from penstock.client.calls import Call, Steps, as_uuid, unset_if_none
from penstock.schemas.admin import ServerDefaultResultStorage, ServerDefaultResultStorageUpdate
from penstock.schemas.artifacts import (
    Artifact,
    ArtifactCollection,
    ArtifactCollectionFilter,
    ArtifactCollectionSort,
    ArtifactCreate,
    ArtifactFilter,
    ArtifactsFilterPage,
    ArtifactSort,
    ArtifactUpdate,
    LatestArtifactsFilterPage,
)
from penstock.schemas.automations import (
    Automation,
    AutomationCreate,
    AutomationFilter,
    AutomationPartialUpdate,
    AutomationsFilterPage,
    AutomationSort,
    AutomationUpdate,
)
from penstock.schemas.deployments import (
    ConcurrencyOptions,
    Deployment,
    DeploymentCreate,
    DeploymentFlowRunCreate,
    DeploymentSchedule,
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
    DeploymentsFilterPage,
    DeploymentSort,
    DeploymentUpdate,
    ScheduledFlowRunsBody,
    VersionInfo,
)
from penstock.schemas.errors import ObjectAlreadyExists, ObjectNotFound
from penstock.schemas.events import Event, EventFilter, EventPage, EventsFilterBody
from penstock.schemas.filters import (
    AnyTextFilter,
    DeploymentFilter,
    FlowFilter,
    FlowRunFilter,
    TaskRunFilter,
    WorkPoolFilter,
    WorkQueueFilter,
    WorkQueueFilterName,
)
from penstock.schemas.flow_runs import (
    FlowRun,
    FlowRunBegin,
    FlowRunCreate,
    FlowRunInput,
    FlowRunInputCreate,
    FlowRunInputFilter,
    FlowRunPolicy,
    FlowRunResumeBody,
    FlowRunsFilterBody,
    FlowRunsFilterPage,
    FlowRunSort,
    FlowRunUpdate,
)
from penstock.schemas.flows import Flow, FlowCreate, FlowsFilterPage, FlowSort
from penstock.schemas.limits import (
    ConcurrencyLeaseHolder,
    ConcurrencyLimit,
    ConcurrencyLimitCreate,
    ConcurrencyLimitsPage,
    ConcurrencyLimitV2Create,
    ConcurrencyLimitV2Update,
    ConcurrencyLimitWithLeaseResponse,
    GlobalConcurrencyLimitResponse,
    LeaseRelease,
    LeaseRenewal,
    MinimalConcurrencyLimitResponse,
    Mode,
    SlotsDecrement,
    SlotsIncrement,
    SlotsIncrementWithLease,
    TaggedSlotsDecrement,
    TaggedSlotsIncrement,
    TaggedSlotsReset,
)
from penstock.schemas.logs import Log, LogCreate, LogFilter, LogsFilterPage, LogSort
from penstock.schemas.schedules import AnySchedule
from penstock.schemas.states import OrchestrationResult, SetStateBody, State, StateCreate
from penstock.schemas.task_runs import (
    TaskInput,
    TaskRun,
    TaskRunCreate,
    TaskRunPolicy,
    TaskRunsFilterPage,
    TaskRunSort,
    TaskRunUpdate,
)
from penstock.schemas.variables import (
    Variable,
    VariableCreate,
    VariablesFilterPage,
    VariableUpdate,
)
from penstock.schemas.work import (
    PollBody,
    Worker,
    WorkerFilter,
    WorkerFlowRun,
    WorkerHeartbeat,
    WorkersPage,
    WorkPool,
    WorkPoolConcurrencyStatus,
    WorkPoolConcurrencyStatusBody,
    WorkPoolCreate,
    WorkPoolsPage,
    WorkPoolUpdate,
    WorkQueue,
    WorkQueueConcurrencyStatus,
    WorkQueueConcurrencyStatusBody,
    WorkQueueCreate,
    WorkQueueRunsBody,
    WorkQueuesPage,
    WorkQueueStatusDetail,
    WorkQueueUpdate,
)

_PAGE = 200
E = TypeVar("E")
Labels = Mapping[str, bool | int | float | str]


def proposal(state: State | StateCreate) -> StateCreate:
    """The state as it is sent: without live data, with its id, so that a repeated request is
    answered as the first one was."""
    if isinstance(state, StateCreate):
        return state
    data = getattr(state.data, "metadata", state.data)
    return StateCreate(
        id=state.id,
        type=state.type,
        name=state.name,
        message=state.message,
        data=data,
        state_details=state.state_details,
        timestamp=state.timestamp,
    )


def _given(state: State | StateCreate | None) -> StateCreate | None:
    return None if state is None else proposal(state)


# --- flows ---------------------------------------------------------------------------------------


def create_flow(flow: Any) -> Steps[UUID]:
    """Make the flow (an object with a `name`) known; returns its id."""
    return (yield from create_flow_from_name(flow.name))


def create_flow_from_name(flow_name: str) -> Steps[UUID]:
    flow: Flow = yield Call("create_flow", body=FlowCreate(name=flow_name))
    return flow.id


def read_flow(flow_id: UUID | str) -> Call[Flow]:
    return Call("read_flow", (flow_id,))


def read_flow_by_name(flow_name: str) -> Call[Flow]:
    return Call("read_flow_by_name", (flow_name,))


def delete_flow(flow_id: UUID | str) -> Call[None]:
    return Call("delete_flow", (flow_id,))


def read_flows(
    *,
    flow_filter: FlowFilter | None = None,
    flow_run_filter: FlowRunFilter | None = None,
    task_run_filter: TaskRunFilter | None = None,
    deployment_filter: DeploymentFilter | None = None,
    work_pool_filter: WorkPoolFilter | None = None,
    sort: FlowSort | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> Call[list[Flow]]:
    body = FlowsFilterPage(
        flows=flow_filter,
        flow_runs=flow_run_filter,
        task_runs=task_run_filter,
        deployments=deployment_filter,
        work_pools=work_pool_filter,
        sort=sort or FlowSort.NAME_ASC,
        limit=limit,
        offset=offset,
    )
    return Call("read_flows", body=body)


# --- flow runs -----------------------------------------------------------------------------------


def create_flow_run(
    flow: Any,
    name: str | None = None,
    parameters: dict[str, Any] | None = None,
    context: dict[str, Any] | None = None,
    tags: Iterable[str] | None = None,
    parent_task_run_id: UUID | None = None,
    state: State | StateCreate | None = None,
    work_pool_name: str | None = None,
    work_queue_name: str | None = None,
    job_variables: dict[str, Any] | None = None,
    id: UUID | None = None,
) -> Steps[FlowRun]:
    """Create a run of `flow` (an object with `name`, and optionally `version`, `retries`,
    `retry_delay_seconds`), and the flow when it is new. Parameters must be JSON values. On a
    server that announces it this is one request, else two."""
    run = FlowRunCreate(
        id=id or uuid7(),
        flow_id=UUID(int=0),
        name=name or "",
        flow_version=getattr(flow, "version", None),
        parameters=parameters or {},
        context=context or {},
        tags=list(tags or ()),
        parent_task_run_id=parent_task_run_id,
        state=_given(state),
        work_pool_name=work_pool_name,
        work_queue_name=work_queue_name,
        job_variables=job_variables,
        empirical_policy=FlowRunPolicy(
            retries=getattr(flow, "retries", None),
            retry_delay=int(getattr(flow, "retry_delay_seconds", None) or 0),
        ),
    )
    begin = FlowRunBegin(flow=FlowCreate(name=flow.name), run=run)
    return (yield Call("begin_flow_run", body=begin))


def begin_flow_run(body: FlowRunBegin) -> Call[FlowRun]:
    """Create flow, run and first state: one request where the server announces it, else two."""
    return Call("begin_flow_run", body=body)


def read_flow_run(flow_run_id: UUID | str) -> Call[FlowRun]:
    return Call("read_flow_run", (flow_run_id,))


def update_flow_run(
    flow_run_id: UUID | str,
    flow_version: str | None = None,
    parameters: dict[str, Any] | None = None,
    name: str | None = None,
    tags: Iterable[str] | None = None,
    empirical_policy: FlowRunPolicy | None = None,
    infrastructure_pid: str | None = None,
    job_variables: dict[str, Any] | None = None,
) -> Call[None]:
    """Change the given fields; None leaves a field as it is."""
    body = FlowRunUpdate(
        flow_version=unset_if_none(flow_version),
        parameters=unset_if_none(parameters),
        name=unset_if_none(name),
        tags=UNSET if tags is None else list(tags),
        empirical_policy=unset_if_none(empirical_policy),
        infrastructure_pid=unset_if_none(infrastructure_pid),
        job_variables=unset_if_none(job_variables),
    )
    return Call("update_flow_run", (flow_run_id,), body)


def set_flow_run_name(flow_run_id: UUID | str, name: str) -> Call[None]:
    return Call("update_flow_run", (flow_run_id,), FlowRunUpdate(name=name))


def update_flow_run_labels(flow_run_id: UUID | str, labels: Labels) -> Call[None]:
    return Call("update_flow_run_labels", (flow_run_id,), dict(labels))


def delete_flow_run(flow_run_id: UUID | str) -> Call[None]:
    return Call("delete_flow_run", (flow_run_id,))


def set_flow_run_state(
    flow_run_id: UUID | str, state: State | StateCreate, force: bool = False
) -> Call[OrchestrationResult]:
    """Propose `state`; `force` asks the server to skip its rules."""
    body = SetStateBody(state=proposal(state), force=force)
    return Call("set_flow_run_state", (flow_run_id,), body)


def resume_flow_run(
    flow_run_id: UUID | str, run_input: dict[str, Any] | None = None
) -> Call[OrchestrationResult]:
    return Call("resume_flow_run", (flow_run_id,), FlowRunResumeBody(run_input=run_input))


def read_flow_run_states(flow_run_id: UUID | str) -> Call[list[State]]:
    return Call("read_flow_run_states", query={"flow_run_id": as_uuid(flow_run_id)})


def read_flow_runs(
    *,
    flow_filter: FlowFilter | None = None,
    flow_run_filter: FlowRunFilter | None = None,
    task_run_filter: TaskRunFilter | None = None,
    deployment_filter: DeploymentFilter | None = None,
    work_pool_filter: WorkPoolFilter | None = None,
    work_queue_filter: WorkQueueFilter | None = None,
    sort: FlowRunSort | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> Call[list[FlowRun]]:
    body = FlowRunsFilterPage(
        flows=flow_filter,
        flow_runs=flow_run_filter,
        task_runs=task_run_filter,
        deployments=deployment_filter,
        work_pools=work_pool_filter,
        work_pool_queues=work_queue_filter,
        sort=sort or FlowRunSort.ID_DESC,
        limit=limit,
        offset=offset,
    )
    return Call("read_flow_runs", body=body)


def count_flow_runs(
    *,
    flow_filter: FlowFilter | None = None,
    flow_run_filter: FlowRunFilter | None = None,
    task_run_filter: TaskRunFilter | None = None,
    deployment_filter: DeploymentFilter | None = None,
    work_pool_filter: WorkPoolFilter | None = None,
    work_queue_filter: WorkQueueFilter | None = None,
) -> Call[int]:
    body = FlowRunsFilterBody(
        flows=flow_filter,
        flow_runs=flow_run_filter,
        task_runs=task_run_filter,
        deployments=deployment_filter,
        work_pools=work_pool_filter,
        work_pool_queues=work_queue_filter,
    )
    return Call("count_flow_runs", body=body)


def create_flow_run_input(
    flow_run_id: UUID | str, key: str, value: str, sender: str | None = None
) -> Call[None]:
    """Store an input; `sender` is `prefect.flow-run.<id>` and is checked to hold an id."""
    if sender:
        as_uuid(sender.removeprefix("prefect.flow-run."))
    body = FlowRunInputCreate(key=key, value=value, sender=sender)
    return Call("create_flow_run_input", (flow_run_id,), body)


def filter_flow_run_input(
    flow_run_id: UUID | str, key_prefix: str, limit: int, exclude_keys: Iterable[str]
) -> Call[list[FlowRunInput]]:
    body = FlowRunInputFilter(prefix=key_prefix, limit=limit, exclude_keys=sorted(exclude_keys))
    return Call("filter_flow_run_input", (flow_run_id,), body)


def read_flow_run_input(flow_run_id: UUID | str, key: str) -> Call[str]:
    return Call("read_flow_run_input", (flow_run_id, key))


def delete_flow_run_input(flow_run_id: UUID | str, key: str) -> Call[None]:
    return Call("delete_flow_run_input", (flow_run_id, key))


# --- task runs -----------------------------------------------------------------------------------


def create_task_run(
    task: Any,
    flow_run_id: UUID | None,
    dynamic_key: str,
    id: UUID | None = None,
    name: str | None = None,
    extra_tags: Iterable[str] | None = None,
    state: State | StateCreate | None = None,
    task_inputs: Mapping[str, list[TaskInput]] | None = None,
) -> Call[TaskRun]:
    """Create a run of `task` (an object with `name`, `task_key` and the policy attributes)."""
    body = TaskRunCreate(
        id=id or uuid7(),
        task_key=task.task_key,
        dynamic_key=dynamic_key,
        name=name or f"{task.name}-{dynamic_key[:3]}",
        flow_run_id=flow_run_id,
        tags=sorted({*(getattr(task, "tags", None) or ()), *(extra_tags or ())}),
        task_version=getattr(task, "version", None),
        state=_given(state),
        task_inputs=dict(task_inputs or {}),
        empirical_policy=TaskRunPolicy(
            retries=getattr(task, "retries", None),
            retry_delay=getattr(task, "retry_delay_seconds", None),
            retry_jitter_factor=getattr(task, "retry_jitter_factor", None),
        ),
    )
    return Call("create_task_run", body=body)


def read_task_run(task_run_id: UUID | str) -> Call[TaskRun]:
    return Call("read_task_run", (task_run_id,))


def delete_task_run(task_run_id: UUID | str) -> Call[None]:
    return Call("delete_task_run", (task_run_id,))


def set_task_run_name(task_run_id: UUID | str, name: str) -> Call[None]:
    return Call("update_task_run", (task_run_id,), TaskRunUpdate(name=name))


def set_task_run_state(
    task_run_id: UUID | str, state: State | StateCreate, force: bool = False
) -> Call[OrchestrationResult]:
    body = SetStateBody(state=proposal(state), force=force)
    return Call("set_task_run_state", (task_run_id,), body)


def read_task_run_states(task_run_id: UUID | str) -> Call[list[State]]:
    return Call("read_task_run_states", query={"task_run_id": as_uuid(task_run_id)})


def read_task_runs(
    *,
    flow_filter: FlowFilter | None = None,
    flow_run_filter: FlowRunFilter | None = None,
    task_run_filter: TaskRunFilter | None = None,
    deployment_filter: DeploymentFilter | None = None,
    sort: TaskRunSort | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> Call[list[TaskRun]]:
    body = TaskRunsFilterPage(
        flows=flow_filter,
        flow_runs=flow_run_filter,
        task_runs=task_run_filter,
        deployments=deployment_filter,
        sort=sort or TaskRunSort.ID_DESC,
        limit=limit,
        offset=offset,
    )
    return Call("read_task_runs", body=body)


# --- logs, events, server ------------------------------------------------------------------------


def create_logs(logs: Iterable[LogCreate | dict[str, Any]]) -> Call[None]:
    return Call("create_logs", body=list(logs))


def read_logs(
    log_filter: LogFilter | None = None,
    limit: int | None = None,
    offset: int | None = None,
    sort: LogSort | None = None,
) -> Call[list[Log]]:
    body = LogsFilterPage(
        logs=log_filter, limit=limit, offset=offset or 0, sort=sort or LogSort.TIMESTAMP_ASC
    )
    return Call("read_logs", body=body)


def create_events(events: Iterable[Event]) -> Call[None]:
    return Call("create_events", body=list(events))


def read_events(filter: EventFilter | None = None, limit: int = 50) -> Call[EventPage]:
    """The newest events that match; the server gives at most 50 a page."""
    return Call("read_events", body=EventsFilterBody(filter=filter, limit=min(limit, 50)))


def read_events_page(next_page_url: str) -> Call[EventPage]:
    """The page that `next_page` of another page names."""
    from urllib.parse import parse_qs, urlsplit

    tokens = parse_qs(urlsplit(next_page_url).query).get("page-token")
    if not tokens:
        raise ValueError(f"{next_page_url!r} has no page-token; pass the `next_page` of a page")
    return Call("read_account_events_page", query={"page_token": tokens[0]})


def update_server_default_result_storage(
    default_result_storage_block_id: UUID,
) -> Call[ServerDefaultResultStorage]:
    body = ServerDefaultResultStorageUpdate(
        default_result_storage_block_id=default_result_storage_block_id
    )
    return Call("update_server_default_result_storage", body=body)


def api_version() -> Call[str]:
    """The server's version."""
    return Call("read_version")


def api_healthcheck() -> Steps[Exception | None]:
    """None when the API answers that it is well, else the error."""
    try:
        yield Call("health_check")
    except Exception as error:  # What is wrong is the answer.
        return error
    return None


def find_flow_by_name(flow_name: str) -> Steps[Flow | None]:
    """The flow of that name, None when there is none."""
    try:
        return (yield Call("read_flow_by_name", (flow_name,)))
    except ObjectNotFound:
        return None


# --- deployments ---------------------------------------------------------------------------------


def create_deployment(
    flow_id: UUID,
    name: str,
    version: str | None = None,
    version_info: VersionInfo | None = None,
    schedules: list[DeploymentScheduleCreate] | None = None,
    concurrency_limit: int | None = None,
    concurrency_options: ConcurrencyOptions | None = None,
    parameters: dict[str, Any] | None = None,
    description: str | None = None,
    work_queue_name: str | None = None,
    work_pool_name: str | None = None,
    tags: list[str] | None = None,
    storage_document_id: UUID | None = None,
    path: str | None = None,
    entrypoint: str | None = None,
    infrastructure_document_id: UUID | None = None,
    parameter_openapi_schema: dict[str, Any] | None = None,
    paused: bool | None = None,
    pull_steps: list[dict[str, Any]] | None = None,
    enforce_parameter_schema: bool | None = None,
    job_variables: dict[str, Any] | None = None,
) -> Steps[UUID]:
    """Make the deployment, or change the one of that flow and name; returns its id.

    None leaves a field as it is; the schedules become exactly those given.
    """
    body = DeploymentCreate(
        flow_id=flow_id,
        name=name,
        version=unset_if_none(version),
        version_info=unset_if_none(version_info),
        schedules=schedules or [],
        concurrency_limit=unset_if_none(concurrency_limit),
        concurrency_options=unset_if_none(concurrency_options),
        parameters=unset_if_none(parameters),
        description=unset_if_none(description),
        work_queue_name=unset_if_none(work_queue_name),
        work_pool_name=unset_if_none(work_pool_name),
        tags=unset_if_none(tags),
        storage_document_id=unset_if_none(storage_document_id),
        path=unset_if_none(path),
        entrypoint=unset_if_none(entrypoint),
        infrastructure_document_id=unset_if_none(infrastructure_document_id),
        parameter_openapi_schema=unset_if_none(parameter_openapi_schema),
        paused=unset_if_none(paused),
        pull_steps=unset_if_none(pull_steps),
        enforce_parameter_schema=unset_if_none(enforce_parameter_schema),
        job_variables=unset_if_none(job_variables),
    )
    made: Deployment = yield Call("create_deployment", body=body)
    return made.id


def read_deployment(deployment_id: UUID | str) -> Call[Deployment]:
    return Call("read_deployment", (deployment_id,))


def read_deployment_by_name(name: str) -> Call[Deployment]:
    """The deployment named `<flow>/<deployment>`. Raises `ValueError` for another form."""
    flow_name, slash, deployment_name = name.partition("/")
    if not (flow_name and slash and deployment_name):
        raise ValueError(f"{name!r} names no deployment; write it as <flow>/<deployment>")
    return Call("read_deployment_by_name", (flow_name, deployment_name))


def read_deployments(
    *,
    flow_filter: FlowFilter | None = None,
    flow_run_filter: FlowRunFilter | None = None,
    task_run_filter: TaskRunFilter | None = None,
    deployment_filter: DeploymentFilter | None = None,
    work_pool_filter: WorkPoolFilter | None = None,
    work_queue_filter: WorkQueueFilter | None = None,
    limit: int | None = None,
    sort: DeploymentSort | None = None,
    offset: int = 0,
) -> Call[list[Deployment]]:
    body = DeploymentsFilterPage(
        flows=flow_filter,
        flow_runs=flow_run_filter,
        task_runs=task_run_filter,
        deployments=deployment_filter,
        work_pools=work_pool_filter,
        work_pool_queues=work_queue_filter,
        sort=sort or DeploymentSort.NAME_ASC,
        limit=limit,
        offset=offset,
    )
    return Call("read_deployments", body=body)


def update_deployment(deployment_id: UUID | str, deployment: DeploymentUpdate) -> Call[None]:
    return Call("update_deployment", (deployment_id,), deployment)


def set_deployment_paused_state(deployment_id: UUID | str, paused: bool) -> Call[None]:
    return Call("update_deployment", (deployment_id,), DeploymentUpdate(paused=paused))


def pause_deployment(deployment_id: UUID | str) -> Call[None]:
    """Let no more runs be planned; those that are planned are taken back."""
    return set_deployment_paused_state(as_uuid(deployment_id), True)


def resume_deployment(deployment_id: UUID | str) -> Call[None]:
    return set_deployment_paused_state(as_uuid(deployment_id), False)


def delete_deployment(deployment_id: UUID | str) -> Call[None]:
    return Call("delete_deployment", (deployment_id,))


def create_deployment_schedules(
    deployment_id: UUID | str,
    schedules: list[tuple[AnySchedule, bool]] | list[DeploymentScheduleCreate],
    max_scheduled_runs: int | None = None,
    parameters: dict[str, Any] | None = None,
    slug: str | None = None,
) -> Call[list[DeploymentSchedule]]:
    """Add schedules, given whole or as pairs of a schedule and whether it is active.

    The other arguments are for schedules given as pairs.
    """
    body = [
        DeploymentScheduleCreate(
            schedule=one[0],
            active=one[1],
            max_scheduled_runs=max_scheduled_runs,
            parameters=parameters or {},
            slug=slug,
        )
        if isinstance(one, tuple)
        else one
        for one in schedules
    ]
    return Call("create_deployment_schedules", (deployment_id,), body)


def read_deployment_schedules(deployment_id: UUID | str) -> Call[list[DeploymentSchedule]]:
    return Call("read_deployment_schedules", (deployment_id,))


def update_deployment_schedule(
    deployment_id: UUID | str,
    schedule_id: UUID | str,
    active: bool | None = None,
    schedule: AnySchedule | None = None,
    max_scheduled_runs: int | None = None,
    parameters: dict[str, Any] | None = None,
    slug: str | None = None,
) -> Call[None]:
    """Change the given fields; None leaves a field as it is."""
    body = DeploymentScheduleUpdate(
        active=unset_if_none(active),
        schedule=unset_if_none(schedule),
        max_scheduled_runs=unset_if_none(max_scheduled_runs),
        parameters=unset_if_none(parameters),
        slug=unset_if_none(slug),
    )
    return Call("update_deployment_schedule", (deployment_id, schedule_id), body)


def delete_deployment_schedule(deployment_id: UUID | str, schedule_id: UUID | str) -> Call[None]:
    return Call("delete_deployment_schedule", (deployment_id, schedule_id))


def get_scheduled_flow_runs_for_deployments(
    deployment_ids: list[UUID],
    scheduled_before: datetime | None = None,
    limit: int | None = None,
) -> Call[list[FlowRun]]:
    body = ScheduledFlowRunsBody(
        deployment_ids=deployment_ids, scheduled_before=scheduled_before, limit=limit
    )
    return Call("get_scheduled_flow_runs_for_deployments", body=body)


def create_flow_run_from_deployment(
    deployment_id: UUID | str,
    *,
    parameters: dict[str, Any] | None = None,
    context: dict[str, Any] | None = None,
    state: State | StateCreate | None = None,
    name: str | None = None,
    tags: Iterable[str] | None = None,
    idempotency_key: str | None = None,
    parent_task_run_id: UUID | None = None,
    work_queue_name: str | None = None,
    job_variables: dict[str, Any] | None = None,
    labels: Labels | None = None,
) -> Call[FlowRun]:
    """A run of the deployment, scheduled for now unless `state` says otherwise."""
    body = DeploymentFlowRunCreate(
        parameters=parameters or {},
        context=context or {},
        state=_given(state),
        name=name,
        tags=list(tags or ()),
        idempotency_key=idempotency_key,
        parent_task_run_id=parent_task_run_id,
        work_queue_name=work_queue_name,
        job_variables=job_variables,
        labels=dict(labels) if labels else None,
    )
    return Call("create_flow_run_from_deployment", (deployment_id,), body)


# --- concurrency limits --------------------------------------------------------------------------


def create_global_concurrency_limit(concurrency_limit: ConcurrencyLimitV2Create) -> Steps[UUID]:
    """The id of the new limit. Raises `ObjectAlreadyExists` for a name that is taken."""
    made = yield Call("create_concurrency_limit_v2", body=concurrency_limit)
    return made.id


def read_global_concurrency_limit_by_name(name: str) -> Call[GlobalConcurrencyLimitResponse]:
    return Call("read_concurrency_limit_v2", (name,))


def read_global_concurrency_limits(
    limit: int = 10, offset: int = 0
) -> Call[list[GlobalConcurrencyLimitResponse]]:
    body = ConcurrencyLimitsPage(limit=limit, offset=offset)
    return Call("read_all_concurrency_limits_v2", body=body)


def update_global_concurrency_limit(
    name: str, concurrency_limit: ConcurrencyLimitV2Update
) -> Call[None]:
    return Call("update_concurrency_limit_v2", (name,), concurrency_limit)


def upsert_global_concurrency_limit_by_name(
    name: str, limit: int, slot_decay_per_second: float | None = None
) -> Steps[None]:
    """Give the limit of that name so many slots, and make it when there is none."""
    change = ConcurrencyLimitV2Update(
        limit=limit, slot_decay_per_second=unset_if_none(slot_decay_per_second)
    )
    try:
        yield Call("update_concurrency_limit_v2", (name,), change)
    except ObjectNotFound:
        body = ConcurrencyLimitV2Create(
            name=name, limit=limit, slot_decay_per_second=slot_decay_per_second or 0.0
        )
        yield Call("create_concurrency_limit_v2", body=body)


def delete_global_concurrency_limit_by_name(name: str) -> Call[None]:
    return Call("delete_concurrency_limit_v2", (name,))


def increment_concurrency_slots(
    names: list[str], slots: int, mode: str
) -> Call[list[MinimalConcurrencyLimitResponse]]:
    """Take slots without a lease. Status 423 says that too few are free."""
    body = SlotsIncrement(names=names, slots=slots, mode=cast(Mode, mode))
    return Call("bulk_increment_active_slots", body=body)


def increment_concurrency_slots_with_lease(
    names: list[str],
    slots: int,
    mode: str,
    lease_duration: float,
    holder: ConcurrencyLeaseHolder | None = None,
) -> Call[ConcurrencyLimitWithLeaseResponse]:
    """Take slots for `lease_duration` seconds. Status 423 says that too few are free."""
    body = SlotsIncrementWithLease(
        names=names,
        slots=slots,
        mode=cast(Mode, mode),
        lease_duration=lease_duration,
        holder=holder,
    )
    return Call("bulk_increment_active_slots_with_lease", body=body)


def renew_concurrency_lease(lease_id: UUID, lease_duration: float) -> Call[None]:
    """Let a lease end `lease_duration` seconds from now. Status 410 says that it has ended."""
    body = LeaseRenewal(lease_duration=lease_duration)
    return Call("renew_concurrency_lease", (lease_id,), body)


def release_concurrency_slots(
    names: list[str], slots: int, occupancy_seconds: float
) -> Call[list[MinimalConcurrencyLimitResponse]]:
    """Give back slots that were taken without a lease and held so long."""
    body = SlotsDecrement(names=names, slots=slots, occupancy_seconds=occupancy_seconds)
    return Call("bulk_decrement_active_slots", body=body)


def release_concurrency_slots_with_lease(lease_id: UUID) -> Call[None]:
    body = LeaseRelease(lease_id=lease_id)
    return Call("bulk_decrement_active_slots_with_lease", body=body)


def create_concurrency_limit(tag: str, concurrency_limit: int) -> Steps[UUID]:
    """The id of the limit of that tag, made or changed."""
    body = ConcurrencyLimitCreate(tag=tag, concurrency_limit=concurrency_limit)
    made = yield Call("create_concurrency_limit", body=body)
    return made.id


def read_concurrency_limits(limit: int, offset: int) -> Call[list[ConcurrencyLimit]]:
    return Call("read_concurrency_limits", body=ConcurrencyLimitsPage(limit=limit, offset=offset))


def reset_concurrency_limit_by_tag(
    tag: str, slot_override: list[UUID | str] | None = None
) -> Call[None]:
    """Give all slots back; then only the task runs of `slot_override` hold one."""
    override = None if slot_override is None else [as_uuid(one) for one in slot_override]
    body = TaggedSlotsReset(slot_override=override)
    return Call("reset_concurrency_limit_by_tag", (tag,), body)


def increment_v1_concurrency_slots(
    names: list[str], task_run_id: UUID
) -> Call[list[MinimalConcurrencyLimitResponse]]:
    body = TaggedSlotsIncrement(names=names, task_run_id=task_run_id)
    return Call("increment_concurrency_limits_v1", body=body)


def decrement_v1_concurrency_slots(
    names: list[str], task_run_id: UUID, occupancy_seconds: float
) -> Call[list[MinimalConcurrencyLimitResponse]]:
    body = TaggedSlotsDecrement(
        names=names, task_run_id=task_run_id, occupancy_seconds=occupancy_seconds
    )
    return Call("decrement_concurrency_limits_v1", body=body)


# --- automations ---------------------------------------------------------------------------------


def create_automation(automation: AutomationCreate) -> Steps[UUID]:
    """The id of the new automation."""
    made: Automation = yield Call("create_automation", body=automation)
    return made.id


def update_automation(automation_id: UUID | str, automation: AutomationUpdate) -> Call[None]:
    """Replace everything but the owner."""
    return Call("update_automation", (automation_id,), automation)


def read_automations(
    *,
    automations: AutomationFilter | None = None,
    sort: AutomationSort | None = None,
    limit: int | None = None,
    offset: int | None = None,
) -> Call[list[Automation]]:
    body = AutomationsFilterPage(
        automations=automations,
        sort=sort or AutomationSort.NAME_ASC,
        limit=limit,
        offset=offset or 0,
    )
    return Call("read_automations", body=body)


def read_automations_by_name(name: str) -> Call[list[Automation]]:
    """Names may be shared: the automation that was changed last comes first."""
    wanted = AutomationFilter(name=AnyTextFilter(any_=[name]))
    body = AutomationsFilterPage(automations=wanted, sort=AutomationSort.UPDATED_DESC)
    return Call("read_automations", body=body)


def read_automation(automation_id: UUID | str) -> Steps[Automation | None]:
    """None for an unknown id."""
    try:
        return (yield Call("read_automation", (automation_id,)))
    except ObjectNotFound:
        return None


def find_automation(id_or_name: str | UUID) -> Steps[Automation | None]:
    """The automation of that id, else the one of that name that was changed last."""
    try:
        id = as_uuid(id_or_name)
    except ValueError:
        pass
    else:
        found = yield from read_automation(id)
        if found is not None:
            return found
    named: list[Automation] = yield read_automations_by_name(str(id_or_name))
    return named[0] if named else None


def pause_automation(automation_id: UUID | str) -> Call[None]:
    body = AutomationPartialUpdate(enabled=False)
    return Call("patch_automation", (automation_id,), body)


def resume_automation(automation_id: UUID | str) -> Call[None]:
    body = AutomationPartialUpdate(enabled=True)
    return Call("patch_automation", (automation_id,), body)


def delete_automation(automation_id: UUID | str) -> Steps[None]:
    """An unknown id is no error."""
    try:
        yield Call("delete_automation", (automation_id,))
    except ObjectNotFound:
        return


def read_resource_related_automations(resource_id: str) -> Call[list[Automation]]:
    """Automations that the resource owns, and those that run the deployment it is."""
    return Call("read_automations_related_to_resource", (resource_id,))


def delete_resource_owned_automations(resource_id: str) -> Call[None]:
    return Call("delete_automations_owned_by_resource", (resource_id,))


# --- work pools, queues and workers --------------------------------------------------------------


def create_work_pool(work_pool: WorkPoolCreate, overwrite: bool = False) -> Steps[WorkPool]:
    """Make a pool. With `overwrite` one of that name is changed, which keeps its type."""
    try:
        return (yield Call("create_work_pool", body=work_pool))
    except ObjectAlreadyExists:
        if not overwrite:
            raise
    # The type is not among what can change.
    update = WorkPoolUpdate(
        base_job_template=work_pool.base_job_template,
        concurrency_limit=work_pool.concurrency_limit,
        description=work_pool.description,
        is_paused=work_pool.is_paused,
        storage_configuration=work_pool.storage_configuration,
    )
    yield Call("update_work_pool", (work_pool.name,), update)
    return (yield Call("read_work_pool", (work_pool.name,)))


def read_work_pool(work_pool_name: str) -> Call[WorkPool]:
    return Call("read_work_pool", (work_pool_name,))


def read_work_pools(
    limit: int | None = None,
    offset: int = 0,
    work_pool_filter: WorkPoolFilter | None = None,
) -> Call[list[WorkPool]]:
    body = WorkPoolsPage(limit=limit, offset=offset, work_pools=work_pool_filter)
    return Call("read_work_pools", body=body)


def update_work_pool(work_pool_name: str, work_pool: WorkPoolUpdate) -> Call[None]:
    return Call("update_work_pool", (work_pool_name,), work_pool)


def delete_work_pool(work_pool_name: str) -> Call[None]:
    return Call("delete_work_pool", (work_pool_name,))


def read_work_pool_concurrency_status(
    work_pool_name: str, page: int = 1, limit: int | None = None, flow_run_limit: int = 10
) -> Call[WorkPoolConcurrencyStatus]:
    body = WorkPoolConcurrencyStatusBody(page=page, limit=limit, flow_run_limit=flow_run_limit)
    return Call("read_work_pool_concurrency_status", (work_pool_name,), body)


def get_scheduled_flow_runs_for_work_pool(
    work_pool_name: str,
    work_queue_names: list[str] | None = None,
    scheduled_before: datetime | None = None,
) -> Call[list[WorkerFlowRun]]:
    """Runs that a worker of the pool may start, in the order in which to start them."""
    body = PollBody(work_queue_names=work_queue_names or [], scheduled_before=scheduled_before)
    return Call("get_scheduled_flow_runs", (work_pool_name,), body)


def send_worker_heartbeat(
    work_pool_name: str, worker_name: str, heartbeat_interval_seconds: float | None = None
) -> Call[None]:
    """Say that the worker is alive; the next time comes after whole seconds, rounded up."""
    interval = heartbeat_interval_seconds
    seconds = None if interval is None else ceil(interval)
    body = WorkerHeartbeat(name=worker_name, heartbeat_interval_seconds=seconds)
    return Call("worker_heartbeat", (work_pool_name,), body)


def read_workers_for_work_pool(
    work_pool_name: str,
    worker_filter: WorkerFilter | None = None,
    offset: int | None = None,
    limit: int | None = None,
) -> Call[list[Worker]]:
    body = WorkersPage(workers=worker_filter, offset=offset or 0, limit=limit)
    return Call("read_workers", (work_pool_name,), body)


def create_work_queue(
    name: str,
    description: str | None = None,
    is_paused: bool | None = None,
    concurrency_limit: int | None = None,
    priority: int | None = None,
    work_pool_name: str | None = None,
) -> Call[WorkQueue]:
    """Make a queue; without a pool, in the pool of clients that know none."""
    body = WorkQueueCreate(
        name=name,
        description=description,
        is_paused=bool(is_paused),
        concurrency_limit=concurrency_limit,
        priority=priority,
    )
    if work_pool_name is None:
        return Call("create_work_queue", body=body)
    return Call("create_work_pool_queue", (work_pool_name,), body)


def read_work_queue(id: UUID | str) -> Call[WorkQueue]:
    return Call("read_work_queue", (id,))


def read_work_queue_by_name(name: str, work_pool_name: str | None = None) -> Call[WorkQueue]:
    if work_pool_name is None:
        return Call("read_work_queue_by_name", (name,))
    return Call("read_work_pool_queue", (work_pool_name, name))


def read_work_queues(
    work_pool_name: str | None = None,
    work_queue_filter: WorkQueueFilter | None = None,
    limit: int | None = None,
    offset: int | None = None,
) -> Call[list[WorkQueue]]:
    """Queues of a pool in the order in which they are served, or of all pools by name."""
    body = WorkQueuesPage(work_queues=work_queue_filter, limit=limit, offset=offset or 0)
    if work_pool_name is None:
        return Call("read_work_queues", body=body)
    return Call("read_work_pool_queues", (work_pool_name,), body)


def match_work_queues(
    prefixes: list[str], work_pool_name: str | None = None
) -> Steps[list[WorkQueue]]:
    """All queues whose name begins with one of `prefixes`."""
    named = WorkQueueFilter(name=WorkQueueFilterName(startswith_=prefixes))
    found: list[WorkQueue] = []
    while True:
        page: list[WorkQueue] = yield read_work_queues(
            work_pool_name, named, limit=_PAGE, offset=len(found)
        )
        found += page
        if len(page) < _PAGE:
            return found


def update_work_queue(id: UUID | str, **kwargs: Any) -> Call[None]:
    """Set the fields that are named. Raises `ValueError` when none is."""
    if not kwargs:
        raise ValueError("nothing to change; name fields of the work queue")
    return Call("update_work_queue", (id,), WorkQueueUpdate(**kwargs))


def delete_work_queue_by_id(id: UUID | str) -> Call[None]:
    return Call("delete_work_queue", (id,))


def get_runs_in_work_queue(
    id: UUID | str, limit: int = 10, scheduled_before: datetime | None = None
) -> Call[list[FlowRun]]:
    body = WorkQueueRunsBody(limit=limit, scheduled_before=scheduled_before)
    return Call("read_work_queue_runs", (id,), body)


def read_work_queue_status(id: UUID | str) -> Call[WorkQueueStatusDetail]:
    return Call("read_work_queue_status", (id,))


def read_work_queue_concurrency_status(
    id: UUID | str, page: int = 1, limit: int | None = None
) -> Call[WorkQueueConcurrencyStatus]:
    body = WorkQueueConcurrencyStatusBody(page=page, limit=limit)
    return Call("read_work_queue_concurrency_status", (id,), body)


# --- variables -----------------------------------------------------------------------------------


def create_variable(variable: VariableCreate) -> Call[Variable]:
    return Call("create_variable", body=variable)


def read_variable_by_name(name: str) -> Steps[Variable | None]:
    """The variable, None when there is none of that name."""
    try:
        return (yield Call("read_variable_by_name", (name,)))
    except ObjectNotFound:
        return None


def read_variables(limit: int | None = None) -> Call[list[Variable]]:
    """A page of the variables by name."""
    return Call("read_variables", body=VariablesFilterPage(limit=limit))


def update_variable(variable: VariableUpdate) -> Call[None]:
    """Set what `variable` gives of the variable that it names."""
    return Call("update_variable_by_name", (variable.name,), variable)


def delete_variable_by_name(name: str) -> Call[None]:
    return Call("delete_variable_by_name", (name,))


# --- artifacts -----------------------------------------------------------------------------------


def create_artifact(artifact: ArtifactCreate) -> Call[Artifact]:
    return Call("create_artifact", body=artifact)


def update_artifact(artifact_id: UUID | str, artifact: ArtifactUpdate) -> Call[None]:
    return Call("update_artifact", (artifact_id,), artifact)


def delete_artifact(artifact_id: UUID | str) -> Call[None]:
    return Call("delete_artifact", (artifact_id,))


def read_artifacts(
    *,
    artifact_filter: ArtifactFilter | None = None,
    flow_run_filter: FlowRunFilter | None = None,
    task_run_filter: TaskRunFilter | None = None,
    sort: ArtifactSort | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> Call[list[Artifact]]:
    """A page of the artifacts, the newest first; results of runs are among them."""
    body = ArtifactsFilterPage(
        artifacts=artifact_filter or ArtifactFilter(),
        flow_runs=flow_run_filter or FlowRunFilter(),
        task_runs=task_run_filter or TaskRunFilter(),
        sort=sort or ArtifactSort.ID_DESC,
        limit=limit,
        offset=offset,
    )
    return Call("read_artifacts", body=body)


def read_latest_artifacts(
    *,
    artifact_filter: ArtifactCollectionFilter | None = None,
    flow_run_filter: FlowRunFilter | None = None,
    task_run_filter: TaskRunFilter | None = None,
    sort: ArtifactCollectionSort | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> Call[list[ArtifactCollection]]:
    """A page of the newest artifacts, one for each key."""
    body = LatestArtifactsFilterPage(
        artifacts=artifact_filter or ArtifactCollectionFilter(),
        flow_runs=flow_run_filter or FlowRunFilter(),
        task_runs=task_run_filter or TaskRunFilter(),
        sort=sort or ArtifactCollectionSort.ID_DESC,
        limit=limit,
        offset=offset,
    )
    return Call("read_latest_artifacts", body=body)
