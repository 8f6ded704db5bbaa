"""What an event or the passing of time makes of the triggers of one automation."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

from msgspec import Struct

from penstock.server.domain.triggers.model import (
    Bucket,
    CompositeNode,
    EventNode,
    Firing,
    Node,
    Seen,
    Slot,
    Watch,
)
from penstock.server.domain.triggers.windows import Result, elapse, observe, window

T = TypeVar("T")


class State(Struct):
    """What is remembered: buckets of event triggers, firings held for composite ones."""

    buckets: dict[Slot, Bucket]
    held: dict[Slot, Firing]


class Step(Struct, frozen=True):
    """What changes (None: forgotten), and the firings of the automation."""

    buckets: dict[Slot, Bucket | None] = {}
    held: dict[Slot, Firing | None] = {}
    firings: tuple[Firing, ...] = ()

    @property
    def timers(self) -> dict[Slot, datetime]:
        """When each changed window ends; of no interest for reactive triggers."""
        return {slot: bucket.closes for slot, bucket in self.buckets.items() if bucket is not None}


def on_event(watch: Watch, state: State, event: Seen) -> Step:
    """After one event."""
    work = _Work(state)
    for leaf in watch.leaves:
        if not leaf.covers(event):
            continue
        values = leaf.values(event)
        if leaf.is_immediate:
            work.fire(leaf, event.id, event.received, event.seq, values)
            continue
        slot = leaf.slot(values)
        result = observe(leaf, work.bucket(slot), event)
        work.settle(leaf, slot, result, event.received, event.seq)
    return work.step()


def on_time(
    watch: Watch, state: State, leaf: EventNode, slot: Slot, now: datetime, order: int
) -> Step:
    """After the window of a proactive trigger may have ended; `order` is the position in the log
    up to which events were seen."""
    work = _Work(state)
    work.settle(leaf, slot, elapse(leaf, work.bucket(slot), now), now, order)
    return work.step()


def on_start(watch: Watch, state: State, now: datetime) -> Step:
    """When the automation begins to be watched: windows that nothing has to open are open."""
    work = _Work(state)
    for leaf in watch.leaves:
        slot = leaf.slot({}) if leaf.starts_alone else None
        if slot is not None and work.bucket(slot) is None:
            work.buckets[slot] = window(leaf, now)
    return work.step()


def applied(state: State, step: Step) -> State:
    """The state after a step, for whoever evaluates several in a row."""
    return State(_changed(state.buckets, step.buckets), _changed(state.held, step.held))


def _changed(before: Mapping[Slot, T], changes: Mapping[Slot, T | None]) -> dict[Slot, T]:
    return {slot: value for slot, value in {**before, **changes}.items() if value is not None}


class _Work:
    """One step while it is worked out."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.buckets: dict[Slot, Bucket | None] = {}
        self.held: dict[Slot, Firing | None] = {}
        self.firings: list[Firing] = []

    def bucket(self, slot: Slot) -> Bucket | None:
        return self.buckets[slot] if slot in self.buckets else self._state.buckets.get(slot)

    def step(self) -> Step:
        return Step(self.buckets, self.held, tuple(self.firings))

    def settle(self, leaf: EventNode, slot: Slot, result: Result, at: datetime, order: int) -> None:
        if result.bucket != self.bucket(slot):
            self.buckets[slot] = result.bucket
        for event in result.fired:
            self.fire(leaf, event, at, order, leaf.values_of(slot))

    def fire(
        self,
        leaf: EventNode,
        event: str | None,
        at: datetime,
        order: int,
        labels: dict[str, str],
    ) -> None:
        events = () if event is None else (event,)
        self._rise(leaf, Firing(leaf.id, at, order, event, events, labels))

    def _rise(self, node: Node, firing: Firing) -> None:
        """A trigger fired: the automation does, or its parent may."""
        parent = node.parent
        if parent is None:
            self.firings.append(firing)
            return
        if parent.required == 1:
            self._rise(parent, _combined(parent, [firing], firing))
            return
        together = self._gathered(parent, node, firing)
        if together is not None:
            for child in parent.children:
                self.held[parent.key, child.key] = None
            self._rise(parent, _combined(parent, together, firing))

    def _held(self, slot: Slot) -> Firing | None:
        return self.held[slot] if slot in self.held else self._state.held.get(slot)

    def _gathered(self, parent: CompositeNode, node: Node, firing: Firing) -> list[Firing] | None:
        """The firings that make the parent fire; None while some are missing."""
        self.held[parent.key, node.key] = firing
        found: list[tuple[int, Firing]] = []
        for place, child in enumerate(parent.children):
            slot = (parent.key, child.key)
            one = self._held(slot)
            if one is None:
                continue
            if parent.within is not None and one.at < firing.at - parent.within:
                self.held[slot] = None
                continue
            found.append((place, one))
        if len(found) < parent.required:
            return None
        if parent.in_order:
            came = sorted(found, key=lambda pair: (pair[1].at, pair[1].order, pair[0]))
            if [place for place, _ in came] != list(range(len(parent.children))):
                return None
        return [one for _, one in found]


def _combined(parent: CompositeNode, firings: list[Firing], last: Firing) -> Firing:
    events = dict.fromkeys(event for one in firings for event in one.events)
    return Firing(parent.id, last.at, last.order, last.event, tuple(events))
