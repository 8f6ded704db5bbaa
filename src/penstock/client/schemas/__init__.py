"""The types of the API, under the names of the contract."""

from penstock.client.schemas.actions import StateCreate
from penstock.client.schemas.objects import (
    FlowRun,
    FlowRunPolicy,
    FlowRunResult,
    State,
    StateDetails,
    StateType,
    TaskRun,
    TaskRunPolicy,
    TaskRunResult,
)
from penstock.client.schemas.responses import (
    OrchestrationResult,
    SetStateStatus,
    StateAbortDetails,
    StateAcceptDetails,
    StateRejectDetails,
)

__all__ = [
    "FlowRun",
    "FlowRunPolicy",
    "FlowRunResult",
    "OrchestrationResult",
    "SetStateStatus",
    "State",
    "StateAbortDetails",
    "StateAcceptDetails",
    "StateCreate",
    "StateDetails",
    "StateRejectDetails",
    "StateType",
    "TaskRun",
    "TaskRunPolicy",
    "TaskRunResult",
]
