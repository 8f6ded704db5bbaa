"""Evaluating the triggers of all automations over the event log, in order, in one transaction.

Buckets, firings with their actions, timers and the cursor move together, so each event counts
once, however many servers run and whenever they end. The lock on the cursor makes one server
evaluate at a time.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from penstock.base import json
from penstock.schemas.events import Resource
from penstock.server.domain.triggers.evaluation import State, Step, on_event, on_start, on_time
from penstock.server.domain.triggers.model import Bucket, Firing, Seen, Slot
from penstock.server.ops.context import Context
from penstock.server.ops.firings import Fired, write_firings
from penstock.server.ops.trigger_registry import Registry, Watched, loaded
from penstock.server.store.transaction import Row, Tx

CONSUMER = "triggers"
TIMER = "trigger"
PAGE = 500
TICKS = 500
SWEPT = 5_000
"""Old firings that one sweep deletes."""
GRACE = timedelta(milliseconds=250)
"""A window is looked at this long after its end: events received before it may commit later."""
FOLLOWER_WAIT = timedelta(seconds=30)
"""How long an event waits for the one it says it follows."""
NEVER_EVALUATED = frozenset({"prefect.log.write"})


class Peek(Struct, frozen=True):
    """What a look at the log found, without locking anything."""

    page: list[Row]
    seq: int
    """The position in the log that evaluation has surely come to."""
    revision: int
    pressing: bool
    """Whether windows ended or events are parked."""
    newest: int
    """The newest event that is committed, which may be behind the safe horizon."""
    now: datetime

    @property
    def is_last(self) -> bool:
        """Whether nothing more can be read now."""
        return len(self.page) < PAGE

    @property
    def end(self) -> int:
        """The position behind what was read."""
        return self.page[-1]["seq"] if self.page else self.seq

    @property
    def caught_up(self) -> bool:
        """Whether no event is known that was not read: only then has time passed for windows."""
        return self.is_last and self.newest <= self.end


class Advance(Struct, frozen=True):
    """What an evaluation did."""

    registry: Registry
    seq: int
    fired: int = 0
    more: bool = False


def peek(tx: Tx, after: int, known: Registry) -> Peek:
    """The next events behind the cursor, or behind `after` if that is further.

    While there are no automations the events are passed over without being read.
    """
    row = tx.one("trigger.peek", now=tx.now - GRACE)
    assert row is not None, "an aggregate always has a row"
    seq = max(row["seq"] or 0, after)
    page: list[Row] = []
    if known.automations or row["revision"] != known.revision:
        page = tx.all("event.after", seq=seq, limit=PAGE)
    else:
        last = tx.one("event.last")
        seq = max(seq, last["seq"] if last is not None else 0)
    return Peek(
        page=page,
        seq=seq,
        revision=row["revision"],
        newest=row["newest"] or 0,
        pressing=row["due"] is not None or row["until"] is not None,
        now=tx.now,
    )


def skip(tx: Tx, seq: int) -> None:
    """Note that nothing up to `seq` concerns any automation."""
    tx.run("consumer.advance", name=CONSUMER, seq=seq, now=tx.now)


def sweep(tx: Tx, before: datetime, fired_before: datetime) -> None:
    """Forget windows that ended before `before`, those of automations that are gone, and firings
    before `fired_before` that have nothing left to do and no dead action."""
    tx.run("trigger.expired", before=before)
    tx.run("trigger.orphans")
    tx.run("firing.expired", before=fired_before, limit=SWEPT)


def advance(tx: Tx, context: Context, known: Registry, found: Peek) -> Advance:
    """Evaluate what `peek` found. Costs a dozen statements for a page, whatever fires.

    What another server evaluated since is left out.
    """
    cursor = tx.one("consumer.claim", name=CONSUMER, seq=found.seq, now=tx.now)
    assert cursor is not None, "claiming makes the row"
    registry = loaded(tx, known)
    work = _Work(tx, registry)
    if registry is not known:
        work.start()
    page = [row for row in found.page if row["seq"] > cursor["seq"]]
    work.observe(_in_order(tx, registry, page))
    seq = max([cursor["seq"], found.seq, *(row["seq"] for row in found.page)])
    ticks = work.tick(found.now - GRACE, seq) if found.caught_up else 0
    fired = work.store(context)
    tx.run("consumer.advance", name=CONSUMER, seq=seq, now=tx.now)
    return Advance(registry, seq, fired, more=not found.is_last or ticks == TICKS)


# --- order ---------------------------------------------------------------------------------------


def _in_order(tx: Tx, registry: Registry, page: list[Row]) -> list[Row]:
    """The events that concern somebody, followers behind their leaders; others are parked."""
    parked = tx.all("trigger.parked")
    waiting: dict[str, list[Row]] = {}
    for row in parked:
        waiting.setdefault(row["leader"], []).append(row)
    leaders = _leaders(tx, registry, page)
    ordered: list[Row] = []
    for row in page:
        if registry.index.of(row["event"]) and row["event"] not in NEVER_EVALUATED:
            if _must_wait(row, leaders, tx.now):
                entry = {"seq": row["seq"], "follows": row["follows"]}
                tx.run("trigger.park", **entry, until=row["received"] + FOLLOWER_WAIT)
                waiting.setdefault(row["follows"], []).append(row)
                continue
            ordered.append(row)
        _release(tx, waiting, row["id"], ordered)
    for row in parked:
        if row["until"] <= tx.now and row in waiting.get(row["leader"], ()):
            waiting[row["leader"]].remove(row)
            tx.run("trigger.unpark", seq=row["seq"])
            ordered.append(row)
    return ordered


def _release(tx: Tx, waiting: dict[str, list[Row]], id: str, ordered: list[Row]) -> None:
    """Followers of an event come right behind it, and theirs behind them."""
    ids = [id]
    while ids:
        for row in sorted(waiting.pop(ids.pop(), ()), key=lambda one: one["occurred"]):
            tx.run("trigger.unpark", seq=row["seq"])
            ordered.append(row)
            ids.append(row["id"])


def _leaders(tx: Tx, registry: Registry, page: list[Row]) -> dict[str, int]:
    """Where in the log the events are that others follow."""
    ids = {
        row["follows"]
        for row in page
        if row["follows"] is not None
        and row["follows"] != row["id"]
        and registry.index.of(row["event"])
    }
    known = {row["id"]: row["seq"] for row in page if row["id"] in ids}
    unknown = sorted(ids - set(known))
    if unknown:
        known |= {row["id"]: row["seq"] for row in tx.all("trigger.leaders", ids=unknown)}
    return known


def _must_wait(row: Row, leaders: dict[str, int], now: datetime) -> bool:
    follows = row["follows"]
    if follows is None or follows == row["id"] or row["received"] + FOLLOWER_WAIT <= now:
        return False
    return follows not in leaders or leaders[follows] > row["seq"]


# --- evaluation ----------------------------------------------------------------------------------


class _Work:
    """One transaction's evaluation: state as it is read and changed, firings as they come."""

    def __init__(self, tx: Tx, registry: Registry) -> None:
        self._tx = tx
        self._registry = registry
        self._state = State({}, {})
        self._buckets: dict[Slot, tuple[Watched, Bucket | None]] = {}
        self._held: dict[Slot, tuple[Watched, Firing | None]] = {}
        self._fired: list[Fired] = []
        self._rows: dict[str, Row] = {}

    def start(self) -> None:
        """Open the windows of automations that are new here; those that are open stay."""
        alone = [
            (one, leaf.slot({}))
            for one in self._registry.automations.values()
            for leaf in one.watch.leaves
            if leaf.starts_alone
        ]
        if not alone:
            return
        self._read((slot for _, slot in alone), ())
        for one in {watched.id: watched for watched, _ in alone}.values():
            self._apply(one, on_start(one.watch, self._state, self._tx.now))

    def observe(self, rows: list[Row]) -> None:
        concerned = [
            (seen, one, row)
            for row in rows
            for seen in (seen_event(row),)
            for one in self._registry.of(row["event"])
            if seen.received >= one.since
        ]
        slots: set[Slot] = set()
        composites: set[str] = set()
        for seen, one, _ in concerned:
            for leaf in one.watch.leaves:
                if not leaf.is_immediate and leaf.covers(seen):
                    slots.add(leaf.slot(leaf.values(seen)))
            composites.update(one.watch.composites)
        self._read(slots, composites)
        for seen, one, row in concerned:
            self._rows[seen.id] = row
            self._apply(one, on_event(one.watch, self._state, seen))

    def tick(self, now: datetime, order: int) -> int:
        """End the windows whose time is over; how many there were."""
        timers = self._tx.all("trigger.timers", now=now, limit=TICKS)
        due: list[tuple[Watched, Any, Slot]] = []
        for row in timers:
            id, _, key = row["key"].partition(" ")
            known = self._registry.leaf(id)
            if known is None:
                self._tx.run("timer.delete", kind=TIMER, key=row["key"])
                self._tx.run("trigger.drop_bucket", trigger_id=id, key=key)
            else:
                due.append((*known, (id, key)))
        self._read(
            {slot for _, _, slot in due} - set(self._buckets),
            {id for one, _, _ in due for id in one.watch.composites},
        )
        for one, leaf, slot in due:
            step = on_time(one.watch, self._state, leaf, slot, now, order)
            self._apply(one, step)
            if slot not in self._buckets:
                # The timer and the window differ: the window decides.
                self._buckets[slot] = (one, self._state.buckets.get(slot))
        return len(timers)

    def _read(self, slots: Iterable[Slot], composites: Iterable[str]) -> None:
        wanted = sorted(slot for slot in slots if slot not in self._state.buckets)
        if wanted:
            for row in self._tx.all("trigger.buckets", slots=wanted):
                slot = (row["trigger_id"], row["key"])
                self._state.buckets[slot] = Bucket(
                    row["opens"], row["closes"], row["count"], row["last_event"]
                )
        ids = sorted(composites)
        if ids:
            for row in self._tx.all("trigger.held", ids=ids):
                slot = (row["trigger_id"], row["child_id"])
                if slot not in self._held:
                    self._state.held[slot] = json.decode(row["firing"], Firing)

    def _apply(self, one: Watched, step: Step) -> None:
        for slot, bucket in step.buckets.items():
            self._buckets[slot] = (one, bucket)
            _put(self._state.buckets, slot, bucket)
        for slot, firing in step.held.items():
            self._held[slot] = (one, firing)
            _put(self._state.held, slot, firing)
        self._fired += [Fired(one, firing) for firing in step.firings]

    def store(self, context: Context) -> int:
        """Write what changed; how many automations fired."""
        tx = self._tx
        saved, dropped, timers, stopped = [], [], [], []
        for (id, key), (one, bucket) in self._buckets.items():
            known = self._registry.leaf(id)
            timed = known is not None and not known[1].reactive
            name = {"kind": TIMER, "key": f"{id} {key}"}
            if bucket is None:
                dropped.append({"trigger_id": id, "key": key})
                if timed:
                    stopped.append(name)
                continue
            saved.append(
                {
                    "trigger_id": id,
                    "key": key,
                    "automation_id": one.id,
                    "opens": bucket.opens,
                    "closes": bucket.closes,
                    "count": bucket.count,
                    "last_event": bucket.last_event,
                    "now": tx.now,
                }
            )
            if timed:
                timers.append({**name, "due": bucket.closes, "payload": {}})
        _many(tx, "trigger.save_bucket", saved)
        _many(tx, "trigger.drop_bucket", dropped)
        _many(tx, "timer.set", timers)
        _many(tx, "timer.delete", stopped)
        self._store_held()
        write_firings(tx, context, self._fired, self._rows)
        return len(self._fired)

    def _store_held(self) -> None:
        saved, dropped = [], []
        for (id, child), (one, firing) in self._held.items():
            row = {"trigger_id": id, "child_id": child}
            if firing is None:
                dropped.append(row)
            else:
                saved.append(
                    {**row, "automation_id": one.id, "firing": firing, "now": self._tx.now}
                )
        _many(self._tx, "trigger.save_held", saved)
        _many(self._tx, "trigger.drop_held", dropped)


def _put(state: dict[Slot, Any], slot: Slot, value: Any) -> None:
    if value is None:
        state.pop(slot, None)
    else:
        state[slot] = value


def _many(tx: Tx, name: str, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        tx.many(name, rows)


def seen_event(row: Row) -> Seen:
    """A stored event as the triggers see it."""
    return Seen(
        seq=row["seq"],
        id=row["id"],
        event=row["event"],
        resource=json.decode(row["resource"], Resource),
        related=json.decode(row["related"], list[Resource]),
        occurred=row["occurred"],
        received=row["received"],
    )
