"""Slots of limits on tags for a task run, in ordinary code."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from uuid import UUID

from penstock.base.dual import run_sync
from penstock.concurrency.acquisition import names_of
from penstock.concurrency.v1.acquisition import acquire, release


@contextmanager
def concurrency(
    names: str | Sequence[str], task_run_id: UUID, timeout_seconds: float | None = None
) -> Generator[None, None, None]:
    """Hold a slot of the limit on each named tag for the task run while the body runs.

    Waits until all are free, at most `timeout_seconds`, then raises
    `AcquireConcurrencySlotTimeoutError`. Tags without a limit are passed over.
    """
    wanted = names_of(names)
    if not wanted:
        yield
        return
    told = run_sync(acquire(wanted, task_run_id, timeout_seconds))
    try:
        yield
    finally:
        run_sync(release(wanted, task_run_id, told))
