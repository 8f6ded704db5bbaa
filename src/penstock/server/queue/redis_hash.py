"""A message in Redis: its hash, and the sets that are derived from it.

The hash decides; the sets are written in the same transaction and only say where to look. The
pool's id is the hash tag of every key, so that a transaction touches one slot of a cluster.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from penstock.base import json
from penstock.schemas.cleanup import CleanupPlacement, CleanupState
from penstock.server.domain.cleanup import FINISHED, LEASED, READY, Message

TOMBSTONE_SECONDS = 3_600
"""How long a finished message answers late and repeated operations without the ledger."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATES = tuple(CleanupState)
Command = tuple[Any, ...]


class Routing(Struct, frozen=True, array_like=True):
    """What a dispatcher needs of a ready message, apart from the rest: it reads many of them."""

    kind: str
    work_queue_id: str | None
    available_at: datetime
    queued_at: datetime
    affinity_worker_name: str | None
    host_id: str | None
    placement: CleanupPlacement
    tried_workers: tuple[str, ...]


class Keys:
    """The keys of one installation, and of one pool in it."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.pools = f"{prefix}:pools"
        self.wake = f"{prefix}:wake"
        self.epoch = f"{prefix}:epoch"

    def message(self, pool: str, id: str) -> str:
        return f"{self.prefix}:{{{pool}}}:m:{id}"

    def ready(self, pool: str, kind: str) -> str:
        """Ready messages that any worker may take."""
        return f"{self.prefix}:{{{pool}}}:r:{kind}"

    def waiting(self, pool: str, kind: str) -> str:
        """Ready messages that any worker may take after a while, by when that is over."""
        return f"{self.prefix}:{{{pool}}}:rw:{kind}"

    def ready_of_worker(self, pool: str, worker: str) -> str:
        return f"{self.prefix}:{{{pool}}}:ra:{_digest(worker)}"

    def ready_of_host(self, pool: str, host: str) -> str:
        return f"{self.prefix}:{{{pool}}}:rh:{_digest(host)}"

    def all_ready(self, pool: str) -> str:
        """Every ready message, by when it is due: for the next timer only."""
        return f"{self.prefix}:{{{pool}}}:due"

    def leased(self, pool: str) -> str:
        return f"{self.prefix}:{{{pool}}}:l"

    def held(self, pool: str, consumer_id: str) -> str:
        return f"{self.prefix}:{{{pool}}}:c:{consumer_id}"

    def sequence(self, pool: str) -> str:
        return f"{self.prefix}:{{{pool}}}:seq"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def milliseconds(instant: datetime) -> int:
    return microseconds(instant) // 1_000


def instant_of(value: int | bytes) -> datetime:
    return _EPOCH + timedelta(microseconds=int(value))


def fields_of(message: Message) -> list[Any]:
    """The hash's fields and values, one after the other.

    `v` is the fence and `st` the state's number, which repair compares; `srv` the server that
    delivered it, `rt` what routing reads, `doc` the whole message. Few fields, because each costs
    more than what is in it.
    """
    routing = Routing(
        message.kind,
        message.work_queue_id,
        message.available_at,
        message.queued_at,
        message.affinity_worker_name,
        message.host_id,
        message.placement,
        message.tried_workers,
    )
    return [
        *("v", message.fence),
        *("st", _STATES.index(message.state)),
        *("srv", message.lease_server_id or ""),
        *("rt", json.encode(routing)),
        *("doc", json.encode(message)),
    ]


def message_of(values: Mapping[bytes, bytes]) -> Message:
    """The message that a hash holds. Raises `KeyError` or `ValueError` for a damaged one."""
    return json.decode(values[b"doc"], Message)


def routing_of(value: bytes) -> Routing:
    return json.decode(value, Routing)


def paired(flat: list[bytes]) -> dict[bytes, bytes]:
    """A hash as Redis answers it in the second protocol; the third one answers a mapping."""
    return flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))


def scored(reply: list[Any]) -> list[tuple[bytes, Any]]:
    """Members with their scores: a flat list in the second protocol, pairs in the third."""
    if reply and isinstance(reply[0], list):
        return [(member, score) for member, score in reply]
    return list(zip(reply[::2], reply[1::2], strict=True))


def written(
    keys: Keys, before: Message | None, after: Message, placement_wait: float
) -> list[Command]:
    """The commands that make `after` of `before`, its sets included."""
    pool, id = after.work_pool_id, after.id
    key = keys.message(pool, id)
    commands: list[Command] = [("HSET", key, *fields_of(after))]
    gone = places(keys, before, placement_wait) if before is not None else {}
    kept = places(keys, after, placement_wait)
    commands += [("ZREM", place, id) for place in gone if place not in kept]
    commands += [("ZADD", place, score, id) for place, score in kept.items()]
    was = _held(keys, before) if before is not None else None
    now = _held(keys, after)
    if was is not None and was != now:
        commands.append(("SREM", was, id))
    if now is not None and was != now:
        commands.append(("SADD", now, id))
    if after.state in FINISHED:
        commands.append(("EXPIRE", key, TOMBSTONE_SECONDS))
    elif before is None or before.state in FINISHED:
        commands.append(("PERSIST", key))
    if after.state is READY:
        commands.append(("INCR", keys.sequence(pool)))
        commands.append(("PUBLISH", keys.wake, pool))
    return commands


def places(keys: Keys, message: Message, placement_wait: float) -> dict[str, int]:
    """The sorted sets that hold a message, with its score in each."""
    pool = message.work_pool_id
    if message.state is LEASED and message.lease_expires_at is not None:
        return {keys.leased(pool): milliseconds(message.lease_expires_at)}
    if message.state is not READY:
        return {}
    due = milliseconds(message.available_at)
    found = {keys.all_ready(pool): due}
    worker = message.affinity_worker_name
    if message.placement is CleanupPlacement.ANY or (
        message.placement is CleanupPlacement.PREFER and worker is None
    ):
        found[keys.ready(pool, message.kind)] = due
        return found
    if worker is not None:
        found[keys.ready_of_worker(pool, worker)] = due
    if message.host_id is not None:
        found[keys.ready_of_host(pool, message.host_id)] = due
    if message.placement is CleanupPlacement.PREFER:
        widened = message.queued_at + timedelta(seconds=placement_wait)
        found[keys.waiting(pool, message.kind)] = max(due, milliseconds(widened))
    return found


def _held(keys: Keys, message: Message) -> str | None:
    if message.state is not LEASED or message.lease_consumer_id is None:
        return None
    return keys.held(message.work_pool_id, message.lease_consumer_id)
