"""What the API is asked to make or change, under the names of the contract."""

from penstock.schemas.artifacts import ArtifactCreate, ArtifactUpdate
from penstock.schemas.blocks import (
    BlockDocumentCreate,
    BlockDocumentUpdate,
    BlockSchemaCreate,
    BlockTypeCreate,
    BlockTypeUpdate,
)
from penstock.schemas.deployments import (
    DeploymentCreate,
    DeploymentFlowRunCreate,
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
    DeploymentUpdate,
)
from penstock.schemas.flow_runs import FlowRunCreate, FlowRunUpdate
from penstock.schemas.flows import FlowCreate, FlowUpdate
from penstock.schemas.limits import (
    ConcurrencyLimitCreate,
    ConcurrencyLimitV2Create,
    ConcurrencyLimitV2Update,
)
from penstock.schemas.logs import LogCreate
from penstock.schemas.saved_searches import SavedSearchCreate
from penstock.schemas.states import StateCreate
from penstock.schemas.task_runs import TaskRunCreate, TaskRunUpdate
from penstock.schemas.variables import VariableCreate, VariableUpdate
from penstock.schemas.work import WorkPoolCreate, WorkPoolUpdate, WorkQueueCreate, WorkQueueUpdate

__all__ = [
    "ArtifactCreate",
    "ArtifactUpdate",
    "BlockDocumentCreate",
    "BlockDocumentUpdate",
    "BlockSchemaCreate",
    "BlockTypeCreate",
    "BlockTypeUpdate",
    "ConcurrencyLimitCreate",
    "ConcurrencyLimitV2Create",
    "ConcurrencyLimitV2Update",
    "DeploymentCreate",
    "DeploymentFlowRunCreate",
    "DeploymentScheduleCreate",
    "DeploymentScheduleUpdate",
    "DeploymentUpdate",
    "FlowCreate",
    "FlowRunCreate",
    "FlowRunUpdate",
    "FlowUpdate",
    "LogCreate",
    "SavedSearchCreate",
    "StateCreate",
    "TaskRunCreate",
    "TaskRunUpdate",
    "VariableCreate",
    "VariableUpdate",
    "WorkPoolCreate",
    "WorkPoolUpdate",
    "WorkQueueCreate",
    "WorkQueueUpdate",
]
