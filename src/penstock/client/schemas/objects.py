"""What the API answers with, under the names of the contract."""

from penstock.schemas.admin import (
    CsrfToken,
    ServerDefaultResultStorage,
    ServerDefaultResultStorageUpdate,
)
from penstock.schemas.artifacts import Artifact, ArtifactCollection
from penstock.schemas.blocks import BlockDocument, BlockSchema, BlockType
from penstock.schemas.deployments import (
    ConcurrencyLimitStrategy,
    ConcurrencyOptions,
    Deployment,
    DeploymentSchedule,
    DeploymentStatus,
    VersionInfo,
)
from penstock.schemas.flow_runs import FlowRun, FlowRunInput, FlowRunPolicy
from penstock.schemas.flows import Flow
from penstock.schemas.limits import ConcurrencyLeaseHolder, ConcurrencyLimit
from penstock.schemas.logs import Log
from penstock.schemas.saved_searches import SavedSearch, SavedSearchFilter
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
from penstock.schemas.variables import Variable
from penstock.schemas.work import (
    QueueFilter,
    Worker,
    WorkerStatus,
    WorkPool,
    WorkPoolStatus,
    WorkPoolStorageConfiguration,
    WorkQueue,
    WorkQueueHealthPolicy,
    WorkQueueStatus,
    WorkQueueStatusDetail,
)

Constant = ConstantResult
KeyValueLabelsField = Labels
Parameter = ParameterResult

__all__ = [
    "TERMINAL_STATES",
    "Artifact",
    "ArtifactCollection",
    "BlockDocument",
    "BlockSchema",
    "BlockType",
    "ConcurrencyLeaseHolder",
    "ConcurrencyLimit",
    "ConcurrencyLimitStrategy",
    "ConcurrencyOptions",
    "Constant",
    "ConstantResult",
    "CsrfToken",
    "Deployment",
    "DeploymentSchedule",
    "DeploymentStatus",
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
    "QueueFilter",
    "SavedSearch",
    "SavedSearchFilter",
    "ServerDefaultResultStorage",
    "ServerDefaultResultStorageUpdate",
    "State",
    "StateDetails",
    "StateType",
    "TaskRun",
    "TaskRunPolicy",
    "TaskRunResult",
    "Variable",
    "VersionInfo",
    "WorkPool",
    "WorkPoolStatus",
    "WorkPoolStorageConfiguration",
    "WorkQueue",
    "WorkQueueHealthPolicy",
    "WorkQueueStatus",
    "WorkQueueStatusDetail",
    "Worker",
    "WorkerStatus",
]
