"""Asking for a slot of each tag's limit for a task run, and giving them back."""

from collections.abc import Sequence
from uuid import UUID

from penstock.base.dual import Steps
from penstock.concurrency.acquisition import Take, Wanted, until_free
from penstock.concurrency.telling import KIND_V1, Told, tell_acquired, tell_released
from penstock.schemas.limits import TaggedSlotsDecrement, TaggedSlotsIncrement
from penstock.steps import Request


def acquire(
    names: Sequence[str], task_run_id: UUID, timeout_seconds: float | None
) -> Steps[list[Told]]:
    """Take the slots, asking again until they are free. See `concurrency.acquisition.acquire`."""
    body = TaggedSlotsIncrement(names=list(names), task_run_id=task_run_id)
    limits = yield from until_free(
        Wanted(names=names, timeout_seconds=timeout_seconds),
        Take("increment_concurrency_limits_v1", body=body),
    )
    labels = {"task_run_id": str(task_run_id)}
    return tell_acquired(limits, 1, kind=KIND_V1, labels=labels)


def release(names: Sequence[str], task_run_id: UUID, told: Sequence[Told]) -> Steps[None]:
    body = TaggedSlotsDecrement(names=list(names), task_run_id=task_run_id)
    yield Request("decrement_concurrency_limits_v1", body=body)
    tell_released(told)
