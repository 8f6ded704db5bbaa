"""Slots of the limits on a task's tags: asking for them, holding them, telling about them.

Most tags have no limit. That a set of tags has none is remembered for some seconds, so that many
runs of a tagged task do not ask again and again.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from time import monotonic
from typing import Any
from uuid import UUID

from penstock.base.ids import uuid7
from penstock.engine.record import instant, quoted, related_resource
from penstock.schemas.errors import PenstockHTTPStatusError
from penstock.schemas.limits import (
    ConcurrencyLeaseHolder,
    LeaseRelease,
    MinimalConcurrencyLimitResponse,
    SlotsIncrementWithLease,
)

LEASE_SECONDS = 60.0
REMEMBERED_SECONDS = 5.0
MAXIMUM_REMEMBERED = 1_000
WAIT_WITHOUT_ADVICE = 1.0
FULL = 423


class Unlimited:
    """Sets of tags that had no limit a moment ago, each at one API."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._until: dict[tuple[Any, frozenset[str]], float] = {}
        self._lock = threading.Lock()

    def note(self, api: Any, tags: frozenset[str]) -> None:
        """The tags have no limit now."""
        with self._lock:
            if len(self._until) >= MAXIMUM_REMEMBERED:
                self._until.clear()
            self._until[api, tags] = self._now() + REMEMBERED_SECONDS

    def holds(self, api: Any, tags: frozenset[str]) -> bool:
        """Whether the tags had no limit within the last seconds."""
        return self._until.get((api, tags), 0.0) > self._now()


UNLIMITED = Unlimited()


class TagSlots:
    """What one task run holds of the limits on its tags."""

    def __init__(self, x: Any) -> None:
        self._x = x
        self._tags: frozenset[str] = x.context.tags
        # Costs import time that runs without tags must not pay.
        self._api = import_module("penstock.client.target").current_target()
        self._lease_id: UUID | None = None
        self._hold: Any = None
        self._limits: list[MinimalConcurrencyLimitResponse] = []
        self._acquired: list[UUID] = []

    @property
    def needless(self) -> bool:
        """Whether it is known that nothing limits the tags."""
        return UNLIMITED.holds(self._api, self._tags)

    def asked(self) -> SlotsIncrementWithLease:
        """The body of the operation that takes the slots."""
        return SlotsIncrementWithLease(
            names=[f"tag:{tag}" for tag in sorted(self._tags)],
            slots=1,
            lease_duration=LEASE_SECONDS,
            holder=ConcurrencyLeaseHolder(id=self._x.record.id, type="task_run"),
        )

    def released(self) -> LeaseRelease:
        """The body of the operation that gives them back."""
        assert self._lease_id is not None
        return LeaseRelease(lease_id=self._lease_id)

    def take(self, answer: Any, now: datetime) -> list[bytes]:
        """Hold what the API granted; the events that say so, none when nothing limits the tags."""
        self._limits = answer.limits
        if not answer.limits:
            UNLIMITED.note(self._api, self._tags)
            return []
        self._lease_id = answer.lease_id
        keeper = import_module("penstock.client.leases")
        self._hold = keeper.keep_lease(answer.lease_id, LEASE_SECONDS, self._lost)
        self._acquired = [uuid7() for _ in self._limits]
        return [
            self._event("acquired", number, id, now) for number, id in enumerate(self._acquired)
        ]

    @property
    def held(self) -> bool:
        return self._hold is not None

    def stop(self) -> None:
        """Renew the lease no more."""
        if self._hold is not None:
            import_module("penstock.client.leases").KEEPER.stop(self._hold)
            self._hold = None

    def told_released(self, now: datetime) -> list[bytes]:
        """The events of giving the slots back."""
        return [
            self._event("released", number, uuid7(), now) for number in range(len(self._limits))
        ]

    def _lost(self, error: Exception) -> None:
        self._x.logger.warning(
            "%s lost its slots of the limits on its tags and goes on without: %s",
            self._x.label,
            error,
        )

    def _event(self, name: str, number: int, id: UUID, now: datetime) -> bytes:
        limit = self._limits[number]
        related = [
            related_resource("concurrency-limit", other.id, "concurrency-limit")
            for other in self._limits
            if other is not limit
        ]
        flow = self._x.flow_context
        if flow is not None:
            related += [flow.related_run, self._x.record.as_related, flow.related_rest]
        else:
            related.append(self._x.record.as_related)
        follows = f'"{self._acquired[number]}"' if name == "released" else "null"
        return (
            f'{{"occurred":"{instant(now)}","event":"prefect.concurrency-limit.{name}",'
            f'"resource":{{"prefect.resource.id":"prefect.concurrency-limit.{limit.id}",'
            f'"prefect.resource.name":{quoted(limit.name)},"slots-acquired":"1",'
            f'"limit":"{limit.limit}"}},"related":[{",".join(related)}],"payload":{{}},'
            f'"id":"{id}","follows":{follows}}}'
        ).encode()


def is_full(error: PenstockHTTPStatusError) -> bool:
    """Whether the API said that no slot is free."""
    return error.status_code == FULL


def wait_of(error: PenstockHTTPStatusError) -> float:
    """Seconds to wait until slots are asked for again."""
    return error.retry_after if error.retry_after is not None else WAIT_WITHOUT_ADVICE
