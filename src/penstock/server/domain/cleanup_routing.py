"""Which connected worker gets which owed teardown.

A worker is out of the question when it does not know the kind, has tried the message already, or
cannot reach the infrastructure. Among the others come first the worker that launched it, then one
that serves the message's queue, then any; of equals the least loaded, then the one that waited
longest.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from msgspec import Struct

from penstock.schemas.cleanup import CleanupPlacement


class Offer(Protocol):
    """What routing needs to know of a message."""

    @property
    def kind(self) -> str: ...

    @property
    def work_queue_id(self) -> str | None: ...

    @property
    def queued_at(self) -> datetime: ...

    @property
    def affinity_worker_name(self) -> str | None: ...

    @property
    def host_id(self) -> str | None: ...

    @property
    def placement(self) -> CleanupPlacement: ...

    @property
    def tried_workers(self) -> tuple[str, ...]: ...


class Taker(Struct, kw_only=True):
    """A connected worker that can be given something now. `queue_ids` None: it serves all."""

    worker_name: str
    host_id: str | None
    kinds: frozenset[str]
    queue_ids: frozenset[str] | None
    limit: int
    held: int
    last_given: float

    @property
    def credit(self) -> int:
        return self.limit - self.held


O = TypeVar("O", bound=Offer)  # noqa: E741 - the letter of the type it stands for
T = TypeVar("T", bound=Taker)


def matched(
    offers: Iterable[O], takers: Sequence[T], now: datetime, placement_wait: float
) -> list[tuple[O, T]]:
    """Messages with their workers, in the order of the messages.

    Counts what it gives in the takers, so that no worker gets more than it has credit for.
    """
    pairs: list[tuple[O, T]] = []
    free = [taker for taker in takers if taker.credit > 0]
    for offer in offers:
        if not free:
            break
        able = [taker for taker in free if may_take(offer, taker, now, placement_wait)]
        if not able:
            continue
        served = any(_serves(taker, offer.work_queue_id) for taker in takers)
        chosen = min(able, key=lambda taker: _rank(offer, taker, served=served))
        chosen.held += 1
        pairs.append((offer, chosen))
        if chosen.credit <= 0:
            free.remove(chosen)
    return pairs


def may_take(offer: Offer, taker: Taker, now: datetime, placement_wait: float) -> bool:
    """Whether the worker may be given the message at all."""
    if offer.kind not in taker.kinds or taker.worker_name in offer.tried_workers:
        return False
    launched = offer.affinity_worker_name == taker.worker_name
    if offer.placement is CleanupPlacement.REQUIRE:
        return launched or (offer.host_id is not None and offer.host_id == taker.host_id)
    if offer.placement is CleanupPlacement.PREFER and offer.affinity_worker_name is not None:
        return launched or now - offer.queued_at >= timedelta(seconds=placement_wait)
    return True


def _rank(offer: Offer, taker: Taker, *, served: bool) -> tuple[bool, int, float, float]:
    if offer.work_queue_id is not None and _serves(taker, offer.work_queue_id):
        queue = 0
    elif offer.work_queue_id is None or not served:
        queue = 1
    else:
        queue = 2
    stranger = offer.affinity_worker_name != taker.worker_name
    return stranger, queue, taker.held / taker.limit, taker.last_given


def _serves(taker: Taker, queue_id: str | None) -> bool:
    return queue_id is not None and (taker.queue_ids is None or queue_id in taker.queue_ids)
