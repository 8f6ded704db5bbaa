"""Answers that are not objects, under the names of the contract."""

from penstock.schemas.flow_runs import FlowRun, HistoryResponse, HistoryResponseState
from penstock.schemas.states import (
    OrchestrationResult,
    SetStateStatus,
    StateAbortDetails,
    StateAcceptDetails,
    StateRejectDetails,
    StateWaitDetails,
    TransitionDetails,
)

FlowRunResponse = FlowRun
StateResponseDetails = TransitionDetails

__all__ = [
    "FlowRun",
    "FlowRunResponse",
    "HistoryResponse",
    "HistoryResponseState",
    "OrchestrationResult",
    "SetStateStatus",
    "StateAbortDetails",
    "StateAcceptDetails",
    "StateRejectDetails",
    "StateResponseDetails",
    "StateWaitDetails",
    "TransitionDetails",
]
