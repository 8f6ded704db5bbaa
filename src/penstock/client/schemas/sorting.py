"""Orders of lists, under the names of the contract."""

from penstock.schemas.flow_runs import FlowRunSort
from penstock.schemas.flows import FlowSort
from penstock.schemas.logs import LogSort
from penstock.schemas.task_runs import TaskRunSort

__all__ = ["FlowRunSort", "FlowSort", "LogSort", "TaskRunSort"]
