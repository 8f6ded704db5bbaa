"""Slots of limits on tags for a task run, in coroutines."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from penstock.base.dual import run_aio
from penstock.concurrency.acquisition import names_of
from penstock.concurrency.v1.acquisition import acquire, release


@asynccontextmanager
async def concurrency(
    names: str | Sequence[str], task_run_id: UUID, timeout_seconds: float | None = None
) -> AsyncGenerator[None, None]:
    """As `penstock.concurrency.v1.sync.concurrency`, without blocking the event loop."""
    wanted = names_of(names)
    if not wanted:
        yield
        return
    told = await run_aio(acquire(wanted, task_run_id, timeout_seconds))
    try:
        yield
    finally:
        await asyncio.shield(asyncio.ensure_future(run_aio(release(wanted, task_run_id, told))))
