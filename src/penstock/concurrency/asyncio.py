"""Taking slots of global concurrency limits in coroutines."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager

from penstock.base.dual import run_aio
from penstock.client.leases import KEEPER, Lost, keep_lease
from penstock.concurrency.acquisition import (
    Wanted,
    acquire,
    lost,
    names_of,
    release,
    warn_of_loss,
)
from penstock.schemas.errors import (
    AcquireConcurrencySlotTimeoutError,
    ConcurrencySlotAcquisitionError,
)
from penstock.schemas.limits import ConcurrencyLeaseHolder

__all__ = [
    "AcquireConcurrencySlotTimeoutError",
    "ConcurrencySlotAcquisitionError",
    "concurrency",
    "rate_limit",
]


@asynccontextmanager
async def concurrency(
    names: str | Sequence[str],
    occupy: int = 1,
    timeout_seconds: float | None = None,
    max_retries: int | None = None,
    lease_duration: float = 300,
    strict: bool = False,
    holder: ConcurrencyLeaseHolder | None = None,
    raise_on_lease_renewal_failure: bool | None = None,
) -> AsyncGenerator[None, None]:
    """As `penstock.concurrency.sync.concurrency`, without blocking the event loop.

    A body that loses its slots and must not go on is ended at its next await.
    """
    wanted = names_of(names)
    if not wanted:
        yield
        return
    grant = await run_aio(
        acquire(
            Wanted(
                names=wanted,
                slots=occupy,
                timeout_seconds=timeout_seconds,
                max_retries=max_retries,
                strict=strict,
                lease_seconds=lease_duration,
                holder=holder,
            )
        )
    )
    assert grant.lease_id is not None
    ends = strict if raise_on_lease_renewal_failure is None else raise_on_lease_renewal_failure
    try:
        with _cancellable() as cancel:
            hold = keep_lease(grant.lease_id, lease_duration, cancel if ends else warn_of_loss)
            try:
                yield
            finally:
                KEEPER.stop(hold)
    finally:
        # A caller that is cancelled again still gives its slots back.
        await asyncio.shield(asyncio.ensure_future(run_aio(release(grant))))


@contextmanager
def _cancellable() -> Generator[Lost, None, None]:
    """Run the body; what is given here, called from another thread, ends it with an error."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    errors: list[Exception] = []
    over = False

    def cancel(error: Exception) -> None:
        if not over:
            errors.append(error)
            task.cancel()

    def ask(error: Exception) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(cancel, error)

    try:
        yield ask
    except asyncio.CancelledError:
        if not errors or task.uncancel() > 0:
            raise
        raise lost(errors[0]) from errors[0]
    finally:
        over = True


async def rate_limit(
    names: str | Sequence[str],
    occupy: int = 1,
    timeout_seconds: float | None = None,
    strict: bool = False,
) -> None:
    """As `penstock.concurrency.sync.rate_limit`, without blocking the event loop."""
    wanted = names_of(names)
    if wanted:
        await run_aio(
            acquire(
                Wanted(
                    names=wanted,
                    slots=occupy,
                    mode="rate_limit",
                    timeout_seconds=timeout_seconds,
                    strict=strict,
                )
            )
        )
