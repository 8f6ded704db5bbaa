"""Filters that lists and counts of several resources share.

Several filters of one request are ANDed; a filter on another entity asks for the existence of
such an entity. Inside one filter the conditions combine with its `operator`.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from penstock.schemas.shapes import Operator, Strict
from penstock.schemas.states import StateType


class AnyIdFilter(Strict):
    any_: list[UUID] | None = None


class IdFilter(Strict):
    any_: list[UUID] | None = None
    not_any_: list[UUID] | None = None


class OptionalIdFilter(Strict):
    any_: list[UUID] | None = None
    is_null_: bool | None = None
    operator: Operator = Operator.AND


class AnyTextFilter(Strict):
    any_: list[str] | None = None


class TextFilter(Strict):
    any_: list[str] | None = None
    not_any_: list[str] | None = None


class NameFilter(Strict):
    any_: list[str] | None = None
    like_: str | None = None


class LikeFilter(Strict):
    like_: str | None = None


class TimeBounds(Strict):
    """Inclusive bounds."""

    after_: datetime | None = None
    before_: datetime | None = None


class OptionalTimeBounds(Strict):
    after_: datetime | None = None
    before_: datetime | None = None
    is_null_: bool | None = None


class TagsFilter(Strict):
    """`all_` asks for a superset; `is_null_` asks for no tags at all."""

    all_: list[str] | None = None
    is_null_: bool | None = None
    operator: Operator = Operator.AND


class AnyTagsFilter(Strict):
    """As `TagsFilter`, with `any_` asking for an overlap."""

    all_: list[str] | None = None
    any_: list[str] | None = None
    is_null_: bool | None = None
    operator: Operator = Operator.AND


class TextQuery(Strict):
    """Terms are alternatives; `+` requires, `-` or `!` excludes, quotes make phrases."""

    query: Annotated[str, Meta(max_length=200)]


class FlowFilterDeployment(Strict):
    is_null_: bool | None = None
    operator: Operator = Operator.AND


class FlowFilter(Strict):
    deployment: FlowFilterDeployment | None = None
    id: IdFilter | None = None
    name: NameFilter | None = None
    operator: Operator = Operator.AND
    tags: TagsFilter | None = None


class StateTypeFilter(Strict):
    any_: list[StateType] | None = None
    not_any_: list[StateType] | None = None


class FlowRunFilterState(Strict):
    name: TextFilter | None = None
    operator: Operator = Operator.AND
    type: StateTypeFilter | None = None


class FlowRunFilterCreatedBy(Strict):
    id_: list[UUID] | None = None
    is_null_: bool | None = None
    operator: Operator = Operator.AND
    type_: list[str] | None = None


class FlowRunFilterParentFlowRunId(Strict):
    any_: list[UUID] | None = None
    operator: Operator = Operator.AND


class OptionalTextFilter(Strict):
    any_: list[str] | None = None
    is_null_: bool | None = None
    operator: Operator = Operator.AND


class FlowRunFilter(Strict):
    created_by: FlowRunFilterCreatedBy | None = None
    deployment_id: OptionalIdFilter | None = None
    end_time: OptionalTimeBounds | None = None
    expected_start_time: TimeBounds | None = None
    flow_version: AnyTextFilter | None = None
    id: IdFilter | None = None
    idempotency_key: TextFilter | None = None
    name: NameFilter | None = None
    next_scheduled_start_time: TimeBounds | None = None
    operator: Operator = Operator.AND
    parent_flow_run_id: FlowRunFilterParentFlowRunId | None = None
    parent_task_run_id: OptionalIdFilter | None = None
    start_time: OptionalTimeBounds | None = None
    state: FlowRunFilterState | None = None
    tags: AnyTagsFilter | None = None
    work_queue_name: OptionalTextFilter | None = None


class AnyStateTypeFilter(Strict):
    any_: list[StateType] | None = None


class TaskRunFilterState(Strict):
    name: AnyTextFilter | None = None
    operator: Operator = Operator.AND
    type: AnyStateTypeFilter | None = None


class TaskRunFilterSubFlowRuns(Strict):
    exists_: bool | None = None


class TaskRunFilterFlowRunId(Strict):
    """Present without `any_` means: has a flow run (unless `is_null_` says otherwise)."""

    any_: list[UUID] | None = None
    is_null_: bool | None = False
    operator: Operator = Operator.AND


class TaskRunFilter(Strict):
    end_time: OptionalTimeBounds | None = None
    expected_start_time: TimeBounds | None = None
    flow_run_id: TaskRunFilterFlowRunId | None = None
    id: AnyIdFilter | None = None
    name: NameFilter | None = None
    operator: Operator = Operator.AND
    start_time: OptionalTimeBounds | None = None
    state: TaskRunFilterState | None = None
    subflow_runs: TaskRunFilterSubFlowRuns | None = None
    tags: TagsFilter | None = None


class DeploymentFilterConcurrencyLimit(Strict):
    ge_: int | None = None
    is_null_: bool | None = None
    le_: int | None = None


class DeploymentFilterPaused(Strict):
    eq_: bool | None = None


class DeploymentFilter(Strict):
    concurrency_limit: DeploymentFilterConcurrencyLimit | None = None
    flow_or_deployment_name: LikeFilter | None = None
    id: IdFilter | None = None
    name: NameFilter | None = None
    operator: Operator = Operator.AND
    paused: DeploymentFilterPaused | None = None
    tags: AnyTagsFilter | None = None
    work_queue_name: AnyTextFilter | None = None


class WorkPoolFilter(Strict):
    id: AnyIdFilter | None = None
    name: AnyTextFilter | None = None
    operator: Operator = Operator.AND
    type: AnyTextFilter | None = None


class WorkQueueFilterName(Strict):
    any_: list[str] | None = None
    startswith_: list[str] | None = None


class WorkQueueFilter(Strict):
    id: AnyIdFilter | None = None
    name: WorkQueueFilterName | None = None
    operator: Operator = Operator.AND
