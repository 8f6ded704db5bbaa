"""Contexts of flow runs and task runs: what user code and the layers above may look at."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from typing import Any, Self
from uuid import UUID

from penstock.base.run_context import RunContext, current_run, current_tags
from penstock.engine.inputs import Results
from penstock.engine.record import TaskRecord, related_resource, related_tags
from penstock.logging import task_run_logger
from penstock.schemas.errors import MissingContextError
from penstock.schemas.task_runs import TaskRun


class FlowRunContext(RunContext):
    """The run of a flow in this process."""

    def __init__(
        self, *, task_runner: Any = None, tasks_persist: bool = False, **fields: Any
    ) -> None:
        super().__init__(**fields)
        self.flow_context = self
        self.task_runner = task_runner
        self.tasks_persist = tasks_persist
        self.results = Results()
        self.dynamic_keys: dict[str, count[int]] = {}
        self.observed_flow_pauses: dict[str, int] = {}
        self.input_keyset: dict[str, Any] | None = None
        self.requested: str | None = None
        """What was asked from outside: "suspend", "cancel" or nothing."""
        self.reported = False
        """Whether events of task runs were sent that the end of the run waits for."""
        self.related_run = ""
        self.related_rest = ""
        if self.flow_run is not None:
            self.relate()

    @classmethod
    def get(cls) -> Self | None:
        """The flow run that the current code is part of, or None."""
        run = current_run.get()
        context = None if run is None else run.flow_context
        return context if isinstance(context, cls) else None

    @property
    def detached(self) -> bool:
        """Whether this context was carried to another process."""
        return False

    def next_key(self, task_key: str) -> str:
        """A number for the next run of `task_key`: 0, 1, ..., the same in every re-run."""
        return str(next(self.dynamic_keys.setdefault(task_key, count())))

    def relate(self) -> None:
        """Work out the related resources of events of this run, as JSON without brackets."""
        run = self.flow_run
        self.related_run = related_resource("flow-run", run.id, "flow-run", run.name)
        name = getattr(self.flow, "name", None)
        rest = [related_resource("flow", run.flow_id, "flow", name)]
        for kind in ("deployment", "work-queue", "work-pool"):
            id = getattr(run, kind.replace("-", "_") + "_id")
            if id is not None:
                label = getattr(run, kind.replace("-", "_") + "_name", None)
                rest.append(related_resource(kind, id, kind, label))
        rest.extend(related_tags(run.tags))
        self.related_rest = ",".join(rest)

    @property
    def related(self) -> str:
        """The related resources of an event of this run."""
        return f"{self.related_run},{self.related_rest}"


class TaskRunContext(RunContext):
    """The run of a task in this process."""

    def __init__(
        self,
        *,
        task: Any,
        record: TaskRecord,
        parameters: dict[str, Any],
        tags: frozenset[str],
        start_time: datetime,
        flow_context: FlowRunContext | None = None,
        parent: RunContext | None = None,
        log_prints: bool = False,
        persist_result: bool = False,
    ) -> None:
        # Not through the base: this is made for every task run, and most fields follow from others.
        self.task = task
        self.record = record
        self.parameters = parameters
        self.tags = tags
        self.start_time = start_time
        self.flow_context = flow_context
        self.parent = parent
        self.log_prints = log_prints
        self.persist_result = persist_result
        self.result_store: Any = None
        self.client: Any = None
        if flow_context is not None:
            self.flow = flow_context.flow
            self.flow_run = flow_context.flow_run
            self.client = flow_context.client
        else:
            self.flow = self.flow_run = None

    @classmethod
    def get(cls) -> Self | None:
        """The task run that the current code is part of, or None."""
        run = current_run.get()
        return run if isinstance(run, cls) else None

    @property
    def task_run(self) -> TaskRun:
        return self.record.snapshot

    @property
    def logger(self) -> Any:
        """The logger of the run, made when it is first asked for."""
        logger = self.__dict__.get("_logger")
        if logger is None:
            logger = self.__dict__["_logger"] = task_run_logger(self.record.snapshot, self.task)
        return logger

    def forget_logger(self) -> None:
        """The run has another name now."""
        self.__dict__.pop("_logger", None)


EngineContext = FlowRunContext


class TagsContext:
    """The tags that runs created here are given."""

    def __init__(self, current_tags: frozenset[str]) -> None:
        self.current_tags = current_tags

    @classmethod
    def get(cls) -> Self:
        return cls(current_tags.get())


def get_run_context() -> FlowRunContext | TaskRunContext:
    """The innermost run. Raises `MissingContextError` outside of runs."""
    run = current_run.get()
    if isinstance(run, FlowRunContext | TaskRunContext):
        return run
    raise MissingContextError(
        "there is no run here: this is only possible inside a flow or task that is running"
    )


@contextmanager
def tags(*new_tags: str) -> Iterator[set[str]]:
    """Add tags to every flow run and task run created in the body; nested calls add up."""
    token = current_tags.set(current_tags.get().union(new_tags))
    try:
        yield set(current_tags.get())
    finally:
        current_tags.reset(token)


def flow_run_id(context: RunContext | None) -> UUID | None:
    """The id of the flow run that `context` is part of."""
    return None if context is None or context.flow_run is None else context.flow_run.id
