"""The queue with its working set in Redis; the main database keeps the ledger.

A change of one message watches its hash alone: read, decide here, write everything in one
transaction, try again when somebody else was faster. What is decided goes on to the ledger at
once but without anybody waiting for it; what the ledger decides (new messages, people's changes)
is pushed here after its commit. When Redis forgets, the ledger writes it anew.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from random import SystemRandom
from typing import Any
from uuid import uuid4

import redis.asyncio
from msgspec.structs import replace

from penstock.schemas.cleanup import CleanupOperation
from penstock.schemas.errors import ServiceUnavailable
from penstock.server.bus import Bus
from penstock.server.domain import cleanup
from penstock.server.domain.cleanup import (
    FINISHED,
    LEASED,
    UNFINISHED,
    Answer,
    Change,
    Holder,
    Message,
)
from penstock.server.domain.cleanup_retries import CleanupPolicy, ReasonClass, class_of
from penstock.server.ops import cleanup_ledger, cleanup_mirror, cleanup_queue
from penstock.server.ops.cleanup_queue import Candidate, Expired, Lease
from penstock.server.ops.cleanup_rows import TOPIC, binding_of
from penstock.server.queue.database import BEAT_SECONDS, failed, result_of
from penstock.server.queue.interface import (
    ClaimRequest,
    Cursor,
    OperationResult,
    Reservation,
    Window,
)
from penstock.server.queue.ledger import LedgerQueue, reservation_of
from penstock.server.queue.mirror import Mirror
from penstock.server.queue.redis_hash import (
    Keys,
    instant_of,
    message_of,
    milliseconds,
    paired,
    routing_of,
    scored,
    written,
)
from penstock.server.queue.redis_lines import FAILURES, Aborted, Line, Lines
from penstock.server.queue.tokens import hash_of, new_token
from penstock.server.store import Store

logger = logging.getLogger("penstock.server.queue")

TRIES = 8
PUSHED_AT_ONCE = 200
OFFSET_SECONDS = 2.0
_random = SystemRandom()
_ROUTING = ("v", "st", "rt")
Decide = Callable[[Message, datetime], tuple[Any, Change | None]]


class RedisQueue(LedgerQueue):
    """Leases in Redis, by the clock of Redis."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        policy: CleanupPolicy | None = None,
        *,
        url: str,
        prefix: str = "penstock:cleanup",
        server_id: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(store, bus, policy, server_id=server_id)
        self.keys = Keys(prefix)
        self._url = url
        self._options = options
        self.lines = Lines(url, **options)
        self._mirror = Mirror(store, self.server_id)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._push_wanted = asyncio.Event()
        self._pushes = asyncio.Condition()
        self._asked = 0
        self._done = 0
        self._beat_at = float("-inf")
        self._repaired = ""
        self._noted: set[str] = set()
        """Pools that this process has put into the set of pools."""
        self._offset: tuple[float, float] | None = None
        """The clock of Redis against the monotonic one, and when that was seen."""

    # --- life ------------------------------------------------------------------------------------

    async def start(self) -> None:
        if self._tasks:
            return
        self._loop = asyncio.get_running_loop()
        self._mirror.start()
        self._tasks = [
            asyncio.create_task(self._listen(), name="penstock-cleanup-listen"),
            asyncio.create_task(self._push_always(), name="penstock-cleanup-push"),
        ]
        self._want_push()

    async def stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        pending = set(tasks)
        # The driver may swallow a cancellation that meets it in the middle of a command.
        while pending:
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=0.2)
        await self._mirror.stop()
        await self.lines.close()

    def committed(self, topics: Collection[str]) -> None:
        """A commit of this process woke topics; what it left to push is pushed. Any thread."""
        if self._loop is not None and any(topic.startswith(TOPIC) for topic in topics):
            self._loop.call_soon_threadsafe(self._want_push)

    def _want_push(self) -> None:
        self._asked += 1
        self._push_wanted.set()

    async def settled(self) -> None:
        """Return when ledger and working set know of each other's changes."""
        await self._mirror.settled()
        await asyncio.sleep(0)
        asked = self._asked
        async with self._pushes:
            await self._pushes.wait_for(lambda: self._done >= asked)

    async def _listen(self) -> None:
        """Wake-ups of other processes; after each new connection everything is looked at."""
        pause = 0.1
        options = {**self._options, "socket_timeout": None}
        while True:
            try:
                async with (
                    redis.asyncio.from_url(self._url, **options) as client,
                    client.pubsub(ignore_subscribe_messages=False) as pubsub,
                ):
                    await pubsub.subscribe(self.keys.wake)
                    async for message in pubsub.listen():
                        pause = 0.1
                        if message["type"] == "message":
                            self._tell(message["data"].decode())
                        elif message["type"] == "subscribe":
                            self._tell(None)
            except FAILURES as error:
                logger.warning("no wake-ups of the cleanup queue from Redis yet: %s", error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)

    # --- from the ledger into the working set ----------------------------------------------------

    async def _push_always(self) -> None:
        pause = 0.1
        while True:
            await self._push_wanted.wait()
            self._push_wanted.clear()
            asked = self._asked
            try:
                await self.push()
                pause = 0.1
                async with self._pushes:
                    self._done = asked
                    self._pushes.notify_all()
            except ServiceUnavailable as error:
                logger.warning("owed teardowns cannot reach Redis yet: %s", error)
                self._want_push()
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
            except Exception:
                # The reconciler comes again; the loop must outlive whatever one row holds.
                logger.exception("owed teardowns could not be pushed to Redis")
                await asyncio.sleep(1.0)

    async def push(self) -> int:
        """Write into Redis what the ledger says it lacks; how many messages that were."""
        total = 0
        while True:
            found = await self._store.read(cleanup_mirror.unsynced, PUSHED_AT_ONCE)
            if not found:
                return total
            new = {message.work_pool_id for message in found} - self._noted
            if new:
                await self.lines.run(("SADD", self.keys.pools, *new))
                self._noted |= new
            await asyncio.gather(*(self._install(message) for message in found))
            await self._store.write(cleanup_mirror.mark_synced, found)
            total += len(found)
            if len(found) < PUSHED_AT_ONCE:
                return total

    async def _install(self, message: Message) -> None:
        """Write one message of the ledger unless Redis has the same or a newer form of it."""
        for _ in range(TRIES):
            async with self.lines.line() as line:
                now, found = await self._read(line, message.work_pool_id, message.id)
                if found is not None and found.fence >= message.fence:
                    await line.exchange([("UNWATCH",)])
                    return
                if found is None and message.state in FINISHED:
                    await line.exchange([("UNWATCH",)])
                    return
                after = message
                if message.state is LEASED and found is None:
                    # Its deadline was lost with Redis: the holder gets one lease to come back.
                    deadline = now + timedelta(seconds=self.policy.lease_seconds)
                    after = replace(message, lease_expires_at=deadline)
                try:
                    await line.transaction(self._written(found, after))
                except Aborted:
                    continue
                if after.state is cleanup.READY:
                    self._tell(after.work_pool_id)
                return

    def _written(self, before: Message | None, after: Message) -> list[tuple[Any, ...]]:
        return written(self.keys, before, after, self.policy.placement_wait_seconds)

    async def _read(self, line: Line, pool: str, id: str) -> tuple[datetime, Message | None]:
        """The time and a message, watched from now on."""
        key = self.keys.message(pool, id)
        time, _, flat = await line.exchange([("TIME",), ("WATCH", key), ("HGETALL", key)])
        found = paired(flat)
        now = instant_of(int(time[0]) * 1_000_000 + int(time[1])) + self.shift
        return now, message_of(found) if found else None

    # --- one change ------------------------------------------------------------------------------

    async def _change(self, pool: str, id: str, decide: Decide) -> tuple[Any, Message | None, bool]:
        """Decide about a message and write that: the answer, what it became, whether it is here.

        Raises `ServiceUnavailable` when Redis fails or others are faster again and again.
        """
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(_random.uniform(0.001, 0.02))
            async with self.lines.line() as line:
                now, message = await self._read(line, pool, id)
                if message is None:
                    await line.exchange([("UNWATCH",)])
                    return None, None, False
                answer, change = decide(message, now)
                if change is None:
                    await line.exchange([("UNWATCH",)])
                    return answer, message, True
                try:
                    await line.transaction(self._written(message, change.after))
                except Aborted:
                    continue
            self._mirror.add(change)
            if change.wakes:
                self._tell(pool)
            return answer, change.after, True
        raise ServiceUnavailable(f"cleanup message {id} changes too fast; try again")

    async def _known(self, pool: str, id: str) -> Message | None:
        """What the ledger says of a message that Redis lacks; an unfinished one is written there
        again."""
        message = await self._store.read(cleanup_mirror.ledger_message, id)
        if message is None or message.work_pool_id != pool:
            return None
        if message.state in UNFINISHED:
            await self._install(message)
        return message

    async def _operate(
        self,
        operation: CleanupOperation,
        pool: str,
        id: str,
        decide: Decide,
        in_ledger: Callable[[], Coroutine[Any, Any, tuple[Answer, Message | None]]],
    ) -> OperationResult:
        try:
            answer, _, known = await self._change(pool, id, decide)
            if not known:
                message = await self._known(pool, id)
                if message is None:
                    answer = cleanup.NOT_FOUND
                elif message.state in UNFINISHED:
                    answer, _, known = await self._change(pool, id, decide)
                    answer = answer if known else cleanup.NOT_FOUND
                else:
                    answer, _ = await in_ledger()
        except ServiceUnavailable as error:
            return self.counted(failed(operation, id, error))
        return self.counted(result_of(operation, id, answer, self.policy.lease_seconds))

    async def ack(
        self, work_pool_id: str, message_id: str, token: str, *, others: Collection[str] = ()
    ) -> OperationResult:
        hashed, names = hash_of(token), frozenset(others)
        return await self._operate(
            CleanupOperation.ACK,
            work_pool_id,
            message_id,
            lambda message, now: cleanup.ack(message, now, hashed, names),
            lambda: self._store.write(
                cleanup_queue.ack, self.shift, work_pool_id, message_id, hashed, names
            ),
        )

    async def renew(self, work_pool_id: str, message_id: str, token: str) -> OperationResult:
        hashed, policy = hash_of(token), self.policy
        return await self._operate(
            CleanupOperation.RENEW,
            work_pool_id,
            message_id,
            lambda message, now: cleanup.renew(message, now, hashed, policy),
            lambda: self._store.write(
                cleanup_queue.renew, self.shift, policy, work_pool_id, message_id, hashed
            ),
        )

    async def release(
        self, work_pool_id: str, message_id: str, token: str, reason: str
    ) -> OperationResult:
        if not reason:
            raise ValueError("a release needs a reason; name why the teardown did not happen")
        hashed, policy = hash_of(token), self.policy
        binding = None
        if class_of(reason) is ReasonClass.REFRESH:
            try:
                rows = await self._store.read(cleanup_queue.bindings, [message_id])
            except ServiceUnavailable as error:
                return self.counted(failed(CleanupOperation.RELEASE, message_id, error))
            binding = binding_of(rows[message_id]) if message_id in rows else None
        chance = _random.random()
        return await self._operate(
            CleanupOperation.RELEASE,
            work_pool_id,
            message_id,
            lambda message, now: cleanup.release(
                message, now, hashed, reason, policy, chance, binding
            ),
            lambda: self._store.write(
                cleanup_queue.release,
                self.shift,
                policy,
                work_pool_id,
                message_id,
                hashed,
                reason,
            ),
        )

    # --- routing ---------------------------------------------------------------------------------

    async def peek(
        self,
        work_pool_id: str,
        kinds: Collection[str],
        workers: Collection[str],
        limit: int,
        cursor: Cursor | None = None,
        *,
        hosts: Collection[str] = (),
    ) -> Window:
        if limit <= 0:
            return Window(candidates=[])
        keys = self.keys
        sets = [keys.ready(work_pool_id, kind) for kind in kinds]
        sets += [keys.waiting(work_pool_id, kind) for kind in kinds]
        sets += [keys.ready_of_worker(work_pool_id, name) for name in workers]
        sets += [keys.ready_of_host(work_pool_id, host) for host in hosts]
        after = None if cursor is None else (milliseconds(cursor.available_at), cursor.id)
        taken = limit
        while True:
            found, more = await self._due(sets, after, taken)
            if found or not more:
                break
            taken *= 4
        window = found[:limit]
        candidates = await self._candidates(work_pool_id, [id for _, id in window], kinds)
        if (more or len(found) > limit) and window:
            score, id = window[-1]
            return Window(candidates=candidates, cursor=Cursor(instant_of(score * 1_000), id))
        return Window(candidates=candidates)

    async def _due(
        self, sets: list[str], after: tuple[int, str] | None, limit: int
    ) -> tuple[list[tuple[int, str]], bool]:
        """Scores and ids that are due, from behind a known place; whether there may be more."""
        now = await self._about_now()
        least = "-inf" if after is None else after[0]
        replies = await self.lines.run(
            *(
                ("ZRANGEBYSCORE", key, least, milliseconds(now), "WITHSCORES", "LIMIT", 0, limit)
                for key in sets
            )
        )
        merged: dict[str, int] = {}
        for flat in replies:
            for id, score in scored(flat):
                merged[id.decode()] = min(int(float(score)), merged.get(id.decode(), 1 << 62))
        places = sorted((score, id) for id, score in merged.items())
        if after is not None:
            places = [place for place in places if place > after]
        return places, any(len(scored(flat)) >= limit for flat in replies)

    async def _candidates(
        self, pool: str, ids: list[str], kinds: Collection[str]
    ) -> list[Candidate]:
        if not ids:
            return []
        replies = await self.lines.run(
            *(("HMGET", self.keys.message(pool, id), *_ROUTING) for id in ids)
        )
        found = []
        for id, reply in zip(ids, replies, strict=True):
            fence, state, text = reply
            if fence is None or state != b"0":
                continue
            routing = routing_of(text)
            if routing.kind not in kinds:
                continue
            found.append(
                Candidate(
                    id=id,
                    work_pool_id=pool,
                    fence=int(fence),
                    kind=routing.kind,
                    work_queue_id=routing.work_queue_id,
                    available_at=routing.available_at,
                    queued_at=routing.queued_at,
                    affinity_worker_name=routing.affinity_worker_name,
                    host_id=routing.host_id,
                    placement=routing.placement,
                    tried_workers=routing.tried_workers,
                )
            )
        return found

    async def _about_now(self) -> datetime:
        """The time of Redis as far as looking around needs it: a claim asks for it again."""
        monotonic = self._store.clock.monotonic()
        if self._offset is None or monotonic - self._offset[1] > OFFSET_SECONDS:
            now = await self._now()
            self._offset = (now.timestamp() - self.shift.total_seconds() - monotonic, monotonic)
            return now
        return datetime.fromtimestamp(self._offset[0] + monotonic, UTC) + self.shift

    async def _now(self) -> datetime:
        (time,) = await self.lines.run(("TIME",))
        return instant_of(int(time[0]) * 1_000_000 + int(time[1])) + self.shift

    async def claim(self, requests: Sequence[ClaimRequest]) -> list[Reservation]:
        if not requests:
            return []
        ids = [request.message_id for request in requests]
        try:
            rows = await self._store.read(cleanup_queue.bindings, ids)
        except ServiceUnavailable:
            # What the run says now is a refinement; the stored target is good enough.
            rows = {}
        current = [one for one in requests if not await self._is_stale(one, rows)]
        won = await asyncio.gather(
            *(self._claim(request, rows.get(request.message_id)) for request in current)
        )
        reservations = [found for found in won if found is not None]
        if reservations:
            self._note_alive()
        return reservations

    async def _is_stale(self, request: ClaimRequest, rows: dict[str, Any]) -> bool:
        """Whether Redis shows an older form of a message than the ledger has, as after a failover
        that lost the last writes; then it is written anew instead of delivered."""
        row = rows.get(request.message_id)
        if row is None or row["fence"] <= request.fence:
            return False
        message = await self._store.read(cleanup_mirror.ledger_message, request.message_id)
        if message is not None:
            await self._install(message)
        return True

    async def _claim(self, request: ClaimRequest, row: Any) -> Reservation | None:
        token = new_token()
        hashed, policy = hash_of(token), self.policy
        holder = Holder(
            consumer_id=request.consumer_id,
            worker_name=request.worker_name,
            server_id=request.server_id,
        )

        def decide(message: Message, now: datetime) -> tuple[Any, Change | None]:
            if message.fence != request.fence:
                return None, None
            if row is not None:
                obsolete = cleanup_queue.bound(message, row, now)
                if obsolete is not None:
                    return None, obsolete
                message = cleanup_queue.with_handle(message, row)
            change = cleanup.claim(message, now, holder, hashed, policy)
            return change, change

        try:
            answer, leased, _ = await self._change(request.work_pool_id, request.message_id, decide)
        except ServiceUnavailable as error:
            logger.warning("cleanup message %s was not claimed: %s", request.message_id, error)
            return None
        if answer is None or leased is None:
            return None
        return reservation_of(leased, token)

    def _note_alive(self) -> None:
        now = self._store.clock.monotonic()
        if now - self._beat_at >= BEAT_SECONDS:
            self._beat_at = now
            self._mirror.beat()

    # --- leases ----------------------------------------------------------------------------------

    async def _pools(self) -> list[str]:
        (pools,) = await self.lines.run(("SMEMBERS", self.keys.pools))
        return sorted(pool.decode() for pool in pools)

    async def expire(self, limit: int, work_pool_id: str | None = None) -> Expired:
        pools = await self._pools() if work_pool_id is None else [work_pool_id]
        now = milliseconds(await self._now())
        replies = (
            await self.lines.run(
                *(
                    ("ZRANGEBYSCORE", self.keys.leased(pool), "-inf", now, "LIMIT", 0, limit)
                    for pool in pools
                )
            )
            if pools
            else []
        )
        overdue = [
            (pool, id.decode()) for pool, ids in zip(pools, replies, strict=True) for id in ids
        ][:limit]
        ready: list[Message] = []
        dead: list[Message] = []
        lost = await self._lost_servers(overdue)
        for after in await asyncio.gather(
            *(self._expire(pool, id, lost.get(id, False)) for pool, id in overdue)
        ):
            if after is not None:
                (ready if after.state is cleanup.READY else dead).append(after)
        return self.counted_expiry(Expired(ready=ready, dead=dead))

    async def _expire(self, pool: str, id: str, lost: bool) -> Message | None:
        chance, policy = _random.random(), self.policy

        def decide(message: Message, now: datetime) -> tuple[Any, Change | None]:
            change = cleanup.expire(message, now, policy, chance, lost=lost)
            return change, change

        change, after, known = await self._change(pool, id, decide)
        if not known:
            # A set knew of it and the hash is gone: the ledger decides.
            await self.lines.run(("ZREM", self.keys.leased(pool), id))
            await self._known(pool, id)
        return after if change is not None else None

    async def _lost_servers(self, overdue: list[tuple[str, str]]) -> dict[str, bool]:
        if not overdue:
            return {}
        replies = await self.lines.run(
            *(("HGET", self.keys.message(pool, id), "srv") for pool, id in overdue)
        )
        servers = {id: (srv or b"").decode() for (_, id), srv in zip(overdue, replies, strict=True)}
        try:
            lost = await self._store.read(
                cleanup_queue.lost_servers, {server for server in servers.values() if server}
            )
        except ServiceUnavailable:
            lost = set()
        return {id: server in lost for id, server in servers.items()}

    async def leases_of(self, consumer_id: str) -> list[Lease]:
        found = await self._leased_by(consumer_id)
        return [
            Lease(
                message_id=message.id,
                work_pool_id=message.work_pool_id,
                token_hash=message.token_hash or "",
                lease_expires_at=message.lease_expires_at or message.updated_at,
                renewals=message.lease_renewals,
                server_id=message.lease_server_id,
                lost=message.lease_lost,
            )
            for message in sorted(found, key=lambda one: one.lease_since or one.created_at)
        ]

    async def _leased_by(self, consumer_id: str) -> list[Message]:
        pools = await self._pools()
        if not pools:
            return []
        replies = await self.lines.run(
            *(("SMEMBERS", self.keys.held(pool, consumer_id)) for pool in pools)
        )
        places = [
            (pool, id.decode()) for pool, ids in zip(pools, replies, strict=True) for id in ids
        ]
        if not places:
            return []
        hashes = await self.lines.run(
            *(("HGETALL", self.keys.message(pool, id)) for pool, id in places)
        )
        messages = [message_of(paired(flat)) for flat in hashes if flat]
        return [
            message
            for message in messages
            if message.state is LEASED and message.lease_consumer_id == consumer_id
        ]

    async def mark_holder(self, consumer_id: str, *, lost: bool) -> int:
        def decide(message: Message, now: datetime) -> tuple[Any, Change | None]:
            noted = cleanup.lose(message, consumer_id, lost=lost)
            if noted is None:
                return None, None
            change = Change(before=message, after=noted, event="")
            return change, change

        count = 0
        for message in await self._leased_by(consumer_id):
            answer, _, _ = await self._change(message.work_pool_id, message.id, decide)
            count += answer is not None
        return count

    async def next_due(self, pools: Collection[str]) -> dict[str, float]:
        wanted = sorted(pools)
        if not wanted:
            return {}
        sets = [
            set for pool in wanted for set in (self.keys.all_ready(pool), self.keys.leased(pool))
        ]
        time, *replies = await self.lines.run(
            ("TIME",), *(("ZRANGE", key, 0, 0, "WITHSCORES") for key in sets)
        )
        now = instant_of(int(time[0]) * 1_000_000 + int(time[1])) + self.shift
        found: dict[str, float] = {}
        for at, pool in enumerate(wanted):
            scores = [
                float(score) for reply in replies[2 * at : 2 * at + 2] for _, score in scored(reply)
            ]
            if scores:
                due = (min(scores) - milliseconds(now)) / 1_000
                found[pool] = max(due, 0.0)
        return found

    # --- upkeep ----------------------------------------------------------------------------------

    async def reconcile(self, batch: int) -> int:
        """Repair, expiry, age, retention; Redis is asked only while anything is unfinished."""
        work = await self._store.read(cleanup_ledger.work, self.shift, self.policy)
        changed = 0
        if work.unfinished or work.unsynced:
            changed += await self._repair(batch)
            changed += await self._repeat(batch, self._expire_some)
        if work.aged:
            changed += await self._repeat(batch, self._age_some)
            await self.push()
        if work.purgeable:
            changed += await self._repeat(batch, self.purge)
        if work.leased:
            self._note_alive()
        return changed

    async def _repair(self, batch: int) -> int:
        """Write anew what Redis lacks, take over what the ledger lacks."""
        (epoch,) = await self.lines.run(("GET", self.keys.epoch))
        if epoch is None:
            count = await self._store.write(cleanup_mirror.forget_working_set)
            await self.lines.run(("SET", self.keys.epoch, str(uuid4()), "NX"))
            self._noted.clear()
            logger.warning("Redis has no cleanup queue; %d messages are written anew", count)
        changed = await self.push()
        page = await self._store.read(cleanup_mirror.unfinished_after, self._repaired, batch)
        self._repaired = page[-1].id if len(page) == batch else ""
        return changed + await self._compare(page)

    async def _compare(self, page: list[Message]) -> int:
        if not page:
            return 0
        replies = await self.lines.run(
            *(
                ("HMGET", self.keys.message(message.work_pool_id, message.id), "v", "st")
                for message in page
            )
        )
        await self._mirror.settled()
        changed = 0
        for message, (fence, _) in zip(page, replies, strict=True):
            if fence is None or int(fence) < message.fence:
                await self._install(message)
                changed += 1
            elif int(fence) > message.fence:
                changed += await self._take_over(message)
        return changed

    async def _take_over(self, message: Message) -> int:
        key = self.keys.message(message.work_pool_id, message.id)
        (flat,) = await self.lines.run(("HGETALL", key))
        if not flat:
            return 0
        newer = message_of(paired(flat))
        return int(await self._store.write(cleanup_mirror.complete, newer))
