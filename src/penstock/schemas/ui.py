"""Answers that only a user interface asks for."""

from datetime import datetime
from typing import Annotated, Any
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
from penstock.schemas.flow_runs import FlowRunSort
from penstock.schemas.shapes import Entity, Labels
from penstock.schemas.states import State, StateType
from penstock.schemas.task_runs import TaskInput, TaskRunPolicy


class FlowRunIdsBody(Entity):
    flow_run_ids: list[UUID]


class SimpleFlowRunsPage(Entity):
    deployments: DeploymentFilter = field(default_factory=DeploymentFilter)
    flow_runs: FlowRunFilter = field(default_factory=FlowRunFilter)
    flows: FlowFilter = field(default_factory=FlowFilter)
    limit: Annotated[int, Meta(ge=0, le=1000)] = 1000
    offset: Annotated[int, Meta(ge=0)] = 0
    sort: FlowRunSort = FlowRunSort.EXPECTED_START_TIME_DESC
    task_runs: TaskRunFilter = field(default_factory=TaskRunFilter)
    work_pools: WorkPoolFilter = field(default_factory=WorkPoolFilter)


class SimpleFlowRun(Entity):
    duration: float
    id: UUID
    lateness: float
    state_type: StateType
    timestamp: datetime


class FlowIdsBody(Entity):
    flow_ids: list[UUID]


class SimpleNextFlowRun(Entity):
    flow_id: UUID
    id: UUID
    name: str
    next_scheduled_start_time: datetime
    state_name: str
    state_type: StateType


class SchemaValidationBody(Entity):
    schema: dict[str, Any]
    values: dict[str, Any]


class SchemaValueError(Entity):
    """What is wrong with one member (`property`) or one item (`index`) of the values."""

    errors: list["str | SchemaValueError"]
    index: int | UnsetType = UNSET
    property: str | UnsetType = UNSET


class SchemaValuesValidationResponse(Entity):
    errors: list[str | SchemaValueError]
    valid: bool


class TaskRunCountsBody(Entity):
    deployments: DeploymentFilter | None = None
    flow_runs: FlowRunFilter | None = None
    flows: FlowFilter | None = None
    task_runs: TaskRunFilter | None = None


class CountByState(Entity):
    CANCELLED: int = 0
    CANCELLING: int = 0
    COMPLETED: int = 0
    CRASHED: int = 0
    FAILED: int = 0
    PAUSED: int = 0
    PENDING: int = 0
    RUNNING: int = 0
    SCHEDULED: int = 0


class DashboardCountsBody(Entity):
    task_runs: TaskRunFilter
    deployments: DeploymentFilter | None = None
    flow_runs: FlowRunFilter | None = None
    flows: FlowFilter | None = None
    work_pools: WorkPoolFilter | None = None
    work_queues: WorkQueueFilter | None = None


class UITaskRun(Entity):
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
    flow_run_name: str | None = None
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
