"""What the API is asked to make or change, under the names of the contract."""

from penstock.schemas.flow_runs import FlowRunCreate, FlowRunUpdate
from penstock.schemas.flows import FlowCreate, FlowUpdate
from penstock.schemas.logs import LogCreate
from penstock.schemas.states import StateCreate
from penstock.schemas.task_runs import TaskRunCreate, TaskRunUpdate

__all__ = [
    "FlowCreate",
    "FlowRunCreate",
    "FlowRunUpdate",
    "FlowUpdate",
    "LogCreate",
    "StateCreate",
    "TaskRunCreate",
    "TaskRunUpdate",
]
