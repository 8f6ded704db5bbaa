"""Operations: Workers of background tasks."""

from penstock.schemas.operations.operation import Operation, table
from penstock.schemas.task_workers import TaskWorker, TaskWorkersFilterBody

OPERATIONS = table(
    Operation(
        name="read_task_workers",
        method="POST",
        path="/task_workers/filter",
        body=TaskWorkersFilterBody,
        body_required=False,
        response=list[TaskWorker],
        repeatable=True,
    ),
)
