"""Flow runs: entity, bodies, results, history, graph, inputs."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, field

from penstock.schemas.filters import (
    DeploymentFilter,
    FlowFilter,
    FlowRunFilter,
    TaskRunFilter,
    WorkPoolFilter,
    WorkQueueFilter,
)
from penstock.schemas.flows import FlowCreate
from penstock.schemas.shapes import Entity, Labels, Strict
from penstock.schemas.states import SetStateStatus, State, StateCreate, StateType, TransitionDetails
from penstock.schemas.task_runs import TaskRunResult


class FlowRunSort(StrEnum):
    ID_DESC = "ID_DESC"
    START_TIME_ASC = "START_TIME_ASC"
    START_TIME_DESC = "START_TIME_DESC"
    EXPECTED_START_TIME_ASC = "EXPECTED_START_TIME_ASC"
    EXPECTED_START_TIME_DESC = "EXPECTED_START_TIME_DESC"
    NAME_ASC = "NAME_ASC"
    NAME_DESC = "NAME_DESC"
    NEXT_SCHEDULED_START_TIME_ASC = "NEXT_SCHEDULED_START_TIME_ASC"
    END_TIME_DESC = "END_TIME_DESC"


class FlowRunPolicy(Entity):
    max_retries: int = 0
    pause_keys: list[str] | None = None
    resuming: bool | None = False
    retries: int | None = None
    retry_delay: int | None = None
    retry_delay_seconds: float = 0
    retry_type: Literal["in_process", "reschedule"] | None = None


class CreatedBy(Entity):
    display_value: str | None = None
    id: UUID | None = None
    type: str | None = None


class FlowRunCreate(Strict):
    """A flow run to be made. `id` is an extension: a client that chooses it may repeat itself."""

    flow_id: UUID
    id: UUID | UnsetType = UNSET
    context: dict[str, Any] = field(default_factory=dict)
    deployment_id: UUID | None = None
    empirical_policy: FlowRunPolicy = field(default_factory=FlowRunPolicy)
    flow_version: str | None = None
    idempotency_key: str | None = None
    infrastructure_document_id: UUID | None = None
    job_variables: dict[str, Any] | None = None
    labels: Labels | None = None
    name: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    parent_task_run_id: UUID | None = None
    state: StateCreate | None = None
    tags: list[str] = field(default_factory=list)
    work_pool_name: str | None = None
    work_queue_name: str | None = None


class FlowRunBegin(Strict):
    """Creates what a first run needs in one transaction: the flow, the run, its first state.

    `run.flow_id` is ignored: the flow is the one named in `flow`, made when it is not there.
    """

    flow: FlowCreate
    run: FlowRunCreate


class FlowRunUpdate(Strict):
    empirical_policy: FlowRunPolicy | UnsetType = UNSET
    flow_version: str | UnsetType | None = UNSET
    infrastructure_pid: str | UnsetType | None = UNSET
    job_variables: dict[str, Any] | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET


class FlowRun(Entity):
    created: datetime | None
    flow_id: UUID
    id: UUID
    updated: datetime | None
    auto_scheduled: bool = False
    context: dict[str, Any] = field(default_factory=dict)
    created_by: CreatedBy | None = None
    deployment_id: UUID | None = None
    deployment_version: str | None = None
    empirical_policy: FlowRunPolicy = field(default_factory=FlowRunPolicy)
    end_time: datetime | None = None
    estimated_run_time: float = 0.0
    estimated_start_time_delta: float = 0.0
    expected_start_time: datetime | None = None
    flow_version: str | None = None
    idempotency_key: str | None = None
    infrastructure_document_id: UUID | None = None
    infrastructure_pid: str | None = None
    job_variables: dict[str, Any] | None = None
    labels: Labels = field(default_factory=dict)
    name: str = ""
    next_scheduled_start_time: datetime | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    parent_task_run_id: UUID | None = None
    run_count: int = 0
    start_time: datetime | None = None
    state: State | None = None
    state_id: UUID | None = None
    state_name: str | None = None
    state_type: StateType | None = None
    tags: list[str] = field(default_factory=list)
    total_run_time: float = 0.0
    work_pool_id: UUID | None = None
    work_pool_name: str | None = None
    work_queue_id: UUID | None = None
    work_queue_name: str | None = None


class FlowRunsFilterBody(Entity):
    """Filters of a list or count request for flow runs; all given ones must match."""

    flows: FlowFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    deployments: DeploymentFilter | None = None
    work_pools: WorkPoolFilter | None = None
    work_pool_queues: WorkQueueFilter | None = None


class FlowRunsFilterPage(FlowRunsFilterBody):
    """A filtered list of flow runs; `limit` null means the server's default page size."""

    sort: FlowRunSort = FlowRunSort.ID_DESC
    offset: Annotated[int, Meta(ge=0)] = 0
    limit: int | None = None


