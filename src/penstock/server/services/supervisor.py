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
from penstock.server.bus import Bus

logger = logging.getLogger("penstock.server.services")

LONGEST_PAUSE = 30.0
STALLED_AFTER_ROUNDS = 5


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


@dataclass(slots=True)
class Record:
    """How one service has been doing."""

    started: float
    rounds: int = 0
    failures: int = 0
    failing: int = 0
    """Failures in a row, up to now."""
    last_success: datetime | None = None
    last_progress: float = 0.0
    last_error: str | None = None


class Supervisor:
    """Starts, wakes and stops a set of services. `start` and `stop` may be repeated and raced."""

    def __init__(self, services: list[Service], bus: Bus, clock: Clock = SYSTEM_CLOCK) -> None:
        names = [service.name for service in services]
        if len(set(names)) != len(names):
            raise ValueError(f"two services share a name among {names}; rename one")
        self._services = list(services)
        self._bus = bus
        self._clock = clock
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

    def stalled(self) -> list[str]:
        """Services that are late by several intervals or fail again and again."""
        now = self._clock.monotonic()
        late = []
        for service in self._services if self._tasks else ():
            record = self.records[service.name]
            allowed = max(service.interval * STALLED_AFTER_ROUNDS, LONGEST_PAUSE * 2)
            if now - record.last_progress > allowed:
                late.append(service.name)
        return late

    async def _run(self, service: Service) -> None:
        record = self.records[service.name]
        while True:
            seen = self._bus.version(service.topic) if service.topic is not None else 0
            more = await self._round(service, record)
            if record.failing:
                await asyncio.sleep(min(0.1 * 2**record.failing, LONGEST_PAUSE))
            elif not more:
                await self._pause(service, seen)

    async def _round(self, service: Service, record: Record) -> bool:
        record.rounds += 1
        try:
            more = await service.run_once(self._clock.now()) is True
        except Exception as error:
            # A service loop is a supervision point: one bad round must not end the service.
            record.failures += 1
            record.failing += 1
            record.last_error = f"{type(error).__name__}: {error}"
            logger.exception("a round of the service %s failed", service.name)
            return False
        record.failing = 0
        record.last_success = self._clock.now()
        record.last_progress = self._clock.monotonic()
        return more

    async def _pause(self, service: Service, seen: int) -> None:
        if service.topic is None:
            await asyncio.sleep(service.interval)
        else:
            await self._bus.wait(service.topic, seen, service.interval)
