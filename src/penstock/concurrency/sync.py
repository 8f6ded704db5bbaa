"""Taking slots of global concurrency limits in ordinary code."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from penstock.base.dual import run_sync
from penstock.client.leases import KEEPER, keep_lease
from penstock.concurrency.acquisition import (
    Wanted,
    acquire,
    lost,
    names_of,
    release,
    warn_of_loss,
)
from penstock.concurrency.interruption import interruptible
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


@contextmanager
def concurrency(
    names: str | Sequence[str],
    occupy: int = 1,
    timeout_seconds: float | None = None,
    max_retries: int | None = None,
    lease_duration: float = 300,
    strict: bool = False,
    holder: ConcurrencyLeaseHolder | None = None,
    raise_on_lease_renewal_failure: bool | None = None,
) -> Generator[None, None, None]:
    """Hold `occupy` slots of each named limit while the body runs; no names hold nothing.

    Waits until all are free, at most `timeout_seconds` (then `AcquireConcurrencySlotTimeoutError`)
    and `max_retries` denials. Limits that are not there limit nothing, or with `strict` raise
    `ConcurrencySlotAcquisitionError`. The slots are leased for `lease_duration` seconds and the
    lease is renewed; when that fails the body goes on with a warning, or with
    `raise_on_lease_renewal_failure` (by default `strict`) it is ended by that error.
    """
    wanted = names_of(names)
    if not wanted:
        yield
        return
    grant = run_sync(
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
        with interruptible(lost) as interrupt:
            hold = keep_lease(grant.lease_id, lease_duration, interrupt if ends else warn_of_loss)
            try:
                yield
            finally:
                KEEPER.stop(hold)
    finally:
        run_sync(release(grant))


def rate_limit(
    names: str | Sequence[str],
    occupy: int = 1,
    timeout_seconds: float | None = None,
    strict: bool = False,
) -> None:
    """Wait until `occupy` slots of each named limit are free, and take them.

    They come back by the decay of the limit, which must have one. For waiting and `strict` see
    `concurrency`.
    """
    wanted = names_of(names)
    if wanted:
        run_sync(
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
