"""Deployments: a flow with where, when and how it runs."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, field
from msgspec.structs import force_setattr

from penstock.schemas.filters import (
    DeploymentFilter,
    FlowFilter,
    FlowRunFilter,
    TaskRunFilter,
    WorkPoolFilter,
    WorkQueueFilter,
)
from penstock.schemas.flow_runs import CreatedBy, FlowRunPolicy
from penstock.schemas.limits import GlobalConcurrencyLimitResponse
from penstock.schemas.schedules import AnySchedule, schedule_of
from penstock.schemas.shapes import Entity, Labels, Strict
from penstock.schemas.states import StateCreate

Positive = Annotated[int, Meta(gt=0)]


class ConcurrencyLimitStrategy(StrEnum):
    """What happens to a run for which the deployment has no free slot."""

    ENQUEUE = "ENQUEUE"
    CANCEL_NEW = "CANCEL_NEW"


class ConcurrencyOptions(Entity):
    collision_strategy: ConcurrencyLimitStrategy
    grace_period_seconds: Annotated[int, Meta(ge=60, le=86400)] | None = None


class VersionInfo(Entity):
    type: str
    version: str


# --- schedules -----------------------------------------------------------------------------------


CatchUp = Literal["all", "latest"] | Annotated[float, Meta(ge=0)]
"""Which dates that passed while nobody planned get a run: all, the latest alone, or those no older
than so many seconds. An extension of the contract; without it all do."""


class DeploymentScheduleCreate(Strict):
    """A schedule of a deployment. `replaces` is the slug of the one whose place it takes."""

    schedule: AnySchedule
    active: bool = True
    catch_up: CatchUp | UnsetType = UNSET
    max_scheduled_runs: Positive | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    replaces: str | None = None
    slug: str | None = None

    def __post_init__(self) -> None:
        force_setattr(self, "schedule", schedule_of(self.schedule))


class DeploymentScheduleUpdate(Strict):
    active: bool | UnsetType | None = UNSET
    catch_up: CatchUp | UnsetType = UNSET
    max_scheduled_runs: Positive | UnsetType | None = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET
    replaces: str | UnsetType | None = UNSET
    schedule: AnySchedule | UnsetType | None = UNSET
    slug: str | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        if self.schedule is not None and self.schedule is not UNSET:
            force_setattr(self, "schedule", schedule_of(self.schedule))


class DeploymentSchedule(Entity):
    created: datetime | None
    id: UUID
    schedule: AnySchedule
    updated: datetime | None
    active: bool = True
    catch_up: CatchUp | UnsetType = UNSET
    deployment_id: UUID | None = None
    max_scheduled_runs: Positive | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    slug: str | None = None

    def __post_init__(self) -> None:
        force_setattr(self, "schedule", schedule_of(self.schedule))


# --- deployments ---------------------------------------------------------------------------------


class DeploymentCreate(Strict):
    """A deployment, found by flow and name and made when there is none.

    On an existing one, absent members stay as they are, except that `schedules` names all of its
    schedules.
    """

    flow_id: UUID
    name: Annotated[str, Meta(pattern="^[^/%&><]+$")]
    concurrency_limit: Positive | UnsetType | None = UNSET
    concurrency_options: ConcurrencyOptions | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    enforce_parameter_schema: bool | UnsetType = UNSET
    entrypoint: str | UnsetType | None = UNSET
    global_concurrency_limit_id: UUID | UnsetType | None = UNSET
    infrastructure_document_id: UUID | UnsetType | None = UNSET
    job_variables: dict[str, Any] | UnsetType = UNSET
    labels: Labels | UnsetType | None = UNSET
    parameter_openapi_schema: dict[str, Any] | UnsetType | None = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET
    path: str | UnsetType | None = UNSET
    paused: bool | UnsetType = UNSET
    pull_steps: list[dict[str, Any]] | UnsetType | None = UNSET
    schedules: list[DeploymentScheduleCreate] = field(default_factory=list)
    storage_document_id: UUID | UnsetType | None = UNSET
    tags: list[str] | UnsetType = UNSET
    version: str | UnsetType | None = UNSET
    version_info: VersionInfo | UnsetType | None = UNSET
    work_pool_name: str | UnsetType | None = UNSET
    work_queue_name: str | UnsetType | None = UNSET


class DeploymentUpdate(Strict):
    """Members that are absent stay as they are, null clears.

    `schedules` is merged by slug when all schedules have one, and replaces all of them otherwise;
    an empty list removes them.
    """

    concurrency_limit: Positive | UnsetType | None = UNSET
    concurrency_options: ConcurrencyOptions | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    enforce_parameter_schema: bool | UnsetType | None = UNSET
    entrypoint: str | UnsetType | None = UNSET
    global_concurrency_limit_id: UUID | UnsetType | None = UNSET
    infrastructure_document_id: UUID | UnsetType | None = UNSET
    job_variables: dict[str, Any] | UnsetType | None = UNSET
    parameter_openapi_schema: dict[str, Any] | UnsetType | None = UNSET
    parameters: dict[str, Any] | UnsetType | None = UNSET
    path: str | UnsetType | None = UNSET
    paused: bool | UnsetType = UNSET
    pull_steps: list[dict[str, Any]] | UnsetType | None = UNSET
    schedules: list[DeploymentScheduleUpdate] | UnsetType = UNSET
    storage_document_id: UUID | UnsetType | None = UNSET
    tags: list[str] | UnsetType = UNSET
    version: str | UnsetType | None = UNSET
    version_info: VersionInfo | UnsetType | None = UNSET
    work_pool_name: str | UnsetType | None = UNSET
    work_queue_name: str | UnsetType | None = UNSET


class DeploymentStatus(StrEnum):
    """Whether somebody polls for the runs of a deployment."""

    READY = "READY"
    NOT_READY = "NOT_READY"


class UpdatedBy(Entity):
    display_value: str | None = None
    id: UUID | None = None
    type: str | None = None


class Deployment(Entity):
    """A deployment; `concurrency_limit` is always null, `global_concurrency_limit` tells."""

    created: datetime | None
    flow_id: UUID
    id: UUID
    name: str
    updated: datetime | None
    concurrency_limit: int | None = None
    concurrency_options: ConcurrencyOptions | None = None
    created_by: CreatedBy | None = None
    description: str | None = None
    enforce_parameter_schema: bool = True
    entrypoint: str | None = None
    global_concurrency_limit: GlobalConcurrencyLimitResponse | None = None
    infrastructure_document_id: UUID | None = None
    job_variables: dict[str, Any] = field(default_factory=dict)
    labels: Labels = field(default_factory=dict)
    last_polled: datetime | None = None
    parameter_openapi_schema: dict[str, Any] | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    path: str | None = None
    paused: bool = False
    pull_steps: list[dict[str, Any]] | None = None
    schedules: list[DeploymentSchedule] = field(default_factory=list)
    status: DeploymentStatus | None = DeploymentStatus.NOT_READY
    storage_document_id: UUID | None = None
    tags: list[str] = field(default_factory=list)
    updated_by: UpdatedBy | None = None
    version: str | None = None
    work_pool_name: str | None = None
    work_queue_id: UUID | None = None
    work_queue_name: str | None = None


# --- lists ---------------------------------------------------------------------------------------


class DeploymentSort(StrEnum):
    CREATED_DESC = "CREATED_DESC"
    UPDATED_DESC = "UPDATED_DESC"
    NAME_ASC = "NAME_ASC"
    NAME_DESC = "NAME_DESC"


class DeploymentsFilterBody(Entity):
    """Filters of a list or count request for deployments; all given ones must match."""

    flows: FlowFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    deployments: DeploymentFilter | None = None
    work_pools: WorkPoolFilter | None = None
    work_pool_queues: WorkQueueFilter | None = None


class DeploymentsFilterPage(DeploymentsFilterBody):
    """A filtered list of deployments; `limit` null means the server's default page size."""

    sort: DeploymentSort = DeploymentSort.NAME_ASC
    offset: Annotated[int, Meta(ge=0)] = 0
    limit: int | None = None


