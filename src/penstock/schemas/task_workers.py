"""Workers of background tasks."""

from datetime import datetime

from penstock.schemas.shapes import Entity


class TaskWorkerFilter(Entity):
    """Workers that serve at least one of the tasks."""

    task_keys: list[str]


class TaskWorkersFilterBody(Entity):
    task_worker_filter: TaskWorkerFilter | None = None


class TaskWorker(Entity):
    """`timestamp` is when the worker was last known to be connected."""

    identifier: str
    task_keys: list[str]
    timestamp: datetime
