"""Asking for slots and giving them back, in both colours (see `penstock.base.dual`).

Every caller waits for itself: its timeout runs from its own call, and nobody stands behind a
caller that waits for more. Who gets a slot that becomes free is chance.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from msgspec import Struct

from penstock.base.dual import Steps
from penstock.base.lazy import LazyModule
from penstock.base.run_context import current_run
from penstock.concurrency.telling import Told, tell_acquired, tell_released
from penstock.schemas.errors import (
    AcquireConcurrencySlotTimeoutError,
    ConcurrencySlotAcquisitionError,
    PenstockException,
    PenstockHTTPStatusError,
)
from penstock.schemas.limits import (
    ConcurrencyLeaseHolder,
    LeaseRelease,
    SlotsIncrement,
    SlotsIncrementWithLease,
)
from penstock.steps import Monotonic, Request, Sleep

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = LazyModule("asyncio")  # needed only by asynchronous callers

logger = logging.getLogger("penstock.concurrency")

FULL = 423
WAIT_WITHOUT_ADVICE = 1.0

Mode = Literal["concurrency", "rate_limit"]


class Wanted(Struct, frozen=True, kw_only=True):
    """What one caller asks for."""

    names: Sequence[str]
    slots: int = 1
    mode: Mode = "concurrency"
    timeout_seconds: float | None = None
    max_retries: int | None = None
    strict: bool = False
    lease_seconds: float | None = None
    """None takes slots without a lease."""
    holder: ConcurrencyLeaseHolder | None = None


class Grant(Struct, frozen=True):
    """The slots a caller got."""

    lease_id: UUID | None
    told: Sequence[Told]


class Take(Request):
    """The request that takes slots.

    A caller that is cancelled while it waits for the answer gives back what it was granted.
    """

    async def aio(self) -> Any:
        asking = asyncio.ensure_future(super().aio())
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            asking.add_done_callback(_give_back_unheld)
            raise


_giving_back: set[Any] = set()


def _give_back_unheld(asked: Any) -> None:
    if asked.cancelled() or asked.exception() is not None:
        return
    lease_id = getattr(asked.result(), "lease_id", None)
    if lease_id is not None:
        task = asked.get_loop().create_task(release_request(lease_id).aio())
        _giving_back.add(task)
        task.add_done_callback(_giving_back.discard)


def names_of(names: str | Sequence[str]) -> list[str]:
    """One name or several as a list without doubles."""
    return list(dict.fromkeys([names] if isinstance(names, str) else names))


def current_holder() -> ConcurrencyLeaseHolder | None:
    """The innermost run, on whose behalf slots are taken."""
    run = current_run.get()
    if run is None:
        return None
    if run.task_run is not None:
        return ConcurrencyLeaseHolder(type="task_run", id=run.task_run.id)
    if run.flow_run is not None:
        return ConcurrencyLeaseHolder(type="flow_run", id=run.flow_run.id)
    return None


def acquire(wanted: Wanted) -> Steps[Grant]:
    """Take the slots, asking again until they are free, and tell so.

    Raises `AcquireConcurrencySlotTimeoutError` when the time is over, and
    `ConcurrencySlotAcquisitionError` when the retries are used up, the API refuses, or a limit is
    not there that must be.
    """
    answer = yield from until_free(wanted, _request(wanted))
    if wanted.lease_seconds is None:
        lease_id, limits = None, answer
    else:
        lease_id, limits = answer.lease_id, answer.limits
    missing = sorted(set(wanted.names) - {limit.name for limit in limits})
    if missing and wanted.strict:
        if lease_id is not None:
            yield release_request(lease_id)
        raise ConcurrencySlotAcquisitionError(
            f"the concurrency limits {missing} do not exist or are not active; create them, or "
            "call without strict=True"
        )
    if missing:
        logger.warning(
            "The concurrency limits %s do not exist or are not active, so they limit nothing",
            missing,
        )
    return Grant(lease_id, tell_acquired(limits, wanted.slots))


def _request(wanted: Wanted) -> Take:
    names = list(wanted.names)
    if wanted.lease_seconds is None:
        body = SlotsIncrement(names=names, slots=wanted.slots, mode=wanted.mode)
        return Take("bulk_increment_active_slots", body=body)
    body = SlotsIncrementWithLease(
        names=names,
        slots=wanted.slots,
        mode=wanted.mode,
        lease_duration=wanted.lease_seconds,
        holder=wanted.holder or current_holder(),
    )
    return Take("bulk_increment_active_slots_with_lease", body=body)


def until_free(wanted: Wanted, request: Take) -> Steps[Any]:
    """The answer of `request`, repeated while it is told that no slot is free."""
    names = ", ".join(wanted.names)
    end = None
    if wanted.timeout_seconds is not None:
        end = (yield Monotonic()) + wanted.timeout_seconds
    retries = 0
    while True:
        try:
            return (yield request)
        except PenstockHTTPStatusError as error:
            if error.status_code != FULL:
                raise _refused(names, error) from error
            advice = error.retry_after
        except PenstockException as error:
            raise _refused(names, error) from error
        retries += 1
        if wanted.max_retries is not None and retries > wanted.max_retries:
            raise ConcurrencySlotAcquisitionError(
                f"no slots of {names} were free after {wanted.max_retries} retries; allow more or "
                "raise the limit"
            )
        delay = WAIT_WITHOUT_ADVICE if advice is None else advice
        if end is not None:
            left = end - (yield Monotonic())
            if left <= 0:
                raise AcquireConcurrencySlotTimeoutError(
                    f"no slots of {names} became free within {wanted.timeout_seconds} seconds; "
                    "wait longer or raise the limit"
                )
            delay = min(delay, left)
        yield Sleep(delay)


def _refused(names: str, error: PenstockException) -> ConcurrencySlotAcquisitionError:
    return ConcurrencySlotAcquisitionError(f"slots of {names} could not be acquired: {error}")


def release_request(lease_id: UUID) -> Request:
    return Request("bulk_decrement_active_slots_with_lease", body=LeaseRelease(lease_id=lease_id))


def release(grant: Grant) -> Steps[None]:
    """Give the slots back and tell so. What cannot be given back comes back when the lease ends."""
    assert grant.lease_id is not None
    try:
        yield release_request(grant.lease_id)
    except PenstockException as error:
        logger.warning(
            "Slots could not be given back; they are free when their lease %s ends: %s",
            grant.lease_id,
            error,
        )
        return
    tell_released(grant.told)


def lost(error: Exception) -> ConcurrencySlotAcquisitionError:
    """What the body of a caller is ended with whose lease was lost."""
    return ConcurrencySlotAcquisitionError(
        f"the slots were lost, because their lease could not be renewed: {error}"
    )


def warn_of_loss(error: Exception) -> None:
    logger.warning(
        "Slots were lost, because their lease could not be renewed; going on without: %s", error
    )
