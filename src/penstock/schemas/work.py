"""Work pools, work queues and workers."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, field

from penstock.schemas.filters import TimeBounds, WorkPoolFilter, WorkQueueFilter
from penstock.schemas.flow_runs import FlowRun
from penstock.schemas.shapes import Entity, Operator, Strict
from penstock.schemas.states import StateType

Name = Annotated[str, Meta(pattern="^[^/%&><]+$")]
Limit = Annotated[int, Meta(ge=0)]
Priority = Annotated[int, Meta(gt=0)]
Offset = Annotated[int, Meta(ge=0)]
Page = Annotated[int, Meta(ge=1)]


class QueueFilter(Entity):
    """Of the first queues, which matched runs by deployment and tags; kept, and without effect."""

    deployment_ids: list[UUID] | None = None
    tags: list[str] | None = None


class WorkPoolStorageConfiguration(Strict):
    bundle_execution_step: dict[str, Any] | None = None
    bundle_upload_step: dict[str, Any] | None = None
    default_result_storage_block_id: UUID | None = None


class WorkPoolCreate(Strict):
    name: Name
    base_job_template: dict[str, Any] = field(default_factory=dict)
    concurrency_limit: Limit | None = None
    description: str | None = None
    is_paused: bool = False
    storage_configuration: WorkPoolStorageConfiguration = field(
        default_factory=WorkPoolStorageConfiguration
    )
    type: str = "prefect-agent"


class WorkPoolStatus(StrEnum):
    READY = "READY"
    NOT_READY = "NOT_READY"
    PAUSED = "PAUSED"


class WorkPool(Entity):
    created: datetime | None
    id: UUID
    name: Name
    type: str
    updated: datetime | None
    active_slots: int | None = None
    base_job_template: dict[str, Any] = field(default_factory=dict)
    concurrency_limit: Limit | None = None
    default_queue_id: UUID | None = None
    description: str | None = None
    is_paused: bool = False
    status: WorkPoolStatus | None = None
    storage_configuration: WorkPoolStorageConfiguration = field(
        default_factory=WorkPoolStorageConfiguration
    )


class WorkPoolsCountBody(Entity):
    work_pools: WorkPoolFilter | None = None


class WorkPoolsPage(Entity):
    limit: int | None = None
    offset: Offset = 0
    work_pools: WorkPoolFilter | None = None


class WorkPoolUpdate(Strict):
    base_job_template: dict[str, Any] | UnsetType | None = UNSET
    concurrency_limit: Limit | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    is_paused: bool | UnsetType | None = UNSET
    storage_configuration: WorkPoolStorageConfiguration | UnsetType | None = UNSET


class WorkPoolConcurrencyStatusBody(Entity):
    flow_run_limit: Annotated[int, Meta(ge=0, le=200)] = 10
    limit: int | None = None
    page: Page = 1


class FlowRunSlotSummary(Entity):
    id: UUID
    name: str
    start_time: datetime | None = None
    state_name: str | None = None
    state_timestamp: datetime | None = None
    state_type: StateType | None = None
    time_in_current_state: float | None = None


class WorkQueueConcurrencyStatusDetail(Entity):
    active_slots: int
    queue_id: UUID
    queue_name: str
    concurrency_limit: int | None = None
    flow_run_count: int | None = None
    flow_runs: list[FlowRunSlotSummary] = field(default_factory=list)


class WorkPoolConcurrencyStatus(Entity):
    active_slots: int
    count: int
    limit: int
    page: int
    pages: int
    concurrency_limit: int | None = None
    queues: list[WorkQueueConcurrencyStatusDetail] = field(default_factory=list)


class WorkerFlowRun(Entity):
    flow_run: FlowRun
    work_pool_id: UUID
    work_queue_id: UUID


class WorkQueueCreate(Strict):
    name: Name
    concurrency_limit: Limit | None = None
    description: str | None = ""
    filter: QueueFilter | None = None
    is_paused: bool = False
    priority: Priority | None = None


class WorkQueueStatus(StrEnum):
    READY = "READY"
    NOT_READY = "NOT_READY"
    PAUSED = "PAUSED"


class WorkQueue(Entity):
    created: datetime | None
    id: UUID
    name: Name
    updated: datetime | None
    active_slots: int | None = None
    concurrency_limit: Limit | None = None
    description: str | None = ""
    filter: QueueFilter | None = None
    is_paused: bool = False
    last_polled: datetime | None = None
    priority: Priority = 1
    status: WorkQueueStatus | None = None
    work_pool_id: UUID | None = None
    work_pool_name: str | None = None


class WorkQueuesPage(Entity):
    limit: int | None = None
    offset: Offset = 0
    work_queues: WorkQueueFilter | None = None


class WorkQueueUpdate(Strict):
    concurrency_limit: Limit | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    filter: QueueFilter | UnsetType | None = UNSET
    is_paused: bool | UnsetType = UNSET
    last_polled: datetime | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    priority: Priority | UnsetType | None = UNSET


class WorkerStatus(StrEnum):
    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"


class WorkerFilterStatus(Strict):
    any_: list[WorkerStatus] | None = None
    not_any_: list[WorkerStatus] | None = None


class WorkerFilter(Strict):
    last_heartbeat_time: TimeBounds | None = None
    operator: Operator = Operator.AND
    status: WorkerFilterStatus | None = None


class WorkersPage(Entity):
    limit: int | None = None
    offset: Offset = 0
    workers: WorkerFilter | None = None


class Worker(Entity):
    created: datetime | None
    id: UUID
    name: str
    updated: datetime | None
    work_pool_id: UUID
    heartbeat_interval_seconds: int | None = None
    last_heartbeat_time: datetime | None = None
    status: WorkerStatus = WorkerStatus.OFFLINE


class WorkerHeartbeat(Entity):
    name: str
    heartbeat_interval_seconds: int | None = None


class WorkQueueConcurrencyStatusBody(Entity):
    limit: int | None = None
    page: Page = 1


class WorkQueueConcurrencyStatus(Entity):
    active_slots: int
    count: int
    limit: int
    page: int
    pages: int
    concurrency_limit: int | None = None
    flow_runs: list[FlowRunSlotSummary] = field(default_factory=list)


class WorkQueueRunsBody(Entity):
    limit: int | None = None
    scheduled_before: datetime | None = None


class WorkQueueHealthPolicy(Entity):
    maximum_late_runs: int | None = 0
    maximum_seconds_since_last_polled: int | None = 60


class WorkQueueStatusDetail(Entity):
    health_check_policy: WorkQueueHealthPolicy
    healthy: bool
    last_polled: datetime | None = None
    late_runs_count: int = 0


class PollBody(Entity):
    """A worker's question for runs that are due; without queues it asks of all of the pool."""

    limit: int | None = None
    scheduled_after: datetime | None = None
    scheduled_before: datetime | None = None
    work_queue_names: list[str] = field(default_factory=list)
