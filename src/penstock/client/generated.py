"""Typed methods of the clients. Written by scripts/generate_client.py; do not edit."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from penstock.client import methods
from penstock.client.calls import Call, Steps
from penstock.client.methods import Labels
from penstock.schemas.admin import CsrfToken, ServerDefaultResultStorage, ServiceState
from penstock.schemas.artifacts import (
    Artifact,
    ArtifactCollection,
    ArtifactCollectionFilter,
    ArtifactCollectionSort,
    ArtifactCreate,
    ArtifactFilter,
    ArtifactsFilterBody,
    ArtifactSort,
    ArtifactUpdate,
    LatestArtifactsFilterBody,
)
from penstock.schemas.audit import (
    AuditFilterBody,
    AuditObjectState,
    AuditPage,
    AuditRecord,
    AuditVerification,
)
from penstock.schemas.automations import (
    Automation,
    AutomationCreate,
    AutomationFilter,
    AutomationPartialUpdate,
    AutomationSort,
    AutomationUpdate,
)
from penstock.schemas.blocks import (
    BlockDocument,
    BlockDocumentCreate,
    BlockDocumentsFilterBody,
    BlockDocumentsFilterPage,
    BlockDocumentUpdate,
    BlockSchema,
    BlockSchemaCreate,
    BlockSchemasFilterPage,
    BlockType,
    BlockTypeCreate,
    BlockTypesFilterPage,
    BlockTypeUpdate,
)
from penstock.schemas.claims import (
    ClaimBody,
    Claims,
    EndClaimBody,
    EndedClaim,
    RenewClaimsBody,
    RenewedClaims,
)
from penstock.schemas.cleanup import (
    CleanupBulkBody,
    CleanupBulkCancelBody,
    CleanupBulkResult,
    CleanupCancelBody,
    CleanupCountBody,
    CleanupHistory,
    CleanupMessage,
    CleanupMessageDetail,
    CleanupMessages,
    CleanupPage,
    CleanupPoolStatus,
    CleanupRequeueBody,
    FlowRunCleanupBody,
)
from penstock.schemas.deployments import (
    ConcurrencyOptions,
    Deployment,
    DeploymentBulkDeleteResponse,
    DeploymentFlowRunCreate,
    DeploymentPaginationResponse,
    DeploymentsBulkDeleteBody,
    DeploymentSchedule,
    DeploymentScheduleCreate,
    DeploymentsFilterBody,
    DeploymentSort,
    DeploymentsPaginateBody,
    DeploymentUpdate,
    FlowRunBulkCreateResponse,
    ScheduleDeploymentBody,
    VersionInfo,
)
from penstock.schemas.events import (
    Countable,
    Event,
    EventCount,
    EventFilter,
    EventPage,
    EventsCountBody,
)
from penstock.schemas.filters import (
    DeploymentFilter,
    FlowFilter,
    FlowRunFilter,
    TaskRunFilter,
    WorkPoolFilter,
    WorkQueueFilter,
)
from penstock.schemas.firings import (
    ActionRun,
    AutomationFiring,
    AutomationTestBody,
    AutomationTestResult,
    DeadActionsBody,
    FiringsBody,
)
from penstock.schemas.flow_runs import (
    DependencyResult,
    FlowRun,
    FlowRunBegin,
    FlowRunBulkDeleteResponse,
    FlowRunBulkSetStateResponse,
    FlowRunHistoryBody,
    FlowRunInput,
    FlowRunPaginationResponse,
    FlowRunPolicy,
    FlowRunsBulkDeleteBody,
    FlowRunsBulkSetStateBody,
    FlowRunsFilterBody,
    FlowRunSort,
    FlowRunsPaginateBody,
    Graph,
    HistoryResponse,
)
from penstock.schemas.flows import (
    Flow,
    FlowBulkDeleteResponse,
    FlowPaginationResponse,
    FlowsBulkDeleteBody,
    FlowsFilterBody,
    FlowSort,
    FlowsPaginateBody,
    FlowUpdate,
)
from penstock.schemas.limits import (
    ConcurrencyLeaseHolder,
    ConcurrencyLimit,
    ConcurrencyLimitsPage,
    ConcurrencyLimitV2,
    ConcurrencyLimitV2Create,
    ConcurrencyLimitV2Update,
    ConcurrencyLimitWithLeaseResponse,
    GlobalConcurrencyLimitResponse,
    LeaseRelease,
    MinimalConcurrencyLimitResponse,
    SlotsDecrement,
    SlotsIncrement,
    SlotsIncrementWithLease,
    TaggedSlotsDecrement,
    TaggedSlotsIncrement,
)
from penstock.schemas.logs import Log, LogCreate, LogFilter, LogSort
from penstock.schemas.saved_searches import SavedSearch, SavedSearchCreate, SavedSearchesPage
from penstock.schemas.schedules import AnySchedule
from penstock.schemas.states import OrchestrationResult, State, StateCreate
from penstock.schemas.task_runs import (
    TaskInput,
    TaskRun,
    TaskRunHistoryBody,
    TaskRunPaginationResponse,
    TaskRunsFilterBody,
    TaskRunSort,
    TaskRunsPaginateBody,
    TaskRunUpdate,
)
from penstock.schemas.task_workers import TaskWorker, TaskWorkersFilterBody
from penstock.schemas.tokens import NewToken, Token, TokenCreate
from penstock.schemas.ui import (
    CountByState,
    DashboardCountsBody,
    FlowIdsBody,
    FlowRunIdsBody,
    SchemaValidationBody,
    SchemaValuesValidationResponse,
    SimpleFlowRun,
    SimpleFlowRunsPage,
    SimpleNextFlowRun,
    TaskRunCountsBody,
    UITaskRun,
)
from penstock.schemas.variables import Variable, VariableCreate, VariablesFilterBody, VariableUpdate
from penstock.schemas.work import (
    PollBody,
    Worker,
    WorkerFilter,
    WorkerFlowRun,
    WorkerHeartbeat,
    WorkersPage,
    WorkPool,
    WorkPoolConcurrencyStatus,
    WorkPoolCreate,
    WorkPoolsCountBody,
    WorkPoolUpdate,
    WorkQueue,
    WorkQueueConcurrencyStatus,
    WorkQueueCreate,
    WorkQueueRunsBody,
    WorkQueuesPage,
    WorkQueueStatusDetail,
    WorkQueueUpdate,
)


class SyncMethods:
    """One method for everything the API offers."""

    def call(self, operation: str, /, *params: Any, body: Any = None, **query: Any) -> Any:
        raise NotImplementedError

    def _run(self, asked: Call[Any] | Steps[Any]) -> Any:
        raise NotImplementedError

    def create_flow(self, flow: Any) -> UUID:
        """Make the flow (an object with a `name`) known; returns its id."""
        return self._run(methods.create_flow(flow))

    def create_flow_from_name(self, flow_name: str) -> UUID:
        return self._run(methods.create_flow_from_name(flow_name))

    def read_flow(self, flow_id: UUID | str) -> Flow:
        return self._run(methods.read_flow(flow_id))

    def read_flow_by_name(self, flow_name: str) -> Flow:
        return self._run(methods.read_flow_by_name(flow_name))

    def delete_flow(self, flow_id: UUID | str) -> None:
        self._run(methods.delete_flow(flow_id))

    def read_flows(
        self,
        *,
        flow_filter: FlowFilter | None = None,
        flow_run_filter: FlowRunFilter | None = None,
        task_run_filter: TaskRunFilter | None = None,
        deployment_filter: DeploymentFilter | None = None,
        work_pool_filter: WorkPoolFilter | None = None,
        sort: FlowSort | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Flow]:
        return self._run(
            methods.read_flows(
                flow_filter=flow_filter,
                flow_run_filter=flow_run_filter,
                task_run_filter=task_run_filter,
                deployment_filter=deployment_filter,
                work_pool_filter=work_pool_filter,
                sort=sort,
                limit=limit,
                offset=offset,
            )
        )

    def create_flow_run(
        self,
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
    ) -> FlowRun:
        """Create a run of `flow` (an object with `name`, and optionally `version`, `retries`,
        `retry_delay_seconds`), and the flow when it is new. Parameters must be JSON values. On a
        server that announces it this is one request, else two."""
        return self._run(
            methods.create_flow_run(
                flow,
                name,
                parameters,
                context,
                tags,
                parent_task_run_id,
                state,
                work_pool_name,
                work_queue_name,
                job_variables,
                id,
            )
        )

    def begin_flow_run(self, body: FlowRunBegin) -> FlowRun:
        """Create flow, run and first state: one request where the server announces it, else two."""
        return self._run(methods.begin_flow_run(body))

    def read_flow_run(self, flow_run_id: UUID | str) -> FlowRun:
        return self._run(methods.read_flow_run(flow_run_id))

    def update_flow_run(
        self,
        flow_run_id: UUID | str,
        flow_version: str | None = None,
        parameters: dict[str, Any] | None = None,
        name: str | None = None,
        tags: Iterable[str] | None = None,
        empirical_policy: FlowRunPolicy | None = None,
        infrastructure_pid: str | None = None,
        job_variables: dict[str, Any] | None = None,
    ) -> None:
        """Change the given fields; None leaves a field as it is."""
        self._run(
            methods.update_flow_run(
                flow_run_id,
                flow_version,
                parameters,
                name,
                tags,
                empirical_policy,
                infrastructure_pid,
                job_variables,
            )
        )

    def set_flow_run_name(self, flow_run_id: UUID | str, name: str) -> None:
        self._run(methods.set_flow_run_name(flow_run_id, name))

    def update_flow_run_labels(self, flow_run_id: UUID | str, labels: Labels) -> None:
        self._run(methods.update_flow_run_labels(flow_run_id, labels))

    def delete_flow_run(self, flow_run_id: UUID | str) -> None:
        self._run(methods.delete_flow_run(flow_run_id))

    def set_flow_run_state(
        self, flow_run_id: UUID | str, state: State | StateCreate, force: bool = False
    ) -> OrchestrationResult:
        """Propose `state`; `force` asks the server to skip its rules."""
        return self._run(methods.set_flow_run_state(flow_run_id, state, force))

    def resume_flow_run(
        self, flow_run_id: UUID | str, run_input: dict[str, Any] | None = None
    ) -> OrchestrationResult:
        return self._run(methods.resume_flow_run(flow_run_id, run_input))

    def read_flow_run_states(self, flow_run_id: UUID | str) -> list[State]:
        return self._run(methods.read_flow_run_states(flow_run_id))

    def read_flow_runs(
        self,
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
    ) -> list[FlowRun]:
        return self._run(
            methods.read_flow_runs(
                flow_filter=flow_filter,
                flow_run_filter=flow_run_filter,
                task_run_filter=task_run_filter,
                deployment_filter=deployment_filter,
                work_pool_filter=work_pool_filter,
                work_queue_filter=work_queue_filter,
                sort=sort,
                limit=limit,
                offset=offset,
            )
        )

    def count_flow_runs(
        self,
        *,
        flow_filter: FlowFilter | None = None,
        flow_run_filter: FlowRunFilter | None = None,
        task_run_filter: TaskRunFilter | None = None,
        deployment_filter: DeploymentFilter | None = None,
        work_pool_filter: WorkPoolFilter | None = None,
        work_queue_filter: WorkQueueFilter | None = None,
    ) -> int:
        return self._run(
            methods.count_flow_runs(
                flow_filter=flow_filter,
                flow_run_filter=flow_run_filter,
                task_run_filter=task_run_filter,
                deployment_filter=deployment_filter,
                work_pool_filter=work_pool_filter,
                work_queue_filter=work_queue_filter,
            )
        )

    def create_flow_run_input(
        self, flow_run_id: UUID | str, key: str, value: str, sender: str | None = None
    ) -> None:
        """Store an input; `sender` is `prefect.flow-run.<id>` and is checked to hold an id."""
        self._run(methods.create_flow_run_input(flow_run_id, key, value, sender))

    def filter_flow_run_input(
        self, flow_run_id: UUID | str, key_prefix: str, limit: int, exclude_keys: Iterable[str]
    ) -> list[FlowRunInput]:
        return self._run(
            methods.filter_flow_run_input(flow_run_id, key_prefix, limit, exclude_keys)
        )

    def read_flow_run_input(self, flow_run_id: UUID | str, key: str) -> str:
        return self._run(methods.read_flow_run_input(flow_run_id, key))

    def delete_flow_run_input(self, flow_run_id: UUID | str, key: str) -> None:
        self._run(methods.delete_flow_run_input(flow_run_id, key))

    def create_task_run(
        self,
        task: Any,
        flow_run_id: UUID | None,
        dynamic_key: str,
        id: UUID | None = None,
        name: str | None = None,
        extra_tags: Iterable[str] | None = None,
        state: State | StateCreate | None = None,
        task_inputs: Mapping[str, list[TaskInput]] | None = None,
    ) -> TaskRun:
        """Create a run of `task` (an object with `name`, `task_key` and the policy attributes)."""
        return self._run(
            methods.create_task_run(
                task, flow_run_id, dynamic_key, id, name, extra_tags, state, task_inputs
            )
        )

    def read_task_run(self, task_run_id: UUID | str) -> TaskRun:
        return self._run(methods.read_task_run(task_run_id))

    def delete_task_run(self, task_run_id: UUID | str) -> None:
        self._run(methods.delete_task_run(task_run_id))

    def set_task_run_name(self, task_run_id: UUID | str, name: str) -> None:
        self._run(methods.set_task_run_name(task_run_id, name))

    def set_task_run_state(
        self, task_run_id: UUID | str, state: State | StateCreate, force: bool = False
    ) -> OrchestrationResult:
        return self._run(methods.set_task_run_state(task_run_id, state, force))

    def read_task_run_states(self, task_run_id: UUID | str) -> list[State]:
        return self._run(methods.read_task_run_states(task_run_id))

    def read_task_runs(
        self,
        *,
        flow_filter: FlowFilter | None = None,
        flow_run_filter: FlowRunFilter | None = None,
        task_run_filter: TaskRunFilter | None = None,
        deployment_filter: DeploymentFilter | None = None,
        sort: TaskRunSort | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[TaskRun]:
        return self._run(
            methods.read_task_runs(
                flow_filter=flow_filter,
                flow_run_filter=flow_run_filter,
                task_run_filter=task_run_filter,
                deployment_filter=deployment_filter,
                sort=sort,
                limit=limit,
                offset=offset,
            )
        )

    def create_logs(self, logs: Iterable[LogCreate | dict[str, Any]]) -> None:
        self._run(methods.create_logs(logs))

    def read_logs(
        self,
        log_filter: LogFilter | None = None,
        limit: int | None = None,
        offset: int | None = None,
        sort: LogSort | None = None,
    ) -> list[Log]:
        return self._run(methods.read_logs(log_filter, limit, offset, sort))

    def create_events(self, events: Iterable[Event]) -> None:
        self._run(methods.create_events(events))

    def read_events(self, filter: EventFilter | None = None, limit: int = 50) -> EventPage:
        """The newest events that match; the server gives at most 50 a page."""
        return self._run(methods.read_events(filter, limit))

    def read_events_page(self, next_page_url: str) -> EventPage:
        """The page that `next_page` of another page names."""
        return self._run(methods.read_events_page(next_page_url))

    def update_server_default_result_storage(
        self, default_result_storage_block_id: UUID
    ) -> ServerDefaultResultStorage:
        return self._run(
            methods.update_server_default_result_storage(default_result_storage_block_id)
        )

    def api_version(self) -> str:
        """The server's version."""
        return self._run(methods.api_version())

    def api_healthcheck(self) -> Exception | None:
        """None when the API answers that it is well, else the error."""
        return self._run(methods.api_healthcheck())

    def find_flow_by_name(self, flow_name: str) -> Flow | None:
        """The flow of that name, None when there is none."""
        return self._run(methods.find_flow_by_name(flow_name))

    def create_deployment(
        self,
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
    ) -> UUID:
        """Make the deployment, or change the one of that flow and name; returns its id.

        None leaves a field as it is; the schedules become exactly those given."""
        return self._run(
            methods.create_deployment(
                flow_id,
                name,
                version,
                version_info,
                schedules,
                concurrency_limit,
                concurrency_options,
                parameters,
                description,
                work_queue_name,
                work_pool_name,
                tags,
                storage_document_id,
                path,
                entrypoint,
                infrastructure_document_id,
                parameter_openapi_schema,
                paused,
                pull_steps,
                enforce_parameter_schema,
                job_variables,
            )
        )

    def read_deployment(self, deployment_id: UUID | str) -> Deployment:
        return self._run(methods.read_deployment(deployment_id))

    def read_deployment_by_name(self, name: str) -> Deployment:
        """The deployment named `<flow>/<deployment>`. Raises `ValueError` for another form."""
        return self._run(methods.read_deployment_by_name(name))

    def read_deployments(
        self,
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
    ) -> list[Deployment]:
        return self._run(
            methods.read_deployments(
                flow_filter=flow_filter,
                flow_run_filter=flow_run_filter,
                task_run_filter=task_run_filter,
                deployment_filter=deployment_filter,
                work_pool_filter=work_pool_filter,
                work_queue_filter=work_queue_filter,
                limit=limit,
                sort=sort,
                offset=offset,
            )
        )

    def update_deployment(self, deployment_id: UUID | str, deployment: DeploymentUpdate) -> None:
        self._run(methods.update_deployment(deployment_id, deployment))

    def set_deployment_paused_state(self, deployment_id: UUID | str, paused: bool) -> None:
        self._run(methods.set_deployment_paused_state(deployment_id, paused))

    def pause_deployment(self, deployment_id: UUID | str) -> None:
        """Let no more runs be planned; those that are planned are taken back."""
        self._run(methods.pause_deployment(deployment_id))

    def resume_deployment(self, deployment_id: UUID | str) -> None:
        self._run(methods.resume_deployment(deployment_id))

    def delete_deployment(self, deployment_id: UUID | str) -> None:
        self._run(methods.delete_deployment(deployment_id))

    def create_deployment_schedules(
        self,
        deployment_id: UUID | str,
        schedules: list[tuple[AnySchedule, bool]] | list[DeploymentScheduleCreate],
        max_scheduled_runs: int | None = None,
        parameters: dict[str, Any] | None = None,
        slug: str | None = None,
    ) -> list[DeploymentSchedule]:
        """Add schedules, given whole or as pairs of a schedule and whether it is active.

        The other arguments are for schedules given as pairs."""
        return self._run(
            methods.create_deployment_schedules(
                deployment_id, schedules, max_scheduled_runs, parameters, slug
            )
        )

    def read_deployment_schedules(self, deployment_id: UUID | str) -> list[DeploymentSchedule]:
        return self._run(methods.read_deployment_schedules(deployment_id))

    def update_deployment_schedule(
        self,
        deployment_id: UUID | str,
        schedule_id: UUID | str,
        active: bool | None = None,
        schedule: AnySchedule | None = None,
        max_scheduled_runs: int | None = None,
        parameters: dict[str, Any] | None = None,
        slug: str | None = None,
    ) -> None:
        """Change the given fields; None leaves a field as it is."""
        self._run(
            methods.update_deployment_schedule(
                deployment_id, schedule_id, active, schedule, max_scheduled_runs, parameters, slug
            )
        )

    def delete_deployment_schedule(
        self, deployment_id: UUID | str, schedule_id: UUID | str
    ) -> None:
        self._run(methods.delete_deployment_schedule(deployment_id, schedule_id))

    def get_scheduled_flow_runs_for_deployments(
        self,
        deployment_ids: list[UUID],
        scheduled_before: datetime | None = None,
        limit: int | None = None,
    ) -> list[FlowRun]:
        return self._run(
            methods.get_scheduled_flow_runs_for_deployments(deployment_ids, scheduled_before, limit)
        )

    def create_flow_run_from_deployment(
        self,
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
    ) -> FlowRun:
        """A run of the deployment, scheduled for now unless `state` says otherwise."""
        return self._run(
            methods.create_flow_run_from_deployment(
                deployment_id,
                parameters=parameters,
                context=context,
                state=state,
                name=name,
                tags=tags,
                idempotency_key=idempotency_key,
                parent_task_run_id=parent_task_run_id,
                work_queue_name=work_queue_name,
                job_variables=job_variables,
                labels=labels,
            )
        )

    def create_global_concurrency_limit(self, concurrency_limit: ConcurrencyLimitV2Create) -> UUID:
        """The id of the new limit. Raises `ObjectAlreadyExists` for a name that is taken."""
        return self._run(methods.create_global_concurrency_limit(concurrency_limit))

    def read_global_concurrency_limit_by_name(self, name: str) -> GlobalConcurrencyLimitResponse:
        return self._run(methods.read_global_concurrency_limit_by_name(name))

    def read_global_concurrency_limits(
        self, limit: int = 10, offset: int = 0
    ) -> list[GlobalConcurrencyLimitResponse]:
        return self._run(methods.read_global_concurrency_limits(limit, offset))

    def update_global_concurrency_limit(
        self, name: str, concurrency_limit: ConcurrencyLimitV2Update
    ) -> None:
        self._run(methods.update_global_concurrency_limit(name, concurrency_limit))

    def upsert_global_concurrency_limit_by_name(
        self, name: str, limit: int, slot_decay_per_second: float | None = None
    ) -> None:
        """Give the limit of that name so many slots, and make it when there is none."""
        self._run(
            methods.upsert_global_concurrency_limit_by_name(name, limit, slot_decay_per_second)
        )

    def delete_global_concurrency_limit_by_name(self, name: str) -> None:
        self._run(methods.delete_global_concurrency_limit_by_name(name))

    def increment_concurrency_slots(
        self, names: list[str], slots: int, mode: str
    ) -> list[MinimalConcurrencyLimitResponse]:
        """Take slots without a lease. Status 423 says that too few are free."""
        return self._run(methods.increment_concurrency_slots(names, slots, mode))

    def increment_concurrency_slots_with_lease(
        self,
        names: list[str],
        slots: int,
        mode: str,
        lease_duration: float,
        holder: ConcurrencyLeaseHolder | None = None,
    ) -> ConcurrencyLimitWithLeaseResponse:
        """Take slots for `lease_duration` seconds. Status 423 says that too few are free."""
        return self._run(
            methods.increment_concurrency_slots_with_lease(
                names, slots, mode, lease_duration, holder
            )
        )

    def renew_concurrency_lease(self, lease_id: UUID, lease_duration: float) -> None:
        """Let a lease end `lease_duration` seconds from now. Status 410 says that it has ended."""
        self._run(methods.renew_concurrency_lease(lease_id, lease_duration))

    def release_concurrency_slots(
        self, names: list[str], slots: int, occupancy_seconds: float
    ) -> list[MinimalConcurrencyLimitResponse]:
        """Give back slots that were taken without a lease and held so long."""
        return self._run(methods.release_concurrency_slots(names, slots, occupancy_seconds))

    def release_concurrency_slots_with_lease(self, lease_id: UUID) -> None:
        self._run(methods.release_concurrency_slots_with_lease(lease_id))

    def create_concurrency_limit(self, tag: str, concurrency_limit: int) -> UUID:
        """The id of the limit of that tag, made or changed."""
        return self._run(methods.create_concurrency_limit(tag, concurrency_limit))

    def read_concurrency_limits(self, limit: int, offset: int) -> list[ConcurrencyLimit]:
        return self._run(methods.read_concurrency_limits(limit, offset))

    def reset_concurrency_limit_by_tag(
        self, tag: str, slot_override: list[UUID | str] | None = None
    ) -> None:
        """Give all slots back; then only the task runs of `slot_override` hold one."""
        self._run(methods.reset_concurrency_limit_by_tag(tag, slot_override))

    def increment_v1_concurrency_slots(
        self, names: list[str], task_run_id: UUID
    ) -> list[MinimalConcurrencyLimitResponse]:
        return self._run(methods.increment_v1_concurrency_slots(names, task_run_id))

    def decrement_v1_concurrency_slots(
        self, names: list[str], task_run_id: UUID, occupancy_seconds: float
    ) -> list[MinimalConcurrencyLimitResponse]:
        return self._run(
            methods.decrement_v1_concurrency_slots(names, task_run_id, occupancy_seconds)
        )

    def create_automation(self, automation: AutomationCreate) -> UUID:
        """The id of the new automation."""
        return self._run(methods.create_automation(automation))

    def update_automation(self, automation_id: UUID | str, automation: AutomationUpdate) -> None:
        """Replace everything but the owner."""
        self._run(methods.update_automation(automation_id, automation))

    def read_automations(
        self,
        *,
        automations: AutomationFilter | None = None,
        sort: AutomationSort | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[Automation]:
        return self._run(
            methods.read_automations(automations=automations, sort=sort, limit=limit, offset=offset)
        )

    def read_automations_by_name(self, name: str) -> list[Automation]:
        """Names may be shared: the automation that was changed last comes first."""
        return self._run(methods.read_automations_by_name(name))

    def read_automation(self, automation_id: UUID | str) -> Automation | None:
        """None for an unknown id."""
        return self._run(methods.read_automation(automation_id))

    def find_automation(self, id_or_name: str | UUID) -> Automation | None:
        """The automation of that id, else the one of that name that was changed last."""
        return self._run(methods.find_automation(id_or_name))

    def pause_automation(self, automation_id: UUID | str) -> None:
        self._run(methods.pause_automation(automation_id))

    def resume_automation(self, automation_id: UUID | str) -> None:
        self._run(methods.resume_automation(automation_id))

    def delete_automation(self, automation_id: UUID | str) -> None:
        """An unknown id is no error."""
        self._run(methods.delete_automation(automation_id))

    def read_resource_related_automations(self, resource_id: str) -> list[Automation]:
        """Automations that the resource owns, and those that run the deployment it is."""
        return self._run(methods.read_resource_related_automations(resource_id))

    def delete_resource_owned_automations(self, resource_id: str) -> None:
        self._run(methods.delete_resource_owned_automations(resource_id))

    def create_work_pool(self, work_pool: WorkPoolCreate, overwrite: bool = False) -> WorkPool:
        """Make a pool. With `overwrite` one of that name is changed, which keeps its type."""
        return self._run(methods.create_work_pool(work_pool, overwrite))

    def read_work_pool(self, work_pool_name: str) -> WorkPool:
        return self._run(methods.read_work_pool(work_pool_name))

    def read_work_pools(
        self,
        limit: int | None = None,
        offset: int = 0,
        work_pool_filter: WorkPoolFilter | None = None,
    ) -> list[WorkPool]:
        return self._run(methods.read_work_pools(limit, offset, work_pool_filter))

    def update_work_pool(self, work_pool_name: str, work_pool: WorkPoolUpdate) -> None:
        self._run(methods.update_work_pool(work_pool_name, work_pool))

    def delete_work_pool(self, work_pool_name: str) -> None:
        self._run(methods.delete_work_pool(work_pool_name))

    def read_work_pool_concurrency_status(
        self, work_pool_name: str, page: int = 1, limit: int | None = None, flow_run_limit: int = 10
    ) -> WorkPoolConcurrencyStatus:
        return self._run(
            methods.read_work_pool_concurrency_status(work_pool_name, page, limit, flow_run_limit)
        )

    def get_scheduled_flow_runs_for_work_pool(
        self,
        work_pool_name: str,
        work_queue_names: list[str] | None = None,
        scheduled_before: datetime | None = None,
    ) -> list[WorkerFlowRun]:
        """Runs that a worker of the pool may start, in the order in which to start them."""
        return self._run(
            methods.get_scheduled_flow_runs_for_work_pool(
                work_pool_name, work_queue_names, scheduled_before
            )
        )

    def send_worker_heartbeat(
        self, work_pool_name: str, worker_name: str, heartbeat_interval_seconds: float | None = None
    ) -> None:
        """Say that the worker is alive; the next time comes after whole seconds, rounded up."""
        self._run(
            methods.send_worker_heartbeat(work_pool_name, worker_name, heartbeat_interval_seconds)
        )

    def read_workers_for_work_pool(
        self,
        work_pool_name: str,
        worker_filter: WorkerFilter | None = None,
        offset: int | None = None,
        limit: int | None = None,
    ) -> list[Worker]:
        return self._run(
            methods.read_workers_for_work_pool(work_pool_name, worker_filter, offset, limit)
        )

    def create_work_queue(
        self,
        name: str,
        description: str | None = None,
        is_paused: bool | None = None,
        concurrency_limit: int | None = None,
        priority: int | None = None,
        work_pool_name: str | None = None,
    ) -> WorkQueue:
        """Make a queue; without a pool, in the pool of clients that know none."""
        return self._run(
            methods.create_work_queue(
                name, description, is_paused, concurrency_limit, priority, work_pool_name
            )
        )

    def read_work_queue(self, id: UUID | str) -> WorkQueue:
        return self._run(methods.read_work_queue(id))

    def read_work_queue_by_name(self, name: str, work_pool_name: str | None = None) -> WorkQueue:
        return self._run(methods.read_work_queue_by_name(name, work_pool_name))

    def read_work_queues(
        self,
        work_pool_name: str | None = None,
        work_queue_filter: WorkQueueFilter | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[WorkQueue]:
        """Queues of a pool in the order in which they are served, or of all pools by name."""
        return self._run(methods.read_work_queues(work_pool_name, work_queue_filter, limit, offset))

    def match_work_queues(
        self, prefixes: list[str], work_pool_name: str | None = None
    ) -> list[WorkQueue]:
        """All queues whose name begins with one of `prefixes`."""
        return self._run(methods.match_work_queues(prefixes, work_pool_name))

    def update_work_queue(self, id: UUID | str, **kwargs: Any) -> None:
        """Set the fields that are named. Raises `ValueError` when none is."""
        self._run(methods.update_work_queue(id, **kwargs))

    def delete_work_queue_by_id(self, id: UUID | str) -> None:
        self._run(methods.delete_work_queue_by_id(id))

    def get_runs_in_work_queue(
        self, id: UUID | str, limit: int = 10, scheduled_before: datetime | None = None
    ) -> list[FlowRun]:
        return self._run(methods.get_runs_in_work_queue(id, limit, scheduled_before))

    def read_work_queue_status(self, id: UUID | str) -> WorkQueueStatusDetail:
        return self._run(methods.read_work_queue_status(id))

    def read_work_queue_concurrency_status(
        self, id: UUID | str, page: int = 1, limit: int | None = None
    ) -> WorkQueueConcurrencyStatus:
        return self._run(methods.read_work_queue_concurrency_status(id, page, limit))

    def create_variable(self, variable: VariableCreate) -> Variable:
        return self._run(methods.create_variable(variable))

    def read_variable_by_name(self, name: str) -> Variable | None:
        """The variable, None when there is none of that name."""
        return self._run(methods.read_variable_by_name(name))

    def read_variables(self, limit: int | None = None) -> list[Variable]:
        """A page of the variables by name."""
        return self._run(methods.read_variables(limit))

    def update_variable(self, variable: VariableUpdate) -> None:
        """Set what `variable` gives of the variable that it names."""
        self._run(methods.update_variable(variable))

    def delete_variable_by_name(self, name: str) -> None:
        self._run(methods.delete_variable_by_name(name))

    def create_artifact(self, artifact: ArtifactCreate) -> Artifact:
        return self._run(methods.create_artifact(artifact))

    def update_artifact(self, artifact_id: UUID | str, artifact: ArtifactUpdate) -> None:
        self._run(methods.update_artifact(artifact_id, artifact))

    def delete_artifact(self, artifact_id: UUID | str) -> None:
        self._run(methods.delete_artifact(artifact_id))

    def read_artifacts(
        self,
        *,
        artifact_filter: ArtifactFilter | None = None,
        flow_run_filter: FlowRunFilter | None = None,
        task_run_filter: TaskRunFilter | None = None,
        sort: ArtifactSort | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Artifact]:
        """A page of the artifacts, the newest first; results of runs are among them."""
        return self._run(
            methods.read_artifacts(
                artifact_filter=artifact_filter,
                flow_run_filter=flow_run_filter,
                task_run_filter=task_run_filter,
                sort=sort,
                limit=limit,
                offset=offset,
            )
        )

    def read_latest_artifacts(
        self,
        *,
        artifact_filter: ArtifactCollectionFilter | None = None,
        flow_run_filter: FlowRunFilter | None = None,
        task_run_filter: TaskRunFilter | None = None,
        sort: ArtifactCollectionSort | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[ArtifactCollection]:
        """A page of the newest artifacts, one for each key."""
        return self._run(
            methods.read_latest_artifacts(
                artifact_filter=artifact_filter,
                flow_run_filter=flow_run_filter,
                task_run_filter=task_run_filter,
                sort=sort,
                limit=limit,
                offset=offset,
            )
        )

    def read_settings(self) -> dict[str, Any]:
        """GET /admin/settings"""
        return self.call("read_settings")

    def read_services(self) -> list[ServiceState]:
        """GET /admin/services"""
        return self.call("read_services")

    def read_metrics(self) -> str:
        """GET /metrics"""
        return self.call("read_metrics")

    def clear_server_default_result_storage(self) -> None:
        """DELETE /admin/storage"""
        self.call("clear_server_default_result_storage")

    def read_server_default_result_storage(self) -> ServerDefaultResultStorage:
        """GET /admin/storage"""
        return self.call("read_server_default_result_storage")

    def read_version(self) -> str:
        """GET /admin/version"""
        return self.call("read_version")

    def create_csrf_token(self, *, client: str) -> CsrfToken:
        """GET /csrf-token"""
        return self.call("create_csrf_token", client=client)

    def health_check(self) -> bool:
        """GET /health"""
        return self.call("health_check")

    def hello(self) -> str:
        """GET /hello"""
        return self.call("hello")

    def perform_readiness_check(self) -> Any:
        """GET /ready"""
        return self.call("perform_readiness_check")

    def server_version(self) -> str:
        """GET /version"""
        return self.call("server_version")

    def bulk_delete_flows(self, body: FlowsBulkDeleteBody | None = None) -> FlowBulkDeleteResponse:
        """POST /flows/bulk_delete"""
        return self.call("bulk_delete_flows", body=body)

    def count_flows(self, body: FlowsFilterBody | None = None) -> int:
        """POST /flows/count"""
        return self.call("count_flows", body=body)

    def paginate_flows(self, body: FlowsPaginateBody | None = None) -> FlowPaginationResponse:
        """POST /flows/paginate"""
        return self.call("paginate_flows", body=body)

    def update_flow(self, id: UUID | str, body: FlowUpdate) -> None:
        """PATCH /flows/{id}"""
        self.call("update_flow", id, body=body)

    def read_flow_run_state(self, id: UUID | str) -> State:
        """GET /flow_run_states/{id}"""
        return self.call("read_flow_run_state", id)

    def bulk_delete_flow_runs(
        self, body: FlowRunsBulkDeleteBody | None = None
    ) -> FlowRunBulkDeleteResponse:
        """POST /flow_runs/bulk_delete"""
        return self.call("bulk_delete_flow_runs", body=body)

    def bulk_set_flow_run_state(
        self, body: FlowRunsBulkSetStateBody
    ) -> FlowRunBulkSetStateResponse:
        """POST /flow_runs/bulk_set_state"""
        return self.call("bulk_set_flow_run_state", body=body)

    def flow_run_history(self, body: FlowRunHistoryBody) -> list[HistoryResponse]:
        """POST /flow_runs/history"""
        return self.call("flow_run_history", body=body)

    def average_flow_run_lateness(self, body: FlowRunsFilterBody | None = None) -> float | None:
        """POST /flow_runs/lateness"""
        return self.call("average_flow_run_lateness", body=body)

    def paginate_flow_runs(
        self, body: FlowRunsPaginateBody | None = None
    ) -> FlowRunPaginationResponse:
        """POST /flow_runs/paginate"""
        return self.call("paginate_flow_runs", body=body)

    def read_flow_run_graph_v1(self, id: UUID | str) -> list[DependencyResult]:
        """GET /flow_runs/{id}/graph"""
        return self.call("read_flow_run_graph_v1", id)

    def read_flow_run_graph_v2(self, id: UUID | str, *, since: datetime | None = None) -> Graph:
        """GET /flow_runs/{id}/graph-v2"""
        return self.call("read_flow_run_graph_v2", id, since=since)

    def download_logs(self, id: UUID | str) -> Any:
        """GET /flow_runs/{id}/logs/download"""
        return self.call("download_logs", id)

    def read_task_run_state(self, id: UUID | str) -> State:
        """GET /task_run_states/{id}"""
        return self.call("read_task_run_state", id)

    def count_task_runs(self, body: TaskRunsFilterBody | None = None) -> int:
        """POST /task_runs/count"""
        return self.call("count_task_runs", body=body)

    def task_run_history(self, body: TaskRunHistoryBody) -> list[HistoryResponse]:
        """POST /task_runs/history"""
        return self.call("task_run_history", body=body)

    def paginate_task_runs(
        self, body: TaskRunsPaginateBody | None = None
    ) -> TaskRunPaginationResponse:
        """POST /task_runs/paginate"""
        return self.call("paginate_task_runs", body=body)

    def update_task_run(self, id: UUID | str, body: TaskRunUpdate) -> None:
        """PATCH /task_runs/{id}"""
        self.call("update_task_run", id, body=body)

    def count_account_events(self, countable: Countable, body: EventsCountBody) -> list[EventCount]:
        """POST /events/count-by/{countable}"""
        return self.call("count_account_events", countable, body=body)

    def read_account_events_page(self, *, page_token: str) -> EventPage:
        """GET /events/filter/next"""
        return self.call("read_account_events_page", page_token=page_token)

    def decrement_concurrency_limits_v1(
        self, body: TaggedSlotsDecrement
    ) -> list[MinimalConcurrencyLimitResponse]:
        """POST /concurrency_limits/decrement"""
        return self.call("decrement_concurrency_limits_v1", body=body)

    def increment_concurrency_limits_v1(
        self, body: TaggedSlotsIncrement
    ) -> list[MinimalConcurrencyLimitResponse]:
        """POST /concurrency_limits/increment"""
        return self.call("increment_concurrency_limits_v1", body=body)

    def delete_concurrency_limit_by_tag(self, tag: str) -> Any:
        """DELETE /concurrency_limits/tag/{tag}"""
        return self.call("delete_concurrency_limit_by_tag", tag)

    def read_concurrency_limit_by_tag(self, tag: str) -> ConcurrencyLimit:
        """GET /concurrency_limits/tag/{tag}"""
        return self.call("read_concurrency_limit_by_tag", tag)

    def delete_concurrency_limit(self, id: UUID | str) -> Any:
        """DELETE /concurrency_limits/{id}"""
        return self.call("delete_concurrency_limit", id)

    def read_concurrency_limit(self, id: UUID | str) -> ConcurrencyLimit:
        """GET /concurrency_limits/{id}"""
        return self.call("read_concurrency_limit", id)

    def create_concurrency_limit_v2(self, body: ConcurrencyLimitV2Create) -> ConcurrencyLimitV2:
        """POST /v2/concurrency_limits/"""
        return self.call("create_concurrency_limit_v2", body=body)

    def bulk_decrement_active_slots(
        self, body: SlotsDecrement
    ) -> list[MinimalConcurrencyLimitResponse]:
        """POST /v2/concurrency_limits/decrement"""
        return self.call("bulk_decrement_active_slots", body=body)

    def bulk_decrement_active_slots_with_lease(self, body: LeaseRelease) -> None:
        """POST /v2/concurrency_limits/decrement-with-lease"""
        self.call("bulk_decrement_active_slots_with_lease", body=body)

    def read_all_concurrency_limits_v2(
        self, body: ConcurrencyLimitsPage | None = None
    ) -> list[GlobalConcurrencyLimitResponse]:
        """POST /v2/concurrency_limits/filter"""
        return self.call("read_all_concurrency_limits_v2", body=body)

    def bulk_increment_active_slots(
        self, body: SlotsIncrement
    ) -> list[MinimalConcurrencyLimitResponse]:
        """POST /v2/concurrency_limits/increment"""
        return self.call("bulk_increment_active_slots", body=body)

    def bulk_increment_active_slots_with_lease(
        self, body: SlotsIncrementWithLease
    ) -> ConcurrencyLimitWithLeaseResponse:
        """POST /v2/concurrency_limits/increment-with-lease"""
        return self.call("bulk_increment_active_slots_with_lease", body=body)

    def delete_concurrency_limit_v2(self, id_or_name: str) -> None:
        """DELETE /v2/concurrency_limits/{id_or_name}"""
        self.call("delete_concurrency_limit_v2", id_or_name)

    def read_concurrency_limit_v2(self, id_or_name: str) -> GlobalConcurrencyLimitResponse:
        """GET /v2/concurrency_limits/{id_or_name}"""
        return self.call("read_concurrency_limit_v2", id_or_name)

    def update_concurrency_limit_v2(self, id_or_name: str, body: ConcurrencyLimitV2Update) -> None:
        """PATCH /v2/concurrency_limits/{id_or_name}"""
        self.call("update_concurrency_limit_v2", id_or_name, body=body)

    def bulk_delete_deployments(
        self, body: DeploymentsBulkDeleteBody | None = None
    ) -> DeploymentBulkDeleteResponse:
        """POST /deployments/bulk_delete"""
        return self.call("bulk_delete_deployments", body=body)

    def count_deployments(self, body: DeploymentsFilterBody | None = None) -> int:
        """POST /deployments/count"""
        return self.call("count_deployments", body=body)

    def paginate_deployments(
        self, body: DeploymentsPaginateBody | None = None
    ) -> DeploymentPaginationResponse:
        """POST /deployments/paginate"""
        return self.call("paginate_deployments", body=body)

    def bulk_create_flow_runs_from_deployment(
        self, id: UUID | str, body: list[DeploymentFlowRunCreate]
    ) -> FlowRunBulkCreateResponse:
        """POST /deployments/{id}/create_flow_run/bulk"""
        return self.call("bulk_create_flow_runs_from_deployment", id, body=body)

    def schedule_deployment(
        self, id: UUID | str, body: ScheduleDeploymentBody | None = None
    ) -> Any:
        """POST /deployments/{id}/schedule"""
        return self.call("schedule_deployment", id, body=body)

    def work_queue_check_for_deployment(self, id: UUID | str) -> list[WorkQueue]:
        """GET /deployments/{id}/work_queue_check"""
        return self.call("work_queue_check_for_deployment", id)

    def count_work_pools(self, body: WorkPoolsCountBody | None = None) -> int:
        """POST /work_pools/count"""
        return self.call("count_work_pools", body=body)

    def get_scheduled_flow_runs(
        self, name: str, body: PollBody | None = None
    ) -> list[WorkerFlowRun]:
        """POST /work_pools/{name}/get_scheduled_flow_runs"""
        return self.call("get_scheduled_flow_runs", name, body=body)

    def create_work_pool_queue(self, work_pool_name: str, body: WorkQueueCreate) -> WorkQueue:
        """POST /work_pools/{work_pool_name}/queues"""
        return self.call("create_work_pool_queue", work_pool_name, body=body)

    def read_work_pool_queues(
        self, work_pool_name: str, body: WorkQueuesPage | None = None
    ) -> list[WorkQueue]:
        """POST /work_pools/{work_pool_name}/queues/filter"""
        return self.call("read_work_pool_queues", work_pool_name, body=body)

    def delete_work_pool_queue(self, work_pool_name: str, name: str) -> None:
        """DELETE /work_pools/{work_pool_name}/queues/{name}"""
        self.call("delete_work_pool_queue", work_pool_name, name)

    def read_work_pool_queue(self, work_pool_name: str, name: str) -> WorkQueue:
        """GET /work_pools/{work_pool_name}/queues/{name}"""
        return self.call("read_work_pool_queue", work_pool_name, name)

    def update_work_pool_queue(self, work_pool_name: str, name: str, body: WorkQueueUpdate) -> None:
        """PATCH /work_pools/{work_pool_name}/queues/{name}"""
        self.call("update_work_pool_queue", work_pool_name, name, body=body)

    def read_workers(self, work_pool_name: str, body: WorkersPage | None = None) -> list[Worker]:
        """POST /work_pools/{work_pool_name}/workers/filter"""
        return self.call("read_workers", work_pool_name, body=body)

    def worker_heartbeat(self, work_pool_name: str, body: WorkerHeartbeat) -> None:
        """POST /work_pools/{work_pool_name}/workers/heartbeat"""
        self.call("worker_heartbeat", work_pool_name, body=body)

    def delete_worker(self, work_pool_name: str, name: str) -> None:
        """DELETE /work_pools/{work_pool_name}/workers/{name}"""
        self.call("delete_worker", work_pool_name, name)

    def delete_work_queue(self, id: UUID | str) -> None:
        """DELETE /work_queues/{id}"""
        self.call("delete_work_queue", id)

    def read_work_queue_runs(
        self, id: UUID | str, body: WorkQueueRunsBody | None = None
    ) -> list[FlowRun]:
        """POST /work_queues/{id}/get_runs"""
        return self.call("read_work_queue_runs", id, body=body)

    def claim_flow_runs(self, body: ClaimBody) -> Claims:
        """POST /claims/take"""
        return self.call("claim_flow_runs", body=body)

    def renew_claims(self, body: RenewClaimsBody) -> RenewedClaims:
        """POST /claims/renew"""
        return self.call("renew_claims", body=body)

    def end_claim(self, body: EndClaimBody) -> EndedClaim:
        """POST /claims/end"""
        return self.call("end_claim", body=body)

    def read_cleanup_messages(self, body: CleanupPage | None = None) -> CleanupMessages:
        """POST /cleanup_messages/filter"""
        return self.call("read_cleanup_messages", body=body)

    def count_cleanup_messages(self, body: CleanupCountBody | None = None) -> dict[str, int]:
        """POST /cleanup_messages/count"""
        return self.call("count_cleanup_messages", body=body)

    def requeue_cleanup_messages(self, body: CleanupBulkBody) -> CleanupBulkResult:
        """POST /cleanup_messages/requeue"""
        return self.call("requeue_cleanup_messages", body=body)

    def cancel_cleanup_messages(self, body: CleanupBulkCancelBody) -> CleanupBulkResult:
        """POST /cleanup_messages/cancel"""
        return self.call("cancel_cleanup_messages", body=body)

    def read_cleanup_message(self, id: UUID | str) -> CleanupMessageDetail:
        """GET /cleanup_messages/{id}"""
        return self.call("read_cleanup_message", id)

    def delete_cleanup_message(self, id: UUID | str) -> None:
        """DELETE /cleanup_messages/{id}"""
        self.call("delete_cleanup_message", id)

    def requeue_cleanup_message(
        self, id: UUID | str, body: CleanupRequeueBody | None = None
    ) -> CleanupMessage:
        """POST /cleanup_messages/{id}/requeue"""
        return self.call("requeue_cleanup_message", id, body=body)

    def cancel_cleanup_message(
        self, id: UUID | str, body: CleanupCancelBody | None = None
    ) -> CleanupMessage:
        """POST /cleanup_messages/{id}/cancel"""
        return self.call("cancel_cleanup_message", id, body=body)

    def request_flow_run_cleanup(
        self, id: UUID | str, body: FlowRunCleanupBody | None = None
    ) -> CleanupMessage:
        """POST /flow_runs/{id}/cleanup"""
        return self.call("request_flow_run_cleanup", id, body=body)

    def read_flow_run_cleanup(self, id: UUID | str) -> CleanupHistory:
        """GET /flow_runs/{id}/cleanup"""
        return self.call("read_flow_run_cleanup", id)

    def read_work_pool_cleanup_status(self, name: str) -> CleanupPoolStatus:
        """GET /work_pools/{name}/cleanup_status"""
        return self.call("read_work_pool_cleanup_status", name)

    def read_available_block_capabilities(self) -> list[str]:
        """GET /block_capabilities/"""
        return self.call("read_available_block_capabilities")

    def create_block_document(self, body: BlockDocumentCreate) -> BlockDocument:
        """POST /block_documents/"""
        return self.call("create_block_document", body=body)

    def count_block_documents(self, body: BlockDocumentsFilterBody | None = None) -> int:
        """POST /block_documents/count"""
        return self.call("count_block_documents", body=body)

    def read_block_documents(
        self, body: BlockDocumentsFilterPage | None = None
    ) -> list[BlockDocument]:
        """POST /block_documents/filter"""
        return self.call("read_block_documents", body=body)

    def delete_block_document(self, id: UUID | str) -> None:
        """DELETE /block_documents/{id}"""
        self.call("delete_block_document", id)

    def read_block_document_by_id(
        self, id: UUID | str, *, include_secrets: bool | None = None
    ) -> BlockDocument:
        """GET /block_documents/{id}"""
        return self.call("read_block_document_by_id", id, include_secrets=include_secrets)

    def update_block_document_data(self, id: UUID | str, body: BlockDocumentUpdate) -> None:
        """PATCH /block_documents/{id}"""
        self.call("update_block_document_data", id, body=body)

    def create_block_schema(self, body: BlockSchemaCreate) -> BlockSchema:
        """POST /block_schemas/"""
        return self.call("create_block_schema", body=body)

    def read_block_schema_by_checksum(
        self, checksum: str, *, version: str | None = None
    ) -> BlockSchema:
        """GET /block_schemas/checksum/{checksum}"""
        return self.call("read_block_schema_by_checksum", checksum, version=version)

    def read_block_schemas(self, body: BlockSchemasFilterPage | None = None) -> list[BlockSchema]:
        """POST /block_schemas/filter"""
        return self.call("read_block_schemas", body=body)

    def delete_block_schema(self, id: UUID | str) -> None:
        """DELETE /block_schemas/{id}"""
        self.call("delete_block_schema", id)

    def read_block_schema_by_id(self, id: UUID | str) -> BlockSchema:
        """GET /block_schemas/{id}"""
        return self.call("read_block_schema_by_id", id)

    def create_block_type(self, body: BlockTypeCreate) -> BlockType:
        """POST /block_types/"""
        return self.call("create_block_type", body=body)

    def read_block_types(self, body: BlockTypesFilterPage | None = None) -> list[BlockType]:
        """POST /block_types/filter"""
        return self.call("read_block_types", body=body)

    def install_system_block_types(self) -> Any:
        """POST /block_types/install_system_block_types"""
        return self.call("install_system_block_types")

    def read_block_type_by_slug(self, slug: str) -> BlockType:
        """GET /block_types/slug/{slug}"""
        return self.call("read_block_type_by_slug", slug)

    def read_block_documents_for_block_type(
        self, slug: str, *, include_secrets: bool | None = None
    ) -> list[BlockDocument]:
        """GET /block_types/slug/{slug}/block_documents"""
        return self.call(
            "read_block_documents_for_block_type", slug, include_secrets=include_secrets
        )

    def read_block_document_by_name_for_block_type(
        self, slug: str, block_document_name: str, *, include_secrets: bool | None = None
    ) -> BlockDocument:
        """GET /block_types/slug/{slug}/block_documents/name/{block_document_name}"""
        return self.call(
            "read_block_document_by_name_for_block_type",
            slug,
            block_document_name,
            include_secrets=include_secrets,
        )

    def delete_block_type(self, id: UUID | str) -> None:
        """DELETE /block_types/{id}"""
        self.call("delete_block_type", id)

    def read_block_type_by_id(self, id: UUID | str) -> BlockType:
        """GET /block_types/{id}"""
        return self.call("read_block_type_by_id", id)

    def update_block_type(self, id: UUID | str, body: BlockTypeUpdate) -> None:
        """PATCH /block_types/{id}"""
        self.call("update_block_type", id, body=body)

    def count_automations(self) -> int:
        """POST /automations/count"""
        return self.call("count_automations")

    def delete_automations_owned_by_resource(self, resource_id: str) -> Any:
        """DELETE /automations/owned-by/{resource_id}"""
        return self.call("delete_automations_owned_by_resource", resource_id)

    def read_automations_related_to_resource(self, resource_id: str) -> list[Automation]:
        """GET /automations/related-to/{resource_id}"""
        return self.call("read_automations_related_to_resource", resource_id)

    def validate_automation_template(self, body: str | None = None) -> None:
        """POST /automations/templates/validate"""
        self.call("validate_automation_template", body=body)

    def patch_automation(self, id: UUID | str, body: AutomationPartialUpdate) -> None:
        """PATCH /automations/{id}"""
        self.call("patch_automation", id, body=body)

    def read_automation_firings(
        self, id: UUID | str, body: FiringsBody | None = None
    ) -> list[AutomationFiring]:
        """POST /automations/{id}/firings/filter"""
        return self.call("read_automation_firings", id, body=body)

    def test_automation(self, id: UUID | str, body: AutomationTestBody) -> AutomationTestResult:
        """POST /automations/{id}/test/filter"""
        return self.call("test_automation", id, body=body)

    def read_dead_actions(self, body: DeadActionsBody | None = None) -> list[ActionRun]:
        """POST /automations/actions/dead/filter"""
        return self.call("read_dead_actions", body=body)

    def requeue_action(self, firing_id: UUID | str, position: int) -> None:
        """POST /automations/actions/{firing_id}/{position}/requeue"""
        self.call("requeue_action", firing_id, position)

    def discard_action(self, firing_id: UUID | str, position: int) -> None:
        """POST /automations/actions/{firing_id}/{position}/discard"""
        self.call("discard_action", firing_id, position)

    def validate_template(self, body: str | None = None) -> None:
        """POST /templates/validate"""
        self.call("validate_template", body=body)

    def read_task_workers(self, body: TaskWorkersFilterBody | None = None) -> list[TaskWorker]:
        """POST /task_workers/filter"""
        return self.call("read_task_workers", body=body)

    def count_artifacts(self, body: ArtifactsFilterBody | None = None) -> int:
        """POST /artifacts/count"""
        return self.call("count_artifacts", body=body)

    def count_latest_artifacts(self, body: LatestArtifactsFilterBody | None = None) -> int:
        """POST /artifacts/latest/count"""
        return self.call("count_latest_artifacts", body=body)

    def read_artifact(self, id: UUID | str) -> Artifact:
        """GET /artifacts/{id}"""
        return self.call("read_artifact", id)

    def read_latest_artifact(self, key: str) -> Artifact:
        """GET /artifacts/{key}/latest"""
        return self.call("read_latest_artifact", key)

    def read_view_content(self, view: str) -> dict[str, Any]:
        """GET /collections/views/{view}"""
        return self.call("read_view_content", view)

    def create_saved_search(self, body: SavedSearchCreate) -> SavedSearch:
        """PUT /saved_searches/"""
        return self.call("create_saved_search", body=body)

    def read_saved_searches(self, body: SavedSearchesPage | None = None) -> list[SavedSearch]:
        """POST /saved_searches/filter"""
        return self.call("read_saved_searches", body=body)

    def delete_saved_search(self, id: UUID | str) -> None:
        """DELETE /saved_searches/{id}"""
        self.call("delete_saved_search", id)

    def read_saved_search(self, id: UUID | str) -> SavedSearch:
        """GET /saved_searches/{id}"""
        return self.call("read_saved_search", id)

    def count_task_runs_by_flow_run(self, body: FlowRunIdsBody) -> dict[str, int]:
        """POST /ui/flow_runs/count-task-runs"""
        return self.call("count_task_runs_by_flow_run", body=body)

    def read_flow_run_history(self, body: SimpleFlowRunsPage | None = None) -> list[SimpleFlowRun]:
        """POST /ui/flow_runs/history"""
        return self.call("read_flow_run_history", body=body)

    def count_deployments_by_flow(self, body: FlowIdsBody) -> dict[str, int]:
        """POST /ui/flows/count-deployments"""
        return self.call("count_deployments_by_flow", body=body)

    def next_runs_by_flow(self, body: FlowIdsBody) -> dict[str, SimpleNextFlowRun | None]:
        """POST /ui/flows/next-runs"""
        return self.call("next_runs_by_flow", body=body)

    def validate_obj(self, body: SchemaValidationBody) -> SchemaValuesValidationResponse:
        """POST /ui/schemas/validate"""
        return self.call("validate_obj", body=body)

    def read_task_run_counts_by_state(self, body: TaskRunCountsBody | None = None) -> CountByState:
        """POST /ui/task_runs/count"""
        return self.call("read_task_run_counts_by_state", body=body)

    def read_dashboard_task_run_counts(self, body: DashboardCountsBody) -> list[dict[str, int]]:
        """POST /ui/task_runs/dashboard/counts"""
        return self.call("read_dashboard_task_run_counts", body=body)

    def read_task_run_with_flow_run_name(self, id: UUID | str) -> UITaskRun:
        """GET /ui/task_runs/{id}"""
        return self.call("read_task_run_with_flow_run_name", id)

    def count_variables(self, body: VariablesFilterBody | None = None) -> int:
        """POST /variables/count"""
        return self.call("count_variables", body=body)

    def update_variable_by_name(self, name: str, body: VariableUpdate) -> None:
        """PATCH /variables/name/{name}"""
        self.call("update_variable_by_name", name, body=body)

    def delete_variable(self, id: UUID | str) -> None:
        """DELETE /variables/{id}"""
        self.call("delete_variable", id)

    def read_variable(self, id: UUID | str) -> Variable:
        """GET /variables/{id}"""
        return self.call("read_variable", id)

    def create_token(self, body: TokenCreate) -> NewToken:
        """POST /tokens"""
        return self.call("create_token", body=body)

    def read_tokens(self) -> list[Token]:
        """GET /tokens"""
        return self.call("read_tokens")

    def revoke_token(self, id: UUID | str) -> None:
        """DELETE /tokens/{id}"""
        self.call("revoke_token", id)

    def read_audit(self, body: AuditFilterBody | None = None) -> AuditPage:
        """POST /audit/filter"""
        return self.call("read_audit", body=body)

    def export_audit(self, *, after_seq: int | None = None, limit: int | None = None) -> str:
        """GET /audit/export"""
        return self.call("export_audit", after_seq=after_seq, limit=limit)

    def verify_audit(
        self, *, after: int | None = None, limit: int | None = None
    ) -> AuditVerification:
        """GET /audit/verify"""
        return self.call("verify_audit", after=after, limit=limit)

    def read_audit_record(self, id: UUID | str) -> AuditRecord:
        """GET /audit/{id}"""
        return self.call("read_audit_record", id)

    def read_audit_history(
        self, kind: str, reference: str, *, after: int | None = None, limit: int | None = None
    ) -> AuditPage:
        """GET /audit/objects/{kind}/{reference}"""
        return self.call("read_audit_history", kind, reference, after=after, limit=limit)

    def read_audit_state(self, kind: str, reference: str, *, time: datetime) -> AuditObjectState:
        """GET /audit/objects/{kind}/{reference}/at"""
        return self.call("read_audit_state", kind, reference, time=time)


class AsyncMethods:
    """One awaited method for everything the API offers."""

    async def call(self, operation: str, /, *params: Any, body: Any = None, **query: Any) -> Any:
        raise NotImplementedError

    async def _run(self, asked: Call[Any] | Steps[Any]) -> Any:
        raise NotImplementedError

    async def create_flow(self, flow: Any) -> UUID:
        """Make the flow (an object with a `name`) known; returns its id."""
        return await self._run(methods.create_flow(flow))

    async def create_flow_from_name(self, flow_name: str) -> UUID:
        return await self._run(methods.create_flow_from_name(flow_name))

    async def read_flow(self, flow_id: UUID | str) -> Flow:
        return await self._run(methods.read_flow(flow_id))

    async def read_flow_by_name(self, flow_name: str) -> Flow:
        return await self._run(methods.read_flow_by_name(flow_name))

    async def delete_flow(self, flow_id: UUID | str) -> None:
        await self._run(methods.delete_flow(flow_id))

    async def read_flows(
        self,
        *,
        flow_filter: FlowFilter | None = None,
        flow_run_filter: FlowRunFilter | None = None,
        task_run_filter: TaskRunFilter | None = None,
        deployment_filter: DeploymentFilter | None = None,
        work_pool_filter: WorkPoolFilter | None = None,
        sort: FlowSort | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Flow]:
        return await self._run(
            methods.read_flows(
                flow_filter=flow_filter,
                flow_run_filter=flow_run_filter,
                task_run_filter=task_run_filter,
                deployment_filter=deployment_filter,
                work_pool_filter=work_pool_filter,
                sort=sort,
                limit=limit,
                offset=offset,
            )
        )

    async def create_flow_run(
        self,
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
    ) -> FlowRun:
        """Create a run of `flow` (an object with `name`, and optionally `version`, `retries`,
        `retry_delay_seconds`), and the flow when it is new. Parameters must be JSON values. On a
        server that announces it this is one request, else two."""
        return await self._run(
            methods.create_flow_run(
                flow,
                name,
                parameters,
                context,
                tags,
                parent_task_run_id,
                state,
                work_pool_name,
                work_queue_name,
                job_variables,
                id,
            )
        )

    async def begin_flow_run(self, body: FlowRunBegin) -> FlowRun:
        """Create flow, run and first state: one request where the server announces it, else two."""
        return await self._run(methods.begin_flow_run(body))

    async def read_flow_run(self, flow_run_id: UUID | str) -> FlowRun:
        return await self._run(methods.read_flow_run(flow_run_id))

    async def update_flow_run(
        self,
        flow_run_id: UUID | str,
        flow_version: str | None = None,
        parameters: dict[str, Any] | None = None,
        name: str | None = None,
        tags: Iterable[str] | None = None,
        empirical_policy: FlowRunPolicy | None = None,
        infrastructure_pid: str | None = None,
        job_variables: dict[str, Any] | None = None,
    ) -> None:
        """Change the given fields; None leaves a field as it is."""
        await self._run(
            methods.update_flow_run(
                flow_run_id,
                flow_version,
                parameters,
                name,
                tags,
                empirical_policy,
                infrastructure_pid,
                job_variables,
            )
        )

    async def set_flow_run_name(self, flow_run_id: UUID | str, name: str) -> None:
        await self._run(methods.set_flow_run_name(flow_run_id, name))

    async def update_flow_run_labels(self, flow_run_id: UUID | str, labels: Labels) -> None:
        await self._run(methods.update_flow_run_labels(flow_run_id, labels))

    async def delete_flow_run(self, flow_run_id: UUID | str) -> None:
        await self._run(methods.delete_flow_run(flow_run_id))

    async def set_flow_run_state(
        self, flow_run_id: UUID | str, state: State | StateCreate, force: bool = False
    ) -> OrchestrationResult:
        """Propose `state`; `force` asks the server to skip its rules."""
        return await self._run(methods.set_flow_run_state(flow_run_id, state, force))

    async def resume_flow_run(
        self, flow_run_id: UUID | str, run_input: dict[str, Any] | None = None
    ) -> OrchestrationResult:
        return await self._run(methods.resume_flow_run(flow_run_id, run_input))

    async def read_flow_run_states(self, flow_run_id: UUID | str) -> list[State]:
        return await self._run(methods.read_flow_run_states(flow_run_id))

    async def read_flow_runs(
        self,
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
    ) -> list[FlowRun]:
        return await self._run(
            methods.read_flow_runs(
                flow_filter=flow_filter,
                flow_run_filter=flow_run_filter,
                task_run_filter=task_run_filter,
                deployment_filter=deployment_filter,
                work_pool_filter=work_pool_filter,
                work_queue_filter=work_queue_filter,
                sort=sort,
                limit=limit,
                offset=offset,
            )
        )

    async def count_flow_runs(
        self,
        *,
        flow_filter: FlowFilter | None = None,
        flow_run_filter: FlowRunFilter | None = None,
        task_run_filter: TaskRunFilter | None = None,
        deployment_filter: DeploymentFilter | None = None,
        work_pool_filter: WorkPoolFilter | None = None,
        work_queue_filter: WorkQueueFilter | None = None,
    ) -> int:
        return await self._run(
            methods.count_flow_runs(
                flow_filter=flow_filter,
                flow_run_filter=flow_run_filter,
                task_run_filter=task_run_filter,
                deployment_filter=deployment_filter,
                work_pool_filter=work_pool_filter,
                work_queue_filter=work_queue_filter,
            )
        )

    async def create_flow_run_input(
        self, flow_run_id: UUID | str, key: str, value: str, sender: str | None = None
    ) -> None:
        """Store an input; `sender` is `prefect.flow-run.<id>` and is checked to hold an id."""
        await self._run(methods.create_flow_run_input(flow_run_id, key, value, sender))

    async def filter_flow_run_input(
        self, flow_run_id: UUID | str, key_prefix: str, limit: int, exclude_keys: Iterable[str]
    ) -> list[FlowRunInput]:
        return await self._run(
            methods.filter_flow_run_input(flow_run_id, key_prefix, limit, exclude_keys)
        )

    async def read_flow_run_input(self, flow_run_id: UUID | str, key: str) -> str:
        return await self._run(methods.read_flow_run_input(flow_run_id, key))

    async def delete_flow_run_input(self, flow_run_id: UUID | str, key: str) -> None:
        await self._run(methods.delete_flow_run_input(flow_run_id, key))

    async def create_task_run(
        self,
        task: Any,
        flow_run_id: UUID | None,
        dynamic_key: str,
        id: UUID | None = None,
        name: str | None = None,
        extra_tags: Iterable[str] | None = None,
        state: State | StateCreate | None = None,
        task_inputs: Mapping[str, list[TaskInput]] | None = None,
    ) -> TaskRun:
        """Create a run of `task` (an object with `name`, `task_key` and the policy attributes)."""
        return await self._run(
            methods.create_task_run(
                task, flow_run_id, dynamic_key, id, name, extra_tags, state, task_inputs
            )
        )

    async def read_task_run(self, task_run_id: UUID | str) -> TaskRun:
        return await self._run(methods.read_task_run(task_run_id))

    async def delete_task_run(self, task_run_id: UUID | str) -> None:
        await self._run(methods.delete_task_run(task_run_id))

    async def set_task_run_name(self, task_run_id: UUID | str, name: str) -> None:
        await self._run(methods.set_task_run_name(task_run_id, name))

    async def set_task_run_state(
        self, task_run_id: UUID | str, state: State | StateCreate, force: bool = False
    ) -> OrchestrationResult:
        return await self._run(methods.set_task_run_state(task_run_id, state, force))

    async def read_task_run_states(self, task_run_id: UUID | str) -> list[State]:
        return await self._run(methods.read_task_run_states(task_run_id))

    async def read_task_runs(
        self,
        *,
        flow_filter: FlowFilter | None = None,
        flow_run_filter: FlowRunFilter | None = None,
        task_run_filter: TaskRunFilter | None = None,
        deployment_filter: DeploymentFilter | None = None,
        sort: TaskRunSort | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[TaskRun]:
        return await self._run(
            methods.read_task_runs(
                flow_filter=flow_filter,
                flow_run_filter=flow_run_filter,
                task_run_filter=task_run_filter,
                deployment_filter=deployment_filter,
                sort=sort,
                limit=limit,
                offset=offset,
            )
        )

    async def create_logs(self, logs: Iterable[LogCreate | dict[str, Any]]) -> None:
        await self._run(methods.create_logs(logs))

    async def read_logs(
        self,
        log_filter: LogFilter | None = None,
        limit: int | None = None,
        offset: int | None = None,
        sort: LogSort | None = None,
    ) -> list[Log]:
        return await self._run(methods.read_logs(log_filter, limit, offset, sort))

    async def create_events(self, events: Iterable[Event]) -> None:
        await self._run(methods.create_events(events))

    async def read_events(self, filter: EventFilter | None = None, limit: int = 50) -> EventPage:
        """The newest events that match; the server gives at most 50 a page."""
        return await self._run(methods.read_events(filter, limit))

    async def read_events_page(self, next_page_url: str) -> EventPage:
        """The page that `next_page` of another page names."""
        return await self._run(methods.read_events_page(next_page_url))

    async def update_server_default_result_storage(
        self, default_result_storage_block_id: UUID
    ) -> ServerDefaultResultStorage:
        return await self._run(
            methods.update_server_default_result_storage(default_result_storage_block_id)
        )

    async def api_version(self) -> str:
        """The server's version."""
        return await self._run(methods.api_version())

    async def api_healthcheck(self) -> Exception | None:
        """None when the API answers that it is well, else the error."""
        return await self._run(methods.api_healthcheck())

    async def find_flow_by_name(self, flow_name: str) -> Flow | None:
        """The flow of that name, None when there is none."""
        return await self._run(methods.find_flow_by_name(flow_name))

    async def create_deployment(
        self,
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
    ) -> UUID:
        """Make the deployment, or change the one of that flow and name; returns its id.

        None leaves a field as it is; the schedules become exactly those given."""
        return await self._run(
            methods.create_deployment(
                flow_id,
                name,
                version,
                version_info,
                schedules,
                concurrency_limit,
                concurrency_options,
                parameters,
                description,
                work_queue_name,
                work_pool_name,
                tags,
                storage_document_id,
                path,
                entrypoint,
                infrastructure_document_id,
                parameter_openapi_schema,
                paused,
                pull_steps,
                enforce_parameter_schema,
                job_variables,
            )
        )

    async def read_deployment(self, deployment_id: UUID | str) -> Deployment:
        return await self._run(methods.read_deployment(deployment_id))

    async def read_deployment_by_name(self, name: str) -> Deployment:
        """The deployment named `<flow>/<deployment>`. Raises `ValueError` for another form."""
        return await self._run(methods.read_deployment_by_name(name))

    async def read_deployments(
        self,
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
    ) -> list[Deployment]:
        return await self._run(
            methods.read_deployments(
                flow_filter=flow_filter,
                flow_run_filter=flow_run_filter,
                task_run_filter=task_run_filter,
                deployment_filter=deployment_filter,
                work_pool_filter=work_pool_filter,
                work_queue_filter=work_queue_filter,
                limit=limit,
                sort=sort,
                offset=offset,
            )
        )

    async def update_deployment(
        self, deployment_id: UUID | str, deployment: DeploymentUpdate
    ) -> None:
        await self._run(methods.update_deployment(deployment_id, deployment))

    async def set_deployment_paused_state(self, deployment_id: UUID | str, paused: bool) -> None:
        await self._run(methods.set_deployment_paused_state(deployment_id, paused))

    async def pause_deployment(self, deployment_id: UUID | str) -> None:
        """Let no more runs be planned; those that are planned are taken back."""
        await self._run(methods.pause_deployment(deployment_id))

    async def resume_deployment(self, deployment_id: UUID | str) -> None:
        await self._run(methods.resume_deployment(deployment_id))

    async def delete_deployment(self, deployment_id: UUID | str) -> None:
        await self._run(methods.delete_deployment(deployment_id))

    async def create_deployment_schedules(
        self,
        deployment_id: UUID | str,
        schedules: list[tuple[AnySchedule, bool]] | list[DeploymentScheduleCreate],
        max_scheduled_runs: int | None = None,
        parameters: dict[str, Any] | None = None,
        slug: str | None = None,
    ) -> list[DeploymentSchedule]:
        """Add schedules, given whole or as pairs of a schedule and whether it is active.

        The other arguments are for schedules given as pairs."""
        return await self._run(
            methods.create_deployment_schedules(
                deployment_id, schedules, max_scheduled_runs, parameters, slug
            )
        )

    async def read_deployment_schedules(
        self, deployment_id: UUID | str
    ) -> list[DeploymentSchedule]:
        return await self._run(methods.read_deployment_schedules(deployment_id))

    async def update_deployment_schedule(
        self,
        deployment_id: UUID | str,
        schedule_id: UUID | str,
        active: bool | None = None,
        schedule: AnySchedule | None = None,
        max_scheduled_runs: int | None = None,
        parameters: dict[str, Any] | None = None,
        slug: str | None = None,
    ) -> None:
        """Change the given fields; None leaves a field as it is."""
        await self._run(
            methods.update_deployment_schedule(
                deployment_id, schedule_id, active, schedule, max_scheduled_runs, parameters, slug
            )
        )

    async def delete_deployment_schedule(
        self, deployment_id: UUID | str, schedule_id: UUID | str
    ) -> None:
        await self._run(methods.delete_deployment_schedule(deployment_id, schedule_id))

    async def get_scheduled_flow_runs_for_deployments(
        self,
        deployment_ids: list[UUID],
        scheduled_before: datetime | None = None,
        limit: int | None = None,
    ) -> list[FlowRun]:
        return await self._run(
            methods.get_scheduled_flow_runs_for_deployments(deployment_ids, scheduled_before, limit)
        )

    async def create_flow_run_from_deployment(
        self,
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
    ) -> FlowRun:
        """A run of the deployment, scheduled for now unless `state` says otherwise."""
        return await self._run(
            methods.create_flow_run_from_deployment(
                deployment_id,
                parameters=parameters,
                context=context,
                state=state,
                name=name,
                tags=tags,
                idempotency_key=idempotency_key,
                parent_task_run_id=parent_task_run_id,
                work_queue_name=work_queue_name,
                job_variables=job_variables,
                labels=labels,
            )
        )

    async def create_global_concurrency_limit(
        self, concurrency_limit: ConcurrencyLimitV2Create
    ) -> UUID:
        """The id of the new limit. Raises `ObjectAlreadyExists` for a name that is taken."""
        return await self._run(methods.create_global_concurrency_limit(concurrency_limit))

    async def read_global_concurrency_limit_by_name(
        self, name: str
    ) -> GlobalConcurrencyLimitResponse:
        return await self._run(methods.read_global_concurrency_limit_by_name(name))

    async def read_global_concurrency_limits(
        self, limit: int = 10, offset: int = 0
    ) -> list[GlobalConcurrencyLimitResponse]:
        return await self._run(methods.read_global_concurrency_limits(limit, offset))

    async def update_global_concurrency_limit(
        self, name: str, concurrency_limit: ConcurrencyLimitV2Update
    ) -> None:
        await self._run(methods.update_global_concurrency_limit(name, concurrency_limit))

    async def upsert_global_concurrency_limit_by_name(
        self, name: str, limit: int, slot_decay_per_second: float | None = None
    ) -> None:
        """Give the limit of that name so many slots, and make it when there is none."""
        await self._run(
            methods.upsert_global_concurrency_limit_by_name(name, limit, slot_decay_per_second)
        )

    async def delete_global_concurrency_limit_by_name(self, name: str) -> None:
        await self._run(methods.delete_global_concurrency_limit_by_name(name))

    async def increment_concurrency_slots(
        self, names: list[str], slots: int, mode: str
    ) -> list[MinimalConcurrencyLimitResponse]:
        """Take slots without a lease. Status 423 says that too few are free."""
        return await self._run(methods.increment_concurrency_slots(names, slots, mode))

    async def increment_concurrency_slots_with_lease(
        self,
        names: list[str],
        slots: int,
        mode: str,
        lease_duration: float,
        holder: ConcurrencyLeaseHolder | None = None,
    ) -> ConcurrencyLimitWithLeaseResponse:
        """Take slots for `lease_duration` seconds. Status 423 says that too few are free."""
        return await self._run(
            methods.increment_concurrency_slots_with_lease(
                names, slots, mode, lease_duration, holder
            )
        )

    async def renew_concurrency_lease(self, lease_id: UUID, lease_duration: float) -> None:
        """Let a lease end `lease_duration` seconds from now. Status 410 says that it has ended."""
        await self._run(methods.renew_concurrency_lease(lease_id, lease_duration))

    async def release_concurrency_slots(
        self, names: list[str], slots: int, occupancy_seconds: float
    ) -> list[MinimalConcurrencyLimitResponse]:
        """Give back slots that were taken without a lease and held so long."""
        return await self._run(methods.release_concurrency_slots(names, slots, occupancy_seconds))

    async def release_concurrency_slots_with_lease(self, lease_id: UUID) -> None:
        await self._run(methods.release_concurrency_slots_with_lease(lease_id))

    async def create_concurrency_limit(self, tag: str, concurrency_limit: int) -> UUID:
        """The id of the limit of that tag, made or changed."""
        return await self._run(methods.create_concurrency_limit(tag, concurrency_limit))

    async def read_concurrency_limits(self, limit: int, offset: int) -> list[ConcurrencyLimit]:
        return await self._run(methods.read_concurrency_limits(limit, offset))

    async def reset_concurrency_limit_by_tag(
        self, tag: str, slot_override: list[UUID | str] | None = None
    ) -> None:
        """Give all slots back; then only the task runs of `slot_override` hold one."""
        await self._run(methods.reset_concurrency_limit_by_tag(tag, slot_override))

    async def increment_v1_concurrency_slots(
        self, names: list[str], task_run_id: UUID
    ) -> list[MinimalConcurrencyLimitResponse]:
        return await self._run(methods.increment_v1_concurrency_slots(names, task_run_id))

    async def decrement_v1_concurrency_slots(
        self, names: list[str], task_run_id: UUID, occupancy_seconds: float
    ) -> list[MinimalConcurrencyLimitResponse]:
        return await self._run(
            methods.decrement_v1_concurrency_slots(names, task_run_id, occupancy_seconds)
        )

    async def create_automation(self, automation: AutomationCreate) -> UUID:
        """The id of the new automation."""
        return await self._run(methods.create_automation(automation))

    async def update_automation(
        self, automation_id: UUID | str, automation: AutomationUpdate
    ) -> None:
        """Replace everything but the owner."""
        await self._run(methods.update_automation(automation_id, automation))

    async def read_automations(
        self,
        *,
        automations: AutomationFilter | None = None,
        sort: AutomationSort | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[Automation]:
        return await self._run(
            methods.read_automations(automations=automations, sort=sort, limit=limit, offset=offset)
        )

    async def read_automations_by_name(self, name: str) -> list[Automation]:
        """Names may be shared: the automation that was changed last comes first."""
        return await self._run(methods.read_automations_by_name(name))

    async def read_automation(self, automation_id: UUID | str) -> Automation | None:
        """None for an unknown id."""
        return await self._run(methods.read_automation(automation_id))

    async def find_automation(self, id_or_name: str | UUID) -> Automation | None:
        """The automation of that id, else the one of that name that was changed last."""
        return await self._run(methods.find_automation(id_or_name))

    async def pause_automation(self, automation_id: UUID | str) -> None:
        await self._run(methods.pause_automation(automation_id))

    async def resume_automation(self, automation_id: UUID | str) -> None:
        await self._run(methods.resume_automation(automation_id))

    async def delete_automation(self, automation_id: UUID | str) -> None:
        """An unknown id is no error."""
        await self._run(methods.delete_automation(automation_id))

    async def read_resource_related_automations(self, resource_id: str) -> list[Automation]:
        """Automations that the resource owns, and those that run the deployment it is."""
        return await self._run(methods.read_resource_related_automations(resource_id))

    async def delete_resource_owned_automations(self, resource_id: str) -> None:
        await self._run(methods.delete_resource_owned_automations(resource_id))

    async def create_work_pool(
        self, work_pool: WorkPoolCreate, overwrite: bool = False
    ) -> WorkPool:
        """Make a pool. With `overwrite` one of that name is changed, which keeps its type."""
        return await self._run(methods.create_work_pool(work_pool, overwrite))

    async def read_work_pool(self, work_pool_name: str) -> WorkPool:
        return await self._run(methods.read_work_pool(work_pool_name))

    async def read_work_pools(
        self,
        limit: int | None = None,
        offset: int = 0,
        work_pool_filter: WorkPoolFilter | None = None,
    ) -> list[WorkPool]:
        return await self._run(methods.read_work_pools(limit, offset, work_pool_filter))

    async def update_work_pool(self, work_pool_name: str, work_pool: WorkPoolUpdate) -> None:
        await self._run(methods.update_work_pool(work_pool_name, work_pool))

    async def delete_work_pool(self, work_pool_name: str) -> None:
        await self._run(methods.delete_work_pool(work_pool_name))

    async def read_work_pool_concurrency_status(
        self, work_pool_name: str, page: int = 1, limit: int | None = None, flow_run_limit: int = 10
    ) -> WorkPoolConcurrencyStatus:
        return await self._run(
            methods.read_work_pool_concurrency_status(work_pool_name, page, limit, flow_run_limit)
        )

    async def get_scheduled_flow_runs_for_work_pool(
        self,
        work_pool_name: str,
        work_queue_names: list[str] | None = None,
        scheduled_before: datetime | None = None,
    ) -> list[WorkerFlowRun]:
        """Runs that a worker of the pool may start, in the order in which to start them."""
        return await self._run(
            methods.get_scheduled_flow_runs_for_work_pool(
                work_pool_name, work_queue_names, scheduled_before
            )
        )

    async def send_worker_heartbeat(
        self, work_pool_name: str, worker_name: str, heartbeat_interval_seconds: float | None = None
    ) -> None:
        """Say that the worker is alive; the next time comes after whole seconds, rounded up."""
        await self._run(
            methods.send_worker_heartbeat(work_pool_name, worker_name, heartbeat_interval_seconds)
        )

    async def read_workers_for_work_pool(
        self,
        work_pool_name: str,
        worker_filter: WorkerFilter | None = None,
        offset: int | None = None,
        limit: int | None = None,
    ) -> list[Worker]:
        return await self._run(
            methods.read_workers_for_work_pool(work_pool_name, worker_filter, offset, limit)
        )

    async def create_work_queue(
        self,
        name: str,
        description: str | None = None,
        is_paused: bool | None = None,
        concurrency_limit: int | None = None,
        priority: int | None = None,
        work_pool_name: str | None = None,
    ) -> WorkQueue:
        """Make a queue; without a pool, in the pool of clients that know none."""
        return await self._run(
            methods.create_work_queue(
                name, description, is_paused, concurrency_limit, priority, work_pool_name
            )
        )

    async def read_work_queue(self, id: UUID | str) -> WorkQueue:
        return await self._run(methods.read_work_queue(id))

    async def read_work_queue_by_name(
        self, name: str, work_pool_name: str | None = None
    ) -> WorkQueue:
        return await self._run(methods.read_work_queue_by_name(name, work_pool_name))

    async def read_work_queues(
        self,
        work_pool_name: str | None = None,
        work_queue_filter: WorkQueueFilter | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[WorkQueue]:
        """Queues of a pool in the order in which they are served, or of all pools by name."""
        return await self._run(
            methods.read_work_queues(work_pool_name, work_queue_filter, limit, offset)
        )

    async def match_work_queues(
        self, prefixes: list[str], work_pool_name: str | None = None
    ) -> list[WorkQueue]:
        """All queues whose name begins with one of `prefixes`."""
        return await self._run(methods.match_work_queues(prefixes, work_pool_name))

    async def update_work_queue(self, id: UUID | str, **kwargs: Any) -> None:
        """Set the fields that are named. Raises `ValueError` when none is."""
        await self._run(methods.update_work_queue(id, **kwargs))

    async def delete_work_queue_by_id(self, id: UUID | str) -> None:
        await self._run(methods.delete_work_queue_by_id(id))

    async def get_runs_in_work_queue(
        self, id: UUID | str, limit: int = 10, scheduled_before: datetime | None = None
    ) -> list[FlowRun]:
        return await self._run(methods.get_runs_in_work_queue(id, limit, scheduled_before))

    async def read_work_queue_status(self, id: UUID | str) -> WorkQueueStatusDetail:
        return await self._run(methods.read_work_queue_status(id))

    async def read_work_queue_concurrency_status(
        self, id: UUID | str, page: int = 1, limit: int | None = None
    ) -> WorkQueueConcurrencyStatus:
        return await self._run(methods.read_work_queue_concurrency_status(id, page, limit))

    async def create_variable(self, variable: VariableCreate) -> Variable:
        return await self._run(methods.create_variable(variable))

    async def read_variable_by_name(self, name: str) -> Variable | None:
        """The variable, None when there is none of that name."""
        return await self._run(methods.read_variable_by_name(name))

    async def read_variables(self, limit: int | None = None) -> list[Variable]:
        """A page of the variables by name."""
        return await self._run(methods.read_variables(limit))

    async def update_variable(self, variable: VariableUpdate) -> None:
        """Set what `variable` gives of the variable that it names."""
        await self._run(methods.update_variable(variable))

    async def delete_variable_by_name(self, name: str) -> None:
        await self._run(methods.delete_variable_by_name(name))

    async def create_artifact(self, artifact: ArtifactCreate) -> Artifact:
        return await self._run(methods.create_artifact(artifact))

    async def update_artifact(self, artifact_id: UUID | str, artifact: ArtifactUpdate) -> None:
        await self._run(methods.update_artifact(artifact_id, artifact))

    async def delete_artifact(self, artifact_id: UUID | str) -> None:
        await self._run(methods.delete_artifact(artifact_id))

    async def read_artifacts(
        self,
        *,
        artifact_filter: ArtifactFilter | None = None,
        flow_run_filter: FlowRunFilter | None = None,
        task_run_filter: TaskRunFilter | None = None,
        sort: ArtifactSort | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Artifact]:
        """A page of the artifacts, the newest first; results of runs are among them."""
        return await self._run(
            methods.read_artifacts(
                artifact_filter=artifact_filter,
                flow_run_filter=flow_run_filter,
                task_run_filter=task_run_filter,
                sort=sort,
                limit=limit,
                offset=offset,
            )
        )

    async def read_latest_artifacts(
        self,
        *,
        artifact_filter: ArtifactCollectionFilter | None = None,
        flow_run_filter: FlowRunFilter | None = None,
        task_run_filter: TaskRunFilter | None = None,
        sort: ArtifactCollectionSort | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[ArtifactCollection]:
        """A page of the newest artifacts, one for each key."""
        return await self._run(
            methods.read_latest_artifacts(
                artifact_filter=artifact_filter,
                flow_run_filter=flow_run_filter,
                task_run_filter=task_run_filter,
                sort=sort,
                limit=limit,
                offset=offset,
            )
        )

    async def read_settings(self) -> dict[str, Any]:
        """GET /admin/settings"""
        return await self.call("read_settings")

    async def read_services(self) -> list[ServiceState]:
        """GET /admin/services"""
        return await self.call("read_services")

    async def read_metrics(self) -> str:
        """GET /metrics"""
        return await self.call("read_metrics")

    async def clear_server_default_result_storage(self) -> None:
        """DELETE /admin/storage"""
        await self.call("clear_server_default_result_storage")

    async def read_server_default_result_storage(self) -> ServerDefaultResultStorage:
        """GET /admin/storage"""
        return await self.call("read_server_default_result_storage")

    async def read_version(self) -> str:
        """GET /admin/version"""
        return await self.call("read_version")

    async def create_csrf_token(self, *, client: str) -> CsrfToken:
        """GET /csrf-token"""
        return await self.call("create_csrf_token", client=client)

    async def health_check(self) -> bool:
        """GET /health"""
        return await self.call("health_check")

    async def hello(self) -> str:
        """GET /hello"""
        return await self.call("hello")

    async def perform_readiness_check(self) -> Any:
        """GET /ready"""
        return await self.call("perform_readiness_check")

    async def server_version(self) -> str:
        """GET /version"""
        return await self.call("server_version")

    async def bulk_delete_flows(
        self, body: FlowsBulkDeleteBody | None = None
    ) -> FlowBulkDeleteResponse:
        """POST /flows/bulk_delete"""
        return await self.call("bulk_delete_flows", body=body)

    async def count_flows(self, body: FlowsFilterBody | None = None) -> int:
        """POST /flows/count"""
        return await self.call("count_flows", body=body)

    async def paginate_flows(self, body: FlowsPaginateBody | None = None) -> FlowPaginationResponse:
        """POST /flows/paginate"""
        return await self.call("paginate_flows", body=body)

    async def update_flow(self, id: UUID | str, body: FlowUpdate) -> None:
        """PATCH /flows/{id}"""
        await self.call("update_flow", id, body=body)

    async def read_flow_run_state(self, id: UUID | str) -> State:
        """GET /flow_run_states/{id}"""
        return await self.call("read_flow_run_state", id)

    async def bulk_delete_flow_runs(
        self, body: FlowRunsBulkDeleteBody | None = None
    ) -> FlowRunBulkDeleteResponse:
        """POST /flow_runs/bulk_delete"""
        return await self.call("bulk_delete_flow_runs", body=body)

    async def bulk_set_flow_run_state(
        self, body: FlowRunsBulkSetStateBody
    ) -> FlowRunBulkSetStateResponse:
        """POST /flow_runs/bulk_set_state"""
        return await self.call("bulk_set_flow_run_state", body=body)

    async def flow_run_history(self, body: FlowRunHistoryBody) -> list[HistoryResponse]:
        """POST /flow_runs/history"""
        return await self.call("flow_run_history", body=body)

    async def average_flow_run_lateness(
        self, body: FlowRunsFilterBody | None = None
    ) -> float | None:
        """POST /flow_runs/lateness"""
        return await self.call("average_flow_run_lateness", body=body)

    async def paginate_flow_runs(
        self, body: FlowRunsPaginateBody | None = None
    ) -> FlowRunPaginationResponse:
        """POST /flow_runs/paginate"""
        return await self.call("paginate_flow_runs", body=body)

    async def read_flow_run_graph_v1(self, id: UUID | str) -> list[DependencyResult]:
        """GET /flow_runs/{id}/graph"""
        return await self.call("read_flow_run_graph_v1", id)

    async def read_flow_run_graph_v2(
        self, id: UUID | str, *, since: datetime | None = None
    ) -> Graph:
        """GET /flow_runs/{id}/graph-v2"""
        return await self.call("read_flow_run_graph_v2", id, since=since)

    async def download_logs(self, id: UUID | str) -> Any:
        """GET /flow_runs/{id}/logs/download"""
        return await self.call("download_logs", id)

    async def read_task_run_state(self, id: UUID | str) -> State:
        """GET /task_run_states/{id}"""
        return await self.call("read_task_run_state", id)

    async def count_task_runs(self, body: TaskRunsFilterBody | None = None) -> int:
        """POST /task_runs/count"""
        return await self.call("count_task_runs", body=body)

    async def task_run_history(self, body: TaskRunHistoryBody) -> list[HistoryResponse]:
        """POST /task_runs/history"""
        return await self.call("task_run_history", body=body)

    async def paginate_task_runs(
        self, body: TaskRunsPaginateBody | None = None
    ) -> TaskRunPaginationResponse:
        """POST /task_runs/paginate"""
        return await self.call("paginate_task_runs", body=body)

    async def update_task_run(self, id: UUID | str, body: TaskRunUpdate) -> None:
        """PATCH /task_runs/{id}"""
        await self.call("update_task_run", id, body=body)

    async def count_account_events(
        self, countable: Countable, body: EventsCountBody
    ) -> list[EventCount]:
        """POST /events/count-by/{countable}"""
        return await self.call("count_account_events", countable, body=body)

    async def read_account_events_page(self, *, page_token: str) -> EventPage:
        """GET /events/filter/next"""
        return await self.call("read_account_events_page", page_token=page_token)

    async def decrement_concurrency_limits_v1(
        self, body: TaggedSlotsDecrement
    ) -> list[MinimalConcurrencyLimitResponse]:
        """POST /concurrency_limits/decrement"""
        return await self.call("decrement_concurrency_limits_v1", body=body)

    async def increment_concurrency_limits_v1(
        self, body: TaggedSlotsIncrement
    ) -> list[MinimalConcurrencyLimitResponse]:
        """POST /concurrency_limits/increment"""
        return await self.call("increment_concurrency_limits_v1", body=body)

    async def delete_concurrency_limit_by_tag(self, tag: str) -> Any:
        """DELETE /concurrency_limits/tag/{tag}"""
        return await self.call("delete_concurrency_limit_by_tag", tag)

    async def read_concurrency_limit_by_tag(self, tag: str) -> ConcurrencyLimit:
        """GET /concurrency_limits/tag/{tag}"""
        return await self.call("read_concurrency_limit_by_tag", tag)

    async def delete_concurrency_limit(self, id: UUID | str) -> Any:
        """DELETE /concurrency_limits/{id}"""
        return await self.call("delete_concurrency_limit", id)

    async def read_concurrency_limit(self, id: UUID | str) -> ConcurrencyLimit:
        """GET /concurrency_limits/{id}"""
        return await self.call("read_concurrency_limit", id)

    async def create_concurrency_limit_v2(
        self, body: ConcurrencyLimitV2Create
    ) -> ConcurrencyLimitV2:
        """POST /v2/concurrency_limits/"""
        return await self.call("create_concurrency_limit_v2", body=body)

    async def bulk_decrement_active_slots(
        self, body: SlotsDecrement
    ) -> list[MinimalConcurrencyLimitResponse]:
        """POST /v2/concurrency_limits/decrement"""
        return await self.call("bulk_decrement_active_slots", body=body)

    async def bulk_decrement_active_slots_with_lease(self, body: LeaseRelease) -> None:
        """POST /v2/concurrency_limits/decrement-with-lease"""
        await self.call("bulk_decrement_active_slots_with_lease", body=body)

    async def read_all_concurrency_limits_v2(
        self, body: ConcurrencyLimitsPage | None = None
    ) -> list[GlobalConcurrencyLimitResponse]:
        """POST /v2/concurrency_limits/filter"""
        return await self.call("read_all_concurrency_limits_v2", body=body)

    async def bulk_increment_active_slots(
        self, body: SlotsIncrement
    ) -> list[MinimalConcurrencyLimitResponse]:
        """POST /v2/concurrency_limits/increment"""
        return await self.call("bulk_increment_active_slots", body=body)

    async def bulk_increment_active_slots_with_lease(
        self, body: SlotsIncrementWithLease
    ) -> ConcurrencyLimitWithLeaseResponse:
        """POST /v2/concurrency_limits/increment-with-lease"""
        return await self.call("bulk_increment_active_slots_with_lease", body=body)

    async def delete_concurrency_limit_v2(self, id_or_name: str) -> None:
        """DELETE /v2/concurrency_limits/{id_or_name}"""
        await self.call("delete_concurrency_limit_v2", id_or_name)

    async def read_concurrency_limit_v2(self, id_or_name: str) -> GlobalConcurrencyLimitResponse:
        """GET /v2/concurrency_limits/{id_or_name}"""
        return await self.call("read_concurrency_limit_v2", id_or_name)

    async def update_concurrency_limit_v2(
        self, id_or_name: str, body: ConcurrencyLimitV2Update
    ) -> None:
        """PATCH /v2/concurrency_limits/{id_or_name}"""
        await self.call("update_concurrency_limit_v2", id_or_name, body=body)

    async def bulk_delete_deployments(
        self, body: DeploymentsBulkDeleteBody | None = None
    ) -> DeploymentBulkDeleteResponse:
        """POST /deployments/bulk_delete"""
        return await self.call("bulk_delete_deployments", body=body)

    async def count_deployments(self, body: DeploymentsFilterBody | None = None) -> int:
        """POST /deployments/count"""
        return await self.call("count_deployments", body=body)

    async def paginate_deployments(
        self, body: DeploymentsPaginateBody | None = None
    ) -> DeploymentPaginationResponse:
        """POST /deployments/paginate"""
        return await self.call("paginate_deployments", body=body)

    async def bulk_create_flow_runs_from_deployment(
        self, id: UUID | str, body: list[DeploymentFlowRunCreate]
    ) -> FlowRunBulkCreateResponse:
        """POST /deployments/{id}/create_flow_run/bulk"""
        return await self.call("bulk_create_flow_runs_from_deployment", id, body=body)

    async def schedule_deployment(
        self, id: UUID | str, body: ScheduleDeploymentBody | None = None
    ) -> Any:
        """POST /deployments/{id}/schedule"""
        return await self.call("schedule_deployment", id, body=body)

    async def work_queue_check_for_deployment(self, id: UUID | str) -> list[WorkQueue]:
        """GET /deployments/{id}/work_queue_check"""
        return await self.call("work_queue_check_for_deployment", id)

    async def count_work_pools(self, body: WorkPoolsCountBody | None = None) -> int:
        """POST /work_pools/count"""
        return await self.call("count_work_pools", body=body)

    async def get_scheduled_flow_runs(
        self, name: str, body: PollBody | None = None
    ) -> list[WorkerFlowRun]:
        """POST /work_pools/{name}/get_scheduled_flow_runs"""
        return await self.call("get_scheduled_flow_runs", name, body=body)

    async def create_work_pool_queue(self, work_pool_name: str, body: WorkQueueCreate) -> WorkQueue:
        """POST /work_pools/{work_pool_name}/queues"""
        return await self.call("create_work_pool_queue", work_pool_name, body=body)

    async def read_work_pool_queues(
        self, work_pool_name: str, body: WorkQueuesPage | None = None
    ) -> list[WorkQueue]:
        """POST /work_pools/{work_pool_name}/queues/filter"""
        return await self.call("read_work_pool_queues", work_pool_name, body=body)

    async def delete_work_pool_queue(self, work_pool_name: str, name: str) -> None:
        """DELETE /work_pools/{work_pool_name}/queues/{name}"""
        await self.call("delete_work_pool_queue", work_pool_name, name)

    async def read_work_pool_queue(self, work_pool_name: str, name: str) -> WorkQueue:
        """GET /work_pools/{work_pool_name}/queues/{name}"""
        return await self.call("read_work_pool_queue", work_pool_name, name)

    async def update_work_pool_queue(
        self, work_pool_name: str, name: str, body: WorkQueueUpdate
    ) -> None:
        """PATCH /work_pools/{work_pool_name}/queues/{name}"""
        await self.call("update_work_pool_queue", work_pool_name, name, body=body)

    async def read_workers(
        self, work_pool_name: str, body: WorkersPage | None = None
    ) -> list[Worker]:
        """POST /work_pools/{work_pool_name}/workers/filter"""
        return await self.call("read_workers", work_pool_name, body=body)

    async def worker_heartbeat(self, work_pool_name: str, body: WorkerHeartbeat) -> None:
        """POST /work_pools/{work_pool_name}/workers/heartbeat"""
        await self.call("worker_heartbeat", work_pool_name, body=body)

    async def delete_worker(self, work_pool_name: str, name: str) -> None:
        """DELETE /work_pools/{work_pool_name}/workers/{name}"""
        await self.call("delete_worker", work_pool_name, name)

    async def delete_work_queue(self, id: UUID | str) -> None:
        """DELETE /work_queues/{id}"""
        await self.call("delete_work_queue", id)

    async def read_work_queue_runs(
        self, id: UUID | str, body: WorkQueueRunsBody | None = None
    ) -> list[FlowRun]:
        """POST /work_queues/{id}/get_runs"""
        return await self.call("read_work_queue_runs", id, body=body)

    async def claim_flow_runs(self, body: ClaimBody) -> Claims:
        """POST /claims/take"""
        return await self.call("claim_flow_runs", body=body)

    async def renew_claims(self, body: RenewClaimsBody) -> RenewedClaims:
        """POST /claims/renew"""
        return await self.call("renew_claims", body=body)

    async def end_claim(self, body: EndClaimBody) -> EndedClaim:
        """POST /claims/end"""
        return await self.call("end_claim", body=body)

    async def read_cleanup_messages(self, body: CleanupPage | None = None) -> CleanupMessages:
        """POST /cleanup_messages/filter"""
        return await self.call("read_cleanup_messages", body=body)

    async def count_cleanup_messages(self, body: CleanupCountBody | None = None) -> dict[str, int]:
        """POST /cleanup_messages/count"""
        return await self.call("count_cleanup_messages", body=body)

    async def requeue_cleanup_messages(self, body: CleanupBulkBody) -> CleanupBulkResult:
        """POST /cleanup_messages/requeue"""
        return await self.call("requeue_cleanup_messages", body=body)

    async def cancel_cleanup_messages(self, body: CleanupBulkCancelBody) -> CleanupBulkResult:
        """POST /cleanup_messages/cancel"""
        return await self.call("cancel_cleanup_messages", body=body)

    async def read_cleanup_message(self, id: UUID | str) -> CleanupMessageDetail:
        """GET /cleanup_messages/{id}"""
        return await self.call("read_cleanup_message", id)

    async def delete_cleanup_message(self, id: UUID | str) -> None:
        """DELETE /cleanup_messages/{id}"""
        await self.call("delete_cleanup_message", id)

    async def requeue_cleanup_message(
        self, id: UUID | str, body: CleanupRequeueBody | None = None
    ) -> CleanupMessage:
        """POST /cleanup_messages/{id}/requeue"""
        return await self.call("requeue_cleanup_message", id, body=body)

    async def cancel_cleanup_message(
        self, id: UUID | str, body: CleanupCancelBody | None = None
    ) -> CleanupMessage:
        """POST /cleanup_messages/{id}/cancel"""
        return await self.call("cancel_cleanup_message", id, body=body)

    async def request_flow_run_cleanup(
        self, id: UUID | str, body: FlowRunCleanupBody | None = None
    ) -> CleanupMessage:
        """POST /flow_runs/{id}/cleanup"""
        return await self.call("request_flow_run_cleanup", id, body=body)

    async def read_flow_run_cleanup(self, id: UUID | str) -> CleanupHistory:
        """GET /flow_runs/{id}/cleanup"""
        return await self.call("read_flow_run_cleanup", id)

    async def read_work_pool_cleanup_status(self, name: str) -> CleanupPoolStatus:
        """GET /work_pools/{name}/cleanup_status"""
        return await self.call("read_work_pool_cleanup_status", name)

    async def read_available_block_capabilities(self) -> list[str]:
        """GET /block_capabilities/"""
        return await self.call("read_available_block_capabilities")

    async def create_block_document(self, body: BlockDocumentCreate) -> BlockDocument:
        """POST /block_documents/"""
        return await self.call("create_block_document", body=body)

    async def count_block_documents(self, body: BlockDocumentsFilterBody | None = None) -> int:
        """POST /block_documents/count"""
        return await self.call("count_block_documents", body=body)

    async def read_block_documents(
        self, body: BlockDocumentsFilterPage | None = None
    ) -> list[BlockDocument]:
        """POST /block_documents/filter"""
        return await self.call("read_block_documents", body=body)

    async def delete_block_document(self, id: UUID | str) -> None:
        """DELETE /block_documents/{id}"""
        await self.call("delete_block_document", id)

    async def read_block_document_by_id(
        self, id: UUID | str, *, include_secrets: bool | None = None
    ) -> BlockDocument:
        """GET /block_documents/{id}"""
        return await self.call("read_block_document_by_id", id, include_secrets=include_secrets)

    async def update_block_document_data(self, id: UUID | str, body: BlockDocumentUpdate) -> None:
        """PATCH /block_documents/{id}"""
        await self.call("update_block_document_data", id, body=body)

    async def create_block_schema(self, body: BlockSchemaCreate) -> BlockSchema:
        """POST /block_schemas/"""
        return await self.call("create_block_schema", body=body)

    async def read_block_schema_by_checksum(
        self, checksum: str, *, version: str | None = None
    ) -> BlockSchema:
        """GET /block_schemas/checksum/{checksum}"""
        return await self.call("read_block_schema_by_checksum", checksum, version=version)

    async def read_block_schemas(
        self, body: BlockSchemasFilterPage | None = None
    ) -> list[BlockSchema]:
        """POST /block_schemas/filter"""
        return await self.call("read_block_schemas", body=body)

    async def delete_block_schema(self, id: UUID | str) -> None:
        """DELETE /block_schemas/{id}"""
        await self.call("delete_block_schema", id)

    async def read_block_schema_by_id(self, id: UUID | str) -> BlockSchema:
        """GET /block_schemas/{id}"""
        return await self.call("read_block_schema_by_id", id)

    async def create_block_type(self, body: BlockTypeCreate) -> BlockType:
        """POST /block_types/"""
        return await self.call("create_block_type", body=body)

    async def read_block_types(self, body: BlockTypesFilterPage | None = None) -> list[BlockType]:
        """POST /block_types/filter"""
        return await self.call("read_block_types", body=body)

    async def install_system_block_types(self) -> Any:
        """POST /block_types/install_system_block_types"""
        return await self.call("install_system_block_types")

    async def read_block_type_by_slug(self, slug: str) -> BlockType:
        """GET /block_types/slug/{slug}"""
        return await self.call("read_block_type_by_slug", slug)

    async def read_block_documents_for_block_type(
        self, slug: str, *, include_secrets: bool | None = None
    ) -> list[BlockDocument]:
        """GET /block_types/slug/{slug}/block_documents"""
        return await self.call(
            "read_block_documents_for_block_type", slug, include_secrets=include_secrets
        )

    async def read_block_document_by_name_for_block_type(
        self, slug: str, block_document_name: str, *, include_secrets: bool | None = None
    ) -> BlockDocument:
        """GET /block_types/slug/{slug}/block_documents/name/{block_document_name}"""
        return await self.call(
            "read_block_document_by_name_for_block_type",
            slug,
            block_document_name,
            include_secrets=include_secrets,
        )

    async def delete_block_type(self, id: UUID | str) -> None:
        """DELETE /block_types/{id}"""
        await self.call("delete_block_type", id)

    async def read_block_type_by_id(self, id: UUID | str) -> BlockType:
        """GET /block_types/{id}"""
        return await self.call("read_block_type_by_id", id)

    async def update_block_type(self, id: UUID | str, body: BlockTypeUpdate) -> None:
        """PATCH /block_types/{id}"""
        await self.call("update_block_type", id, body=body)

    async def count_automations(self) -> int:
        """POST /automations/count"""
        return await self.call("count_automations")

    async def delete_automations_owned_by_resource(self, resource_id: str) -> Any:
        """DELETE /automations/owned-by/{resource_id}"""
        return await self.call("delete_automations_owned_by_resource", resource_id)

    async def read_automations_related_to_resource(self, resource_id: str) -> list[Automation]:
        """GET /automations/related-to/{resource_id}"""
        return await self.call("read_automations_related_to_resource", resource_id)

    async def validate_automation_template(self, body: str | None = None) -> None:
        """POST /automations/templates/validate"""
        await self.call("validate_automation_template", body=body)

    async def patch_automation(self, id: UUID | str, body: AutomationPartialUpdate) -> None:
        """PATCH /automations/{id}"""
        await self.call("patch_automation", id, body=body)

    async def read_automation_firings(
        self, id: UUID | str, body: FiringsBody | None = None
    ) -> list[AutomationFiring]:
        """POST /automations/{id}/firings/filter"""
        return await self.call("read_automation_firings", id, body=body)

    async def test_automation(
        self, id: UUID | str, body: AutomationTestBody
    ) -> AutomationTestResult:
        """POST /automations/{id}/test/filter"""
        return await self.call("test_automation", id, body=body)

    async def read_dead_actions(self, body: DeadActionsBody | None = None) -> list[ActionRun]:
        """POST /automations/actions/dead/filter"""
        return await self.call("read_dead_actions", body=body)

    async def requeue_action(self, firing_id: UUID | str, position: int) -> None:
        """POST /automations/actions/{firing_id}/{position}/requeue"""
        await self.call("requeue_action", firing_id, position)

    async def discard_action(self, firing_id: UUID | str, position: int) -> None:
        """POST /automations/actions/{firing_id}/{position}/discard"""
        await self.call("discard_action", firing_id, position)

    async def validate_template(self, body: str | None = None) -> None:
        """POST /templates/validate"""
        await self.call("validate_template", body=body)

    async def read_task_workers(
        self, body: TaskWorkersFilterBody | None = None
    ) -> list[TaskWorker]:
        """POST /task_workers/filter"""
        return await self.call("read_task_workers", body=body)

    async def count_artifacts(self, body: ArtifactsFilterBody | None = None) -> int:
        """POST /artifacts/count"""
        return await self.call("count_artifacts", body=body)

    async def count_latest_artifacts(self, body: LatestArtifactsFilterBody | None = None) -> int:
        """POST /artifacts/latest/count"""
        return await self.call("count_latest_artifacts", body=body)

    async def read_artifact(self, id: UUID | str) -> Artifact:
        """GET /artifacts/{id}"""
        return await self.call("read_artifact", id)

    async def read_latest_artifact(self, key: str) -> Artifact:
        """GET /artifacts/{key}/latest"""
        return await self.call("read_latest_artifact", key)

    async def read_view_content(self, view: str) -> dict[str, Any]:
        """GET /collections/views/{view}"""
        return await self.call("read_view_content", view)

    async def create_saved_search(self, body: SavedSearchCreate) -> SavedSearch:
        """PUT /saved_searches/"""
        return await self.call("create_saved_search", body=body)

    async def read_saved_searches(self, body: SavedSearchesPage | None = None) -> list[SavedSearch]:
        """POST /saved_searches/filter"""
        return await self.call("read_saved_searches", body=body)

    async def delete_saved_search(self, id: UUID | str) -> None:
        """DELETE /saved_searches/{id}"""
        await self.call("delete_saved_search", id)

    async def read_saved_search(self, id: UUID | str) -> SavedSearch:
        """GET /saved_searches/{id}"""
        return await self.call("read_saved_search", id)

    async def count_task_runs_by_flow_run(self, body: FlowRunIdsBody) -> dict[str, int]:
        """POST /ui/flow_runs/count-task-runs"""
        return await self.call("count_task_runs_by_flow_run", body=body)

    async def read_flow_run_history(
        self, body: SimpleFlowRunsPage | None = None
    ) -> list[SimpleFlowRun]:
        """POST /ui/flow_runs/history"""
        return await self.call("read_flow_run_history", body=body)

    async def count_deployments_by_flow(self, body: FlowIdsBody) -> dict[str, int]:
        """POST /ui/flows/count-deployments"""
        return await self.call("count_deployments_by_flow", body=body)

    async def next_runs_by_flow(self, body: FlowIdsBody) -> dict[str, SimpleNextFlowRun | None]:
        """POST /ui/flows/next-runs"""
        return await self.call("next_runs_by_flow", body=body)

    async def validate_obj(self, body: SchemaValidationBody) -> SchemaValuesValidationResponse:
        """POST /ui/schemas/validate"""
        return await self.call("validate_obj", body=body)

    async def read_task_run_counts_by_state(
        self, body: TaskRunCountsBody | None = None
    ) -> CountByState:
        """POST /ui/task_runs/count"""
        return await self.call("read_task_run_counts_by_state", body=body)

    async def read_dashboard_task_run_counts(
        self, body: DashboardCountsBody
    ) -> list[dict[str, int]]:
        """POST /ui/task_runs/dashboard/counts"""
        return await self.call("read_dashboard_task_run_counts", body=body)

    async def read_task_run_with_flow_run_name(self, id: UUID | str) -> UITaskRun:
        """GET /ui/task_runs/{id}"""
        return await self.call("read_task_run_with_flow_run_name", id)

    async def count_variables(self, body: VariablesFilterBody | None = None) -> int:
        """POST /variables/count"""
        return await self.call("count_variables", body=body)

    async def update_variable_by_name(self, name: str, body: VariableUpdate) -> None:
        """PATCH /variables/name/{name}"""
        await self.call("update_variable_by_name", name, body=body)

    async def delete_variable(self, id: UUID | str) -> None:
        """DELETE /variables/{id}"""
        await self.call("delete_variable", id)

    async def read_variable(self, id: UUID | str) -> Variable:
        """GET /variables/{id}"""
        return await self.call("read_variable", id)

    async def create_token(self, body: TokenCreate) -> NewToken:
        """POST /tokens"""
        return await self.call("create_token", body=body)

    async def read_tokens(self) -> list[Token]:
        """GET /tokens"""
        return await self.call("read_tokens")

    async def revoke_token(self, id: UUID | str) -> None:
        """DELETE /tokens/{id}"""
        await self.call("revoke_token", id)

    async def read_audit(self, body: AuditFilterBody | None = None) -> AuditPage:
        """POST /audit/filter"""
        return await self.call("read_audit", body=body)

    async def export_audit(self, *, after_seq: int | None = None, limit: int | None = None) -> str:
        """GET /audit/export"""
        return await self.call("export_audit", after_seq=after_seq, limit=limit)

    async def verify_audit(
        self, *, after: int | None = None, limit: int | None = None
    ) -> AuditVerification:
        """GET /audit/verify"""
        return await self.call("verify_audit", after=after, limit=limit)

    async def read_audit_record(self, id: UUID | str) -> AuditRecord:
        """GET /audit/{id}"""
        return await self.call("read_audit_record", id)

    async def read_audit_history(
        self, kind: str, reference: str, *, after: int | None = None, limit: int | None = None
    ) -> AuditPage:
        """GET /audit/objects/{kind}/{reference}"""
        return await self.call("read_audit_history", kind, reference, after=after, limit=limit)

    async def read_audit_state(
        self, kind: str, reference: str, *, time: datetime
    ) -> AuditObjectState:
        """GET /audit/objects/{kind}/{reference}/at"""
        return await self.call("read_audit_state", kind, reference, time=time)
