"""The contexts of runs, and carrying one to another thread or process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import update_wrapper
from typing import Any

from penstock.base.run_context import current_run, current_tags
from penstock.engine.context import (
    EngineContext,
    FlowRunContext,
    TagsContext,
    TaskRunContext,
    get_run_context,
    tags,
)
from penstock.engine.portable import portable, restored
from penstock.settings import use_profile

__all__ = [
    "EngineContext",
    "FlowRunContext",
    "TagsContext",
    "TaskRunContext",
    "get_run_context",
    "hydrated_context",
    "serialize_context",
    "tags",
    "use_profile",
    "with_context",
]


def serialize_context() -> dict[str, Any]:
    """The current run and tags, in a form that can be pickled and entered elsewhere."""
    return {"run": portable(current_run.get()), "tags": sorted(current_tags.get())}


@contextmanager
def hydrated_context(
    serialized_context: dict[str, Any] | None = None, client: Any = None
) -> Iterator[None]:
    """Be in the run that `serialize_context` described, for the body."""
    if serialized_context is None:
        yield
        return
    run = restored(serialized_context["run"], client)
    run_token = current_run.set(run)
    tags_token = current_tags.set(frozenset(serialized_context["tags"]))
    try:
        yield
    finally:
        current_tags.reset(tags_token)
        current_run.reset(run_token)


class _InContext:
    """A function together with the context it is called in; can be pickled where both can."""

    def __init__(self, fn: Callable[..., Any], context: dict[str, Any]) -> None:
        update_wrapper(self, fn)
        self._fn = fn
        self._context = context

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with hydrated_context(self._context):
            return self._fn(*args, **kwargs)


def with_context(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn`, to be called in another thread or process as if it were called here."""
    return _InContext(fn, serialize_context())
