"""Keeping leases on concurrency slots alive: one thread for all leases of the process.

A lease is renewed when three quarters of its time are over. A renewal that fails is tried twice
more, after growing pauses in which the other leases are looked after; then, or at once when the
server says that the lease has ended, its holder is told, once.
"""

import heapq
import threading
from collections.abc import Callable
from itertools import count
from time import monotonic
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from penstock.client.closing import after_fork
from penstock.client.orchestration import SyncPenstockClient
from penstock.client.target import Target, current_target
from penstock.schemas.errors import PenstockException, PenstockHTTPStatusError
from penstock.schemas.limits import LeaseRenewal

RENEW_AFTER = 0.75
ATTEMPTS = 3
PAUSES = (1.0, 10.0)
GONE = 410

Renew = Callable[[UUID, float], Any]
Lost = Callable[[Exception], None]


class Hold:
    """A lease that is kept alive until `stop`."""

    __slots__ = ("attempts", "lease_id", "lost", "renew", "seconds", "stopped")

    def __init__(self, lease_id: UUID, seconds: float, renew: Renew, lost: Lost) -> None:
        self.lease_id = lease_id
        self.seconds = seconds
        self.renew = renew
        self.lost = lost
        self.attempts = 0
        self.stopped = False


class LeaseKeeper:
    """Renews leases from one daemon thread, which lives only while there are any."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self.reset()

    def reset(self) -> None:
        """Forget everything: the holders are in another process."""
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Hold]] = []
        self._order = count()
        self._held = 0
        self._thread: threading.Thread | None = None

    def keep(self, lease_id: UUID, seconds: float, renew: Renew, lost: Lost) -> Hold:
        """Keep a fresh lease of `seconds` alive by `renew(lease_id, seconds)`.

        `lost` is called on the keeper's thread with what went wrong; it must return at once.
        """
        hold = Hold(lease_id, seconds, renew, lost)
        with self._changed:
            self._held += 1
            self._push(hold, seconds * RENEW_AFTER)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="penstock-leases", daemon=True
                )
                self._thread.start()
            else:
                self._changed.notify()
        return hold

    def stop(self, hold: Hold) -> None:
        """Renew `hold` no more; it may be renewed right now."""
        with self._changed:
            if not hold.stopped:
                hold.stopped = True
                self._held -= 1
                self._changed.notify()

    def due_in(self) -> float | None:
        """Seconds until the next renewal; None without a lease."""
        with self._changed:
            self._drop_stopped()
            return self._due[0][0] - self._now() if self._due else None

    def run_once(self) -> bool:
        """Renew the lease that is due first, if one is due."""
        with self._changed:
            self._drop_stopped()
            if not self._due or self._due[0][0] > self._now():
                return False
            hold = heapq.heappop(self._due)[2]
        error = self._renewed(hold)
        with self._changed:
            if hold.stopped:
                return True
            if error is None:
                hold.attempts = 0
                self._push(hold, hold.seconds * RENEW_AFTER)
                return True
            hold.attempts += 1
            gone = isinstance(error, PenstockHTTPStatusError) and error.status_code == GONE
            if not gone and hold.attempts < ATTEMPTS:
                self._push(hold, PAUSES[hold.attempts - 1])
                return True
            hold.stopped = True
            self._held -= 1
        hold.lost(error)
        return True

    def _renewed(self, hold: Hold) -> Exception | None:
        try:
            hold.renew(hold.lease_id, hold.seconds)
        except (PenstockException, OSError) as error:
            return error
        return None

    def _push(self, hold: Hold, seconds: float) -> None:
        heapq.heappush(self._due, (self._now() + seconds, next(self._order), hold))

    def _drop_stopped(self) -> None:
        while self._due and self._due[0][2].stopped:
            heapq.heappop(self._due)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._held:
                    self._due.clear()
                    self._thread = None
                    return
                self._drop_stopped()
                wait = self._due[0][0] - self._now() if self._due else None
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                    continue
            self.run_once()


KEEPER = LeaseKeeper()


def renewer(target: Target) -> Renew:
    """Renews leases at `target`. Waits for no retries, which would delay the other leases."""
    if target.url is not None:
        target = replace(target, rule=replace(target.rule, limit=0))
    client = SyncPenstockClient(target=target)

    def renew(lease_id: UUID, seconds: float) -> None:
        client.call("renew_concurrency_lease", lease_id, body=LeaseRenewal(lease_duration=seconds))

    return renew


def keep_lease(lease_id: UUID, seconds: float, lost: Lost) -> Hold:
    """Keep a lease at the current API alive; see `LeaseKeeper.keep`."""
    return KEEPER.keep(lease_id, seconds, renewer(current_target()), lost)


after_fork(KEEPER.reset)
