"""Owed teardowns on their way to connected workers: one dispatcher for each server process.

A pool is looked at when something says that it may be worth it: a wake-up of the queue, capacity
that became free, a worker that connected, a message whose time has come. Each pool has a turn of
its own, so a slow one delays nobody else, and no turn ever waits for a socket. As wake-ups may be
lost, one question for all pools is asked every ten seconds.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from random import SystemRandom
from typing import Any

from penstock.base.clock import Clock
from penstock.schemas.errors import Refusal
from penstock.server.channel.connection import LIVE_SECONDS, Connection, InFlight, State
from penstock.server.domain.cleanup_routing import Taker, matched
from penstock.server.queue import ClaimRequest, CleanupQueue, Cursor, Reservation

logger = logging.getLogger("penstock.server.channel.dispatcher")

_random = SystemRandom()
BATCH = 32
WINDOWS = 4
SMALLEST_WINDOW = 64
LARGEST_WINDOW = 512
SAFETY_SECONDS = 10.0
HOLDER_SECONDS = 5.0
"""After which a worker that holds something is asked for a sign of life."""
PATIENCE = 2.0
"""How long a silent worker has to answer before it is asked again."""
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
EXPIRED_AT_ONCE = 100


class _Candidate(Taker, kw_only=True):
    connection: Connection


class Dispatcher:
    """Gives ready messages of the queue to the connections of this process."""

    def __init__(
        self,
        queue: CleanupQueue,
        connections: Callable[[str], Collection[Connection]],
        pools: Callable[[], Collection[str]],
        clock: Clock,
    ) -> None:
        self._queue = queue
        self._connections = connections
        self._pools = pools
        self._clock = clock
        self._dirty: set[str] = set()
        self._turns: dict[str, asyncio.Task[None]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._pauses: dict[str, float] = {}
        self._cursors: dict[str, Cursor] = {}
        self._asked: dict[Connection, float] = {}
        self._probed: dict[Connection, float] = {}
        self._lost: set[Connection] = set()
        self._safety: asyncio.Task[None] | None = None
        self._stop_listening: Callable[[], None] = _nothing
        self.delivered = 0
        """Messages handed to connections since the start."""

    async def start(self) -> None:
        if self._safety is None:
            self._stop_listening = self._queue.on_wake(self.wake)
            self._safety = asyncio.create_task(self._poll(), name="cleanup-safety-poll")

    async def stop(self) -> None:
        """Claim nothing any more."""
        self._stop_listening()
        tasks = [*self._turns.values(), *([self._safety] if self._safety is not None else [])]
        self._safety = None
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._turns.clear()

    def wake(self, pool_id: str | None) -> None:
        """Something may be due in this pool, or in any when it is None."""
        for one in self._pools() if pool_id is None else (pool_id,):
            self._cursors.pop(one, None)
            self._pauses.pop(one, None)
            self.look(one)

    def look(self, pool_id: str) -> None:
        """Give the pool a turn, after the one it may be having."""
        if self._safety is None:
            return
        self._dirty.add(pool_id)
        if pool_id not in self._turns:
            task = asyncio.create_task(self._take_turns(pool_id), name="cleanup-dispatch")
            self._turns[pool_id] = task

    def forget(self, connection: Connection) -> None:
        self._asked.pop(connection, None)
        self._probed.pop(connection, None)
        self._lost.discard(connection)

    # --- turns -----------------------------------------------------------------------------------

    async def _take_turns(self, pool_id: str) -> None:
        try:
            while pool_id in self._dirty:
                self._dirty.discard(pool_id)
                await self._guarded_turn(pool_id)
        finally:
            self._turns.pop(pool_id, None)

    async def _guarded_turn(self, pool_id: str) -> None:
        try:
            await self._turn(pool_id)
        except Refusal as error:
            pause = self._pause(pool_id)
            logger.warning("cleanups of pool %s wait %.1f s: %s", pool_id, pause, error.detail)
            self._later(pool_id, pause)
        except Exception:
            # The dispatcher is a service loop: a turn that fails must not end all others.
            logger.exception("a turn of pool %s failed", pool_id)
            self._later(pool_id, self._pause(pool_id))

    async def _turn(self, pool_id: str) -> None:
        takers = self._eligible(pool_id)
        if not takers:
            self._await_room(pool_id)
            return
        given, lost, exhausted = await self._give(pool_id, takers)
        if lost or (given and any(taker.credit > 0 for taker in takers)) or not exhausted:
            self._dirty.add(pool_id)
            return
        if any(taker.credit > 0 for taker in takers):
            await self._arm(pool_id)
        else:
            self._await_room(pool_id)

    async def _give(self, pool_id: str, takers: list["_Candidate"]) -> tuple[int, int, bool]:
        """Claim what the workers can take: how many were, how many others took, if all was seen."""
        want = min(sum(taker.credit for taker in takers), BATCH)
        pairs: list[tuple[Any, _Candidate]] = []
        cursor, size = self._cursors.pop(pool_id, None), max(4 * want, SMALLEST_WINDOW)
        kinds = frozenset[str]().union(*(taker.kinds for taker in takers))
        for _ in range(WINDOWS):
            window = await self._queue.peek(
                pool_id,
                kinds,
                [taker.worker_name for taker in takers],
                size,
                cursor,
                hosts=[taker.host_id for taker in takers if taker.host_id],
            )
            offers = window.candidates
            if len(offers) > want:
                # Dispatchers of other processes see the same window; few should pick the same.
                offers = _random.sample(offers, len(offers))
            now, wait = self._clock.now(), self._queue.policy.placement_wait_seconds
            pairs += matched(offers, takers, now, wait)[: BATCH - len(pairs)]
            cursor, size = window.cursor, min(4 * size, LARGEST_WINDOW)
            if cursor is None or len(pairs) >= want:
                break
        claimed = await self._claim(pool_id, pairs)
        exhausted = cursor is None or len(pairs) >= want
        if not exhausted and cursor is not None:
            self._cursors[pool_id] = cursor
        return claimed, len(pairs) - claimed, exhausted

    async def _claim(self, pool_id: str, pairs: list[tuple[Any, "_Candidate"]]) -> int:
        if not pairs:
            return 0
        chosen = {offer.id: (offer, taker.connection) for offer, taker in pairs}
        began = self._clock.monotonic()
        reservations = await self._queue.claim(
            [
                ClaimRequest(
                    message_id=offer.id,
                    fence=offer.fence,
                    work_pool_id=pool_id,
                    consumer_id=str(connection.consumer_id),
                    worker_name=connection.worker_name,
                    server_id=self._queue.server_id,
                )
                for offer, connection in chosen.values()
            ]
        )
        for reservation in reservations:
            offer, connection = chosen[reservation.message_id]
            await self._hand_over(connection, reservation, began, offer.placement)
        return len(reservations)

    async def _hand_over(
        self, connection: Connection, reservation: Reservation, began: float, placement: str
    ) -> None:
        if connection.state is not State.READY:
            await self._queue.release(
                reservation.work_pool_id,
                reservation.message_id,
                reservation.token,
                "connection_unavailable",
            )
            return
        connection.last_given = self._clock.monotonic()
        connection.in_flight[reservation.message_id] = InFlight(
            reservation.token, began + reservation.lease_seconds, placement
        )
        send_message(connection, reservation, self._clock.now(), began - self._clock.monotonic())
        self.delivered += 1

    # --- who can be given something --------------------------------------------------------------

    def _eligible(self, pool_id: str) -> list["_Candidate"]:
        return [
            _Candidate(
                connection=one,
                worker_name=one.worker_name,
                host_id=one.host_id,
                kinds=one.kinds,
                queue_ids=one.queue_ids,
                limit=one.limit,
                held=one.limit - one.credit,
                last_given=one.last_given,
            )
            for one in self._connections(pool_id)
            if one.credit > 0 and self._is_live(one)
        ]

    def _is_live(self, connection: Connection) -> bool:
        """Whether the worker was heard lately; a silent one is asked and looked at again."""
        if connection.silent_for() <= LIVE_SECONDS:
            self._asked.pop(connection, None)
            return True
        loop = asyncio.get_running_loop()
        if loop.time() - self._asked.get(connection, float("-inf")) >= PATIENCE:
            self._asked[connection] = loop.time()
            connection.ask()
            for delay in (0.02, 0.2, PATIENCE):
                loop.call_later(delay, self.look, connection.pool_id)
        return False

    # --- time ------------------------------------------------------------------------------------

    def _await_room(self, pool_id: str) -> None:
        """Come back when a lease of a worker ends, unless it has room again before."""
        ends = [held.until for one in self._connections(pool_id) for held in one.in_flight.values()]
        if ends:
            self._later(pool_id, max(min(ends) - self._clock.monotonic(), 0.0) + 0.01)

    async def _arm(self, pool_id: str) -> None:
        """Come back when the next message of the pool is due, or its next lease ends."""
        dues = await self._queue.next_due([pool_id])
        if pool_id in dues:
            await self._arm_at(pool_id, dues[pool_id])

    async def _arm_at(self, pool_id: str, due: float) -> None:
        if due > 0:
            self._pauses.pop(pool_id, None)
            self._later(pool_id, due + 0.005)
            return
        expired = await self._queue.expire(EXPIRED_AT_ONCE, pool_id)
        if len(expired):
            self._dirty.add(pool_id)
            return
        # What is due can be taken by nobody who is here; others may be due behind it.
        self._later(pool_id, self._pause(pool_id))

    def _later(self, pool_id: str, seconds: float) -> None:
        known = self._timers.pop(pool_id, None)
        if known is not None:
            known.cancel()
        if self._safety is not None:
            loop = asyncio.get_running_loop()
            self._timers[pool_id] = loop.call_later(seconds, self._ring, pool_id)

    def _ring(self, pool_id: str) -> None:
        self._timers.pop(pool_id, None)
        self.look(pool_id)

    def _pause(self, pool_id: str) -> float:
        pause = self._pauses.get(pool_id, FIRST_PAUSE)
        self._pauses[pool_id] = min(pause * 2, LONGEST_PAUSE)
        return pause

    async def _poll(self) -> None:
        """The safety poll: one question for all pools whose workers take cleanups."""
        while True:
            await asyncio.sleep(SAFETY_SECONDS * _random.uniform(0.8, 1.0))
            pools = [
                pool_id
                for pool_id in self._pools()
                if any(one.limit for one in self._connections(pool_id))
            ]
            try:
                if pools:
                    await self._ask_for_work(pools)
                    await self._check_holders(pools)
            except Refusal as error:
                logger.warning("the safety poll failed: %s", error.detail)

    async def _ask_for_work(self, pools: list[str]) -> None:
        dues: Mapping[str, float] = await self._queue.next_due(pools)
        for pool_id, due in dues.items():
            if due <= 0:
                self.look(pool_id)
            elif pool_id not in self._timers:
                self._later(pool_id, due + 0.005)

    async def _check_holders(self, pools: list[str]) -> None:
        """Find the workers that hold something and have fallen silent.

        When such a lease ends, nobody has failed: that is noted before it does.
        """
        now = asyncio.get_running_loop().time()
        for connection in [one for pool_id in pools for one in self._connections(pool_id)]:
            probed = self._probed.get(connection)
            silent = connection.silent_for()
            if not connection.in_flight or silent < HOLDER_SECONDS:
                self._probed.pop(connection, None)
                if connection in self._lost:
                    self._lost.discard(connection)
                    await self._queue.mark_holder(str(connection.consumer_id), lost=False)
            elif probed is None:
                self._probed[connection] = now
                connection.ask()
            elif now - probed >= PATIENCE and connection not in self._lost:
                self._lost.add(connection)
                await self._queue.mark_holder(str(connection.consumer_id), lost=True)


def send_message(
    connection: Connection, reservation: Reservation, now: datetime, elapsed: float
) -> None:
    """Queue the frame, its times in the worker's clock; `elapsed` is what the claim took."""
    offset = connection.offset()
    deadline = now + timedelta(seconds=reservation.lease_seconds + elapsed) + offset
    payload = {
        "message_id": reservation.message_id,
        "kind": reservation.kind,
        "reservation_token": reservation.token,
        "lease_expires_at": deadline,
        "delivery_count": reservation.delivery_count,
        "work_queue_id": reservation.work_queue_id,
        "target": reservation.target,
        "data": reservation.data,
    }
    connection.send("cleanup.message.v1", payload, offset, message_id=reservation.message_id)


def _nothing() -> None:
    return None
