"""Running the background loops: when, how often, and what happens when one fails.

A service is one function that does one round of its work. The supervisor calls it when its
interval has passed or its topic was woken, one round at a time, and keeps going whatever a round
does: a failing round is logged, counted and tried again after a growing pause. Nobody else
catches broadly.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock.base.clock import SYSTEM_CLOCK, Clock
from penstock.schemas.admin import ServiceState
from penstock.server.bus import Bus
from penstock.server.services.shares import Shares

logger = logging.getLogger("penstock.server.services")

LONGEST_PAUSE = 5.0
"""Between two rounds that fail: what a loop depends on may come back at any time."""
STALLED_SECONDS = 60.0
STALLED_AFTER_ROUNDS = 5
LONGEST_ROUND = 600.0
"""Seconds after which a round hangs; it is given up and counts as failed."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """One background loop.

    `run_once(now)` does one round; when it returns True (and not a count), more work is waiting
    and the next round follows at once. A service with a `topic` is also woken by the bus.
    """

    name: str
    run_once: Callable[[datetime], Awaitable[Any]]
    interval: float
    """Seconds between rounds when nothing wakes it."""
    topic: str | None = None
    close: Callable[[], Awaitable[None]] | None = None
    """Lets go of what a round left under way; called when the service was stopped."""
    shared: bool = True
    """Whether one process runs it for all; others look after what each process has."""


@dataclass(slots=True)
class Record:
    """How one service has been doing."""

    started: float
    rounds: int = 0
    failures: int = 0
    failing: int = 0
    """Failures in a row, up to now."""
    last_started: datetime | None = None
    last_success: datetime | None = None
    last_progress: float = 0.0
    last_error: str | None = None
    elsewhere: bool = False
    """Whether another process has the lease on it."""


class Supervisor:
    """Starts, wakes and stops a set of services. `start` and `stop` may be repeated and raced."""

    def __init__(
        self,
        services: list[Service],
        bus: Bus,
        clock: Clock = SYSTEM_CLOCK,
        shares: Shares | None = None,
    ) -> None:
        names = [service.name for service in services]
        if len(set(names)) != len(names):
            raise ValueError(f"two services share a name among {names}; rename one")
        self._services = list(services)
        self._bus = bus
        self._clock = clock
        self.shares = shares
        self._tasks: list[asyncio.Task[None]] = []
        self._lock = asyncio.Lock()
        self.records: dict[str, Record] = {}

    @property
    def running(self) -> bool:
        return bool(self._tasks)

    async def start(self) -> None:
        """Start every service; its first round runs at once."""
        async with self._lock:
            if self._tasks:
                return
            now = self._clock.monotonic()
            for service in self._services:
                self.records[service.name] = Record(started=now, last_progress=now)
                self._tasks.append(
                    asyncio.create_task(self._run(service), name=f"service-{service.name}")
                )

    async def stop(self) -> None:
        """Stop all services. A round that is in a transaction is cancelled at its next await."""
        async with self._lock:
            tasks, self._tasks = self._tasks, []
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for service in self._services if tasks else ():
                if service.close is not None:
                    await service.close()
            if tasks and self.shares is not None:
                await self.shares.release()

    def stalled(self) -> list[str]:
        """Services that are late by several intervals or fail again and again."""
        now = self._clock.monotonic()
        late = []
        for service in self._services if self._tasks else ():
            record = self.records[service.name]
            allowed = max(service.interval * STALLED_AFTER_ROUNDS, STALLED_SECONDS)
            if now - record.last_progress > allowed:
                late.append(service.name)
        return late

    async def _run(self, service: Service) -> None:
        record = self.records[service.name]
        while True:
            seen = self._bus.version(service.topic) if service.topic is not None else 0
            more = await self._holds(service, record) and await self._round(service, record)
            if record.failing:
                await asyncio.sleep(min(0.1 * 2**record.failing, LONGEST_PAUSE))
            elif not more:
                await self._pause(service, seen)

    async def _holds(self, service: Service, record: Record) -> bool:
        """Whether it is for this process to run the service."""
        if not service.shared or self.shares is None:
            return True
        try:
            held = await self.shares.holds(service.name, service.interval, record)
        except Exception as error:
            self._failed(service, record, error)
            return False
        record.elsewhere = not held
        if not held:
            record.failing = 0
            record.last_progress = self._clock.monotonic()
        return held

    async def _round(self, service: Service, record: Record) -> bool:
        record.rounds += 1
        record.last_started = self._clock.now()
        try:
            async with asyncio.timeout(LONGEST_ROUND):
                more = await service.run_once(record.last_started) is True
        except Exception as error:
            self._failed(service, record, error)
            return False
        record.failing = 0
        record.last_success = self._clock.now()
        record.last_progress = self._clock.monotonic()
        return more

    def _failed(self, service: Service, record: Record, error: Exception) -> None:
        """A service loop is a supervision point: one bad round must not end the service."""
        record.failures += 1
        record.failing += 1
        record.last_error = f"{type(error).__name__}: {error}"
        logger.error("a round of the service %s failed", service.name, exc_info=error)

    def state(self) -> list[ServiceState]:
        """How each service of this process has been doing."""
        now = self._clock.monotonic()
        return [
            ServiceState(
                name=service.name,
                interval_seconds=service.interval,
                lag_seconds=round(max(now - record.last_progress, 0.0), 3),
                last_started=record.last_started,
                last_success=record.last_success,
                last_error=record.last_error if record.failing else None,
                rounds=record.rounds,
                failures=record.failures,
                here=not record.elsewhere,
            )
            for service in self._services
            if (record := self.records.get(service.name)) is not None
        ]

    async def _pause(self, service: Service, seen: int) -> None:
        if service.topic is None:
            await asyncio.sleep(service.interval)
        else:
            await self._bus.wait(service.topic, seen, service.interval)
