"""Orders of lists, under the names of the contract."""

from penstock.schemas.artifacts import ArtifactCollectionSort, ArtifactSort
from penstock.schemas.automations import AutomationSort
from penstock.schemas.blocks import BlockDocumentSort
from penstock.schemas.deployments import DeploymentSort
from penstock.schemas.flow_runs import FlowRunSort
from penstock.schemas.flows import FlowSort
from penstock.schemas.logs import LogSort
from penstock.schemas.task_runs import TaskRunSort
from penstock.schemas.variables import VariableSort

__all__ = [
    "ArtifactCollectionSort",
    "ArtifactSort",
    "AutomationSort",
    "BlockDocumentSort",
    "DeploymentSort",
    "FlowRunSort",
    "FlowSort",
    "LogSort",
    "TaskRunSort",
    "VariableSort",
]
