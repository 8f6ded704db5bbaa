"""Task runs: entity, bodies, inputs."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, field

from penstock.schemas.filters import DeploymentFilter, FlowFilter, FlowRunFilter, TaskRunFilter
from penstock.schemas.shapes import Entity, Labels, Strict
from penstock.schemas.states import State, StateCreate, StateType


class TaskRunSort(StrEnum):
    ID_DESC = "ID_DESC"
    EXPECTED_START_TIME_ASC = "EXPECTED_START_TIME_ASC"
    EXPECTED_START_TIME_DESC = "EXPECTED_START_TIME_DESC"
    NAME_ASC = "NAME_ASC"
    NAME_DESC = "NAME_DESC"
    NEXT_SCHEDULED_START_TIME_ASC = "NEXT_SCHEDULED_START_TIME_ASC"
    END_TIME_DESC = "END_TIME_DESC"


class TaskRunPolicy(Entity):
    max_retries: int = 0
    retries: int | None = None
    retry_delay: float | list[float] | None = None
    retry_delay_seconds: float = 0
    retry_jitter_factor: float | None = None


class TaskRunResult(Entity, tag_field="input_type", tag="task_run"):
    id: UUID


class FlowRunResult(Entity, tag_field="input_type", tag="flow_run"):
    id: UUID


class ParameterResult(Entity, tag_field="input_type", tag="parameter"):
    name: str


class ConstantResult(Entity, tag_field="input_type", tag="constant"):
    type: str


TaskInput = TaskRunResult | FlowRunResult | ParameterResult | ConstantResult


class TaskRunCreate(Strict):
    dynamic_key: str
    task_key: str
    cache_expiration: datetime | None = None
    cache_key: str | None = None
    empirical_policy: TaskRunPolicy = field(default_factory=TaskRunPolicy)
    flow_run_id: UUID | None = None
    id: UUID | None = None
    labels: Labels | None = None
    name: str | None = None
    state: StateCreate | None = None
    tags: list[str] = field(default_factory=list)
    task_inputs: dict[str, list[TaskInput]] = field(default_factory=dict)
    task_version: str | None = None


class TaskRunUpdate(Strict):
    name: str | UnsetType = UNSET


class TaskRun(Entity):
    created: datetime | None
    dynamic_key: str
    id: UUID
    task_key: str
    updated: datetime | None
    cache_expiration: datetime | None = None
    cache_key: str | None = None
    empirical_policy: TaskRunPolicy = field(default_factory=TaskRunPolicy)
    end_time: datetime | None = None
    estimated_run_time: float = 0.0
    estimated_start_time_delta: float = 0.0
    expected_start_time: datetime | None = None
    flow_run_id: UUID | None = None
    flow_run_run_count: int = 0
    labels: Labels | None = None
    name: str = ""
    next_scheduled_start_time: datetime | None = None
    run_count: int = 0
    start_time: datetime | None = None
    state: State | None = None
    state_id: UUID | None = None
    state_name: str | None = None
    state_type: StateType | None = None
    tags: list[str] = field(default_factory=list)
    task_inputs: dict[str, list[TaskInput]] = field(default_factory=dict)
    task_version: str | None = None
    total_run_time: float = 0.0


class TaskRunSummary(Entity):
    created: datetime | None
    id: UUID
    task_key: str
    updated: datetime | None
    empirical_policy: TaskRunPolicy = field(default_factory=TaskRunPolicy)
    end_time: datetime | None = None
    estimated_run_time: float = 0.0
    estimated_start_time_delta: float = 0.0
    flow_run_id: UUID | None = None
    name: str = ""
    start_time: datetime | None = None
    state: State | None = None
    state_id: UUID | None = None
    tags: list[str] = field(default_factory=list)
    task_inputs: dict[str, list[TaskInput]] = field(default_factory=dict)
    task_version: str | None = None
    total_run_time: float = 0.0


class TaskRunsFilterBody(Entity):
    """Filters of a list or count request for task runs; all given ones must match."""

    flows: FlowFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    deployments: DeploymentFilter | None = None


class TaskRunsFilterPage(TaskRunsFilterBody):
    """A filtered list of task runs; `limit` null means the server's default page size."""

    sort: TaskRunSort = TaskRunSort.ID_DESC
    offset: Annotated[int, Meta(ge=0)] = 0
    limit: int | None = None


class TaskRunsPaginateBody(TaskRunsFilterBody):
    sort: TaskRunSort = TaskRunSort.ID_DESC
    page: Annotated[int, Meta(ge=1)] = 1
    limit: int | None = None


class TaskRunPaginationResponse(Entity):
    count: int
    limit: int
    page: int
    pages: int
    results: list[TaskRunSummary]


class TaskRunHistoryBody(Entity):
    history_start: datetime
    history_end: datetime
    history_interval_seconds: float
    flows: FlowFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    deployments: DeploymentFilter | None = None
