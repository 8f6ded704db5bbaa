"""Answers that are not objects, under the names of the contract."""

from penstock.schemas.flow_runs import FlowRun, HistoryResponse, HistoryResponseState
from penstock.schemas.limits import (
    ConcurrencyLimitWithLeaseResponse,
    GlobalConcurrencyLimitResponse,
    MinimalConcurrencyLimitResponse,
)
from penstock.schemas.states import (
    OrchestrationResult,
    SetStateStatus,
    StateAbortDetails,
    StateAcceptDetails,
    StateRejectDetails,
    StateWaitDetails,
    TransitionDetails,
)
from penstock.schemas.work import (
    FlowRunSlotSummary,
    WorkPoolConcurrencyStatus,
    WorkQueueConcurrencyStatus,
    WorkQueueConcurrencyStatusDetail,
)

FlowRunResponse = FlowRun
StateResponseDetails = TransitionDetails

__all__ = [
    "ConcurrencyLimitWithLeaseResponse",
    "FlowRun",
    "FlowRunResponse",
    "FlowRunSlotSummary",
    "GlobalConcurrencyLimitResponse",
    "HistoryResponse",
    "HistoryResponseState",
    "MinimalConcurrencyLimitResponse",
    "OrchestrationResult",
    "SetStateStatus",
    "StateAbortDetails",
    "StateAcceptDetails",
    "StateRejectDetails",
    "StateResponseDetails",
    "StateWaitDetails",
    "TransitionDetails",
    "WorkPoolConcurrencyStatus",
    "WorkQueueConcurrencyStatus",
    "WorkQueueConcurrencyStatusDetail",
]
