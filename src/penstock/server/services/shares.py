"""Sharing background loops between server processes: each runs in the one that has its lease."""

from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from penstock.base.clock import Clock
from penstock.schemas.admin import ServiceState
from penstock.schemas.errors import ServiceUnavailable
from penstock.server.ops import service_leases
from penstock.server.ops.service_leases import Report
from penstock.server.store.store import Store

SHORTEST_LEASE = 30.0


@dataclass(slots=True)
class _Held:
    """What this process knows of one lease."""

    until: float = float("-inf")
    """Up to when it is surely held, by the monotonic clock."""
    renew_at: float = float("-inf")
    rounds: int = 0
    """Rounds that were reported."""


def lease_seconds(interval: float) -> float:
    return max(3 * interval, SHORTEST_LEASE)


class Shares:
    """The leases of one process. A lease is renewed, with a report, each third of its time."""

    def __init__(self, store: Store, holder: str, clock: Clock) -> None:
        self.holder = holder
        self._store = store
        self._clock = clock
        self._held: dict[str, _Held] = {}

    async def holds(self, name: str, interval: float, record: Any) -> bool:
        """Whether this process runs the loop now. Raises `ServiceUnavailable` without a database
        when it cannot be told."""
        held = self._held.setdefault(name, _Held())
        now = self._clock.monotonic()
        if now < held.renew_at:
            return True
        seconds = lease_seconds(interval)
        report = Report(
            last_started=record.last_started,
            last_succeeded=record.last_success,
            last_error=record.last_error if record.failing else None,
            rounds=record.rounds - held.rounds,
        )
        taken = await self._store.write(service_leases.take, name, self.holder, seconds, report)
        if not taken:
            held.renew_at = held.until = float("-inf")
            return False
        held.rounds = record.rounds
        held.until, held.renew_at = now + seconds, now + seconds / 3
        return True

    async def release(self) -> None:
        """Let other processes take over at once."""
        try:
            await self._store.write(service_leases.release_all, self.holder)
        except ServiceUnavailable:
            # They lapse by themselves.
            return
        self._held.clear()

    async def rows(self) -> list[dict[str, Any]]:
        """Every loop that has a holder, wherever it runs."""
        return await self._store.read(service_leases.all_leases)


def seen_from_all(state: ServiceState, row: dict[str, Any] | None) -> ServiceState:
    """The state of a loop with what its holder reported, where that is another process."""
    if row is None:
        return state
    told = replace(state, holder=row["holder"], lease_until=row["lease_until"])
    if state.here:
        return told
    return replace(
        told,
        last_started=row["last_started"],
        last_success=row["last_succeeded"],
        last_error=row["last_error"],
        rounds=row["run_count"],
    )