class FlowRunsPaginateBody(FlowRunsFilterBody):
    sort: FlowRunSort = FlowRunSort.ID_DESC
    page: Annotated[int, Meta(ge=1)] = 1
    limit: int | None = None


class FlowRunPaginationResponse(Entity):
    count: int
    limit: int
    page: int
    pages: int
    results: list[FlowRun]


class FlowRunsBulkDeleteBody(Strict):
    flow_runs: FlowRunFilter | None = None
    limit: Annotated[int, Meta(ge=1, le=50)] = 50


class FlowRunBulkDeleteResponse(Entity):
    deleted: list[UUID] = field(default_factory=list)


class FlowRunsBulkSetStateBody(Strict):
    state: StateCreate
    flow_runs: FlowRunFilter | None = None
    force: bool = False
    limit: Annotated[int, Meta(ge=1, le=50)] = 50


class FlowRunOrchestrationResult(Entity):
    details: TransitionDetails
    flow_run_id: UUID
    status: SetStateStatus
    state: State | None = None


class FlowRunBulkSetStateResponse(Entity):
    results: list[FlowRunOrchestrationResult] = field(default_factory=list)


class FlowRunHistoryBody(Entity):
    history_start: datetime
    history_end: datetime
    history_interval_seconds: float
    flows: FlowFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    deployments: DeploymentFilter | None = None
    work_pools: WorkPoolFilter | None = None
    work_queues: WorkQueueFilter | None = None


class HistoryResponseState(Entity):
    count_runs: int
    state_name: str
    state_type: StateType
    sum_estimated_lateness: float
    sum_estimated_run_time: float


class HistoryResponse(Entity):
    interval_end: datetime
    interval_start: datetime
    states: list[HistoryResponseState]


class DependencyResult(Entity):
    end_time: datetime | None
    estimated_run_time: float | None
    expected_start_time: datetime | None
    id: UUID
    name: str
    start_time: datetime | None
    state: State | None
    total_run_time: float | None
    untrackable_result: bool
    upstream_dependencies: list[TaskRunResult]


class GraphArtifact(Entity):
    created: datetime
    data: Any
    id: UUID
    is_latest: bool
    key: str | None
    type: str | None


class Edge(Entity):
    id: UUID


class Node(Entity):
    artifacts: list[GraphArtifact]
    children: list[Edge]
    encapsulating: list[Edge]
    end_time: datetime | None
    id: UUID
    kind: Literal["flow-run", "task-run"]
    label: str
    parents: list[Edge]
    start_time: datetime
    state_type: StateType


class GraphState(Entity):
    id: UUID
    name: str
    timestamp: datetime
    type: StateType


class Graph(Entity):
    artifacts: list[GraphArtifact]
    end_time: datetime | None
    nodes: list[tuple[UUID, Node]]
    root_node_ids: list[UUID]
    start_time: datetime | None
    states: list[GraphState]


class FlowRunInputCreate(Entity):
    key: str
    value: str
    sender: str | None = None


class FlowRunInputFilter(Entity):
    prefix: str
    limit: int = 1
    exclude_keys: list[str] = field(default_factory=list)


class FlowRunInput(Entity):
    created: datetime | None
    flow_run_id: UUID
    id: UUID
    key: str
    updated: datetime | None
    value: str
    sender: str | None = None


class FlowRunResumeBody(Entity):
    run_input: dict[str, Any] | None = None
