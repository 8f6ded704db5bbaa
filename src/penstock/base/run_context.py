"""The run that the current code is part of: one context variable, read by every layer above.

The engine sets it around the call of a user's function; logging, the client, `penstock.runtime`
and the public contexts only read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime


class RunContext:
    """What is known about the innermost run.

    Inside a task, `flow` and `flow_run` are those of the flow around it (None outside a flow) and
    `flow_context` is that flow's own context; inside a flow, `task` and `task_run` are None.
    Types are open here because the layers that define them lie above this one.
    """

    __slots__ = (
        "__dict__",
        "client",
        "flow",
        "flow_context",
        "flow_run",
        "log_prints",
        "logger",
        "parameters",
        "parent",
        "persist_result",
        "result_store",
        "start_time",
        "tags",
        "task",
        "task_run",
    )

    def __init__(
        self,
        *,
        flow: Any = None,
        flow_run: Any = None,
        task: Any = None,
        task_run: Any = None,
        parameters: dict[str, Any] | None = None,
        client: Any = None,
        logger: Any = None,
        tags: frozenset[str] = frozenset(),
        result_store: Any = None,
        persist_result: bool | None = None,
        log_prints: bool = False,
        start_time: datetime | None = None,
        parent: RunContext | None = None,
        flow_context: RunContext | None = None,
    ) -> None:
        self.flow = flow
        self.flow_run = flow_run
        self.task = task
        self.task_run = task_run
        self.parameters = parameters if parameters is not None else {}
        self.client = client
        self.logger = logger
        self.tags = tags
        self.result_store = result_store
        self.persist_result = persist_result
        self.log_prints = log_prints
        self.start_time = start_time
        self.parent = parent
        self.flow_context = flow_context


current_run: ContextVar[RunContext | None] = ContextVar("penstock_run", default=None)
current_tracker: ContextVar[Any] = ContextVar("penstock_tracker", default=None)
"""Set while a flow is drawn instead of run; see `penstock.engine.drawing`."""
current_tags: ContextVar[frozenset[str]] = ContextVar("penstock_tags", default=frozenset())


@contextmanager
def running(context: RunContext | None) -> Iterator[None]:
    """Make `context` the current run for the body."""
    token = current_run.set(context)
    try:
        yield
    finally:
        current_run.reset(token)