class DeploymentsPaginateBody(DeploymentsFilterBody):
    sort: DeploymentSort = DeploymentSort.NAME_ASC
    page: Annotated[int, Meta(ge=1)] = 1
    limit: int | None = None


class DeploymentPaginationResponse(Entity):
    count: int
    limit: int
    page: int
    pages: int
    results: list[Deployment]


class DeploymentsBulkDeleteBody(Strict):
    deployments: DeploymentFilter | None = None
    limit: Annotated[int, Meta(ge=1, le=50)] = 50


class DeploymentBulkDeleteResponse(Entity):
    deleted: list[UUID] = field(default_factory=list)


# --- runs ----------------------------------------------------------------------------------------


class DeploymentFlowRunCreate(Strict):
    """A run of a deployment. What it leaves out is the deployment's."""

    context: dict[str, Any] = field(default_factory=dict)
    empirical_policy: FlowRunPolicy = field(default_factory=FlowRunPolicy)
    enforce_parameter_schema: bool | None = None
    idempotency_key: str | None = None
    infrastructure_document_id: UUID | None = None
    job_variables: dict[str, Any] | None = None
    labels: Labels | None = None
    name: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    parent_task_run_id: UUID | None = None
    state: StateCreate | None = None
    tags: list[str] = field(default_factory=list)
    work_queue_name: str | None = None


class FlowRunCreateResult(Entity):
    status: Literal["CREATED", "FAILED"]
    error: str | None = None
    flow_run_id: UUID | None = None


class FlowRunBulkCreateResponse(Entity):
    results: list[FlowRunCreateResult] = field(default_factory=list)


class ScheduledFlowRunsBody(Entity):
    """Asks for scheduled runs of these deployments, the earliest first."""

    deployment_ids: list[UUID]
    limit: int | None = None
    scheduled_before: datetime | None = None


class ScheduleDeploymentBody(Entity):
    """Asks for runs to be planned now, from `start_time` (now) on.

    Planning ends at `end_time`, after `max_runs`, or as soon as there are `min_runs` that reach
    `min_time` seconds ahead; what is left out is as the scheduler has it.
    """

    start_time: datetime | None = None
    end_time: datetime | None = None
    min_time: float | None = None
    min_runs: int | None = None
    max_runs: int | None = None
