"""What the API answers with, under the names of the contract."""

from penstock.schemas.admin import (
    CsrfToken,
    ServerDefaultResultStorage,
    ServerDefaultResultStorageUpdate,
)
from penstock.schemas.flow_runs import FlowRun, FlowRunInput, FlowRunPolicy
from penstock.schemas.flows import Flow
from penstock.schemas.logs import Log
from penstock.schemas.shapes import Labels
from penstock.schemas.states import TERMINAL_STATES, State, StateDetails, StateType
from penstock.schemas.task_runs import (
    ConstantResult,
    FlowRunResult,
    ParameterResult,
    TaskRun,
    TaskRunPolicy,
    TaskRunResult,
)

Constant = ConstantResult
KeyValueLabelsField = Labels
Parameter = ParameterResult

__all__ = [
    "TERMINAL_STATES",
    "Constant",
    "ConstantResult",
    "CsrfToken",
    "Flow",
    "FlowRun",
    "FlowRunInput",
    "FlowRunPolicy",
    "FlowRunResult",
    "KeyValueLabelsField",
    "Labels",
    "Log",
    "Parameter",
    "ParameterResult",
    "ServerDefaultResultStorage",
    "ServerDefaultResultStorageUpdate",
    "State",
    "StateDetails",
    "StateType",
    "TaskRun",
    "TaskRunPolicy",
    "TaskRunResult",
]
