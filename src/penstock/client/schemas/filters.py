"""Filters of lists and counts, under the names of the contract.

Several filters of the same shape are one type here."""

from penstock.schemas.artifacts import ArtifactCollectionFilter, ArtifactFilter, ArtifactFilterKey
from penstock.schemas.blocks import (
    BlockDocumentFilter,
    BlockDocumentFilterIsAnonymous,
    BlockSchemaFilter,
    BlockSchemaFilterCapabilities,
    BlockTypeFilter,
)
from penstock.schemas.filters import (
    AnyIdFilter,
    AnyStateTypeFilter,
    AnyTagsFilter,
    AnyTextFilter,
    DeploymentFilter,
    DeploymentFilterConcurrencyLimit,
    FlowFilter,
    FlowRunFilter,
    FlowRunFilterCreatedBy,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    IdFilter,
    NameFilter,
    OptionalIdFilter,
    OptionalTextFilter,
    OptionalTimeBounds,
    StateTypeFilter,
    TagsFilter,
    TaskRunFilter,
    TaskRunFilterFlowRunId,
    TaskRunFilterState,
    TaskRunFilterSubFlowRuns,
    TextFilter,
    TextQuery,
    TimeBounds,
    WorkPoolFilter,
    WorkQueueFilter,
    WorkQueueFilterName,
)
from penstock.schemas.logs import LogFilter, LogFilterLevel, LogFilterTaskRunId
from penstock.schemas.shapes import Operator
from penstock.schemas.variables import VariableFilter
from penstock.schemas.work import WorkerFilter, WorkerFilterStatus

DeploymentFilterId = IdFilter
DeploymentFilterName = NameFilter
DeploymentFilterTags = AnyTagsFilter
DeploymentFilterWorkQueueName = AnyTextFilter
FlowFilterId = IdFilter
FlowFilterName = NameFilter
FlowFilterTags = TagsFilter
FlowRunFilterDeploymentId = OptionalIdFilter
FlowRunFilterEndTime = OptionalTimeBounds
FlowRunFilterExpectedStartTime = TimeBounds
FlowRunFilterFlowVersion = AnyTextFilter
FlowRunFilterId = IdFilter
FlowRunFilterIdempotencyKey = TextFilter
FlowRunFilterName = NameFilter
FlowRunFilterNextScheduledStartTime = TimeBounds
FlowRunFilterParentTaskRunId = OptionalIdFilter
FlowRunFilterStartTime = OptionalTimeBounds
FlowRunFilterStateName = TextFilter
FlowRunFilterStateType = StateTypeFilter
FlowRunFilterTags = AnyTagsFilter
FlowRunFilterWorkQueueName = OptionalTextFilter
LogFilterFlowRunId = AnyIdFilter
LogFilterTextSearch = TextQuery
LogFilterTimestamp = TimeBounds
TaskRunFilterEndTime = OptionalTimeBounds
TaskRunFilterId = AnyIdFilter
TaskRunFilterName = NameFilter
TaskRunFilterStartTime = OptionalTimeBounds
TaskRunFilterStateName = AnyTextFilter
TaskRunFilterStateType = AnyStateTypeFilter
TaskRunFilterTags = TagsFilter
WorkPoolFilterId = AnyIdFilter
WorkPoolFilterName = AnyTextFilter
WorkPoolFilterType = AnyTextFilter
WorkQueueFilterId = AnyIdFilter

__all__ = [
    "ArtifactCollectionFilter",
    "ArtifactFilter",
    "ArtifactFilterKey",
    "BlockDocumentFilter",
    "BlockDocumentFilterIsAnonymous",
    "BlockSchemaFilter",
    "BlockSchemaFilterCapabilities",
    "BlockTypeFilter",
    "DeploymentFilter",
    "DeploymentFilterConcurrencyLimit",
    "DeploymentFilterId",
    "DeploymentFilterName",
    "DeploymentFilterTags",
    "DeploymentFilterWorkQueueName",
    "FlowFilter",
    "FlowFilterId",
    "FlowFilterName",
    "FlowFilterTags",
    "FlowRunFilter",
    "FlowRunFilterCreatedBy",
    "FlowRunFilterDeploymentId",
    "FlowRunFilterEndTime",
    "FlowRunFilterExpectedStartTime",
    "FlowRunFilterFlowVersion",
    "FlowRunFilterId",
    "FlowRunFilterIdempotencyKey",
    "FlowRunFilterName",
    "FlowRunFilterNextScheduledStartTime",
    "FlowRunFilterParentFlowRunId",
    "FlowRunFilterParentTaskRunId",
    "FlowRunFilterStartTime",
    "FlowRunFilterState",
    "FlowRunFilterStateName",
    "FlowRunFilterStateType",
    "FlowRunFilterTags",
    "FlowRunFilterWorkQueueName",
    "LogFilter",
    "LogFilterFlowRunId",
    "LogFilterLevel",
    "LogFilterTaskRunId",
    "LogFilterTextSearch",
    "LogFilterTimestamp",
    "Operator",
    "TaskRunFilter",
    "TaskRunFilterEndTime",
    "TaskRunFilterFlowRunId",
    "TaskRunFilterId",
    "TaskRunFilterName",
    "TaskRunFilterStartTime",
    "TaskRunFilterState",
    "TaskRunFilterStateName",
    "TaskRunFilterStateType",
    "TaskRunFilterSubFlowRuns",
    "TaskRunFilterTags",
    "VariableFilter",
    "WorkPoolFilter",
    "WorkPoolFilterId",
    "WorkPoolFilterName",
    "WorkPoolFilterType",
    "WorkQueueFilter",
    "WorkQueueFilterId",
    "WorkQueueFilterName",
    "WorkerFilter",
    "WorkerFilterStatus",
]
