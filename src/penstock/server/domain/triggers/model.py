"""Triggers made ready for evaluation, and what is remembered of the events so far."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import UNSET, Struct

from penstock.base import json
from penstock.schemas.automations import CompoundTrigger, EventTrigger, SequenceTrigger, Trigger
from penstock.schemas.events import Resource, Specification
from penstock.server.domain.triggers.matching import label_value, name_test, resource_test

SKEW = timedelta(seconds=5)
"""How far the clock of an event's sender may be ahead of the server's."""


class Seen(Struct, frozen=True):
    """An event as the triggers see it."""

    seq: int
    id: str
    event: str
    resource: Resource
    related: Sequence[Resource]
    occurred: datetime
    received: datetime

    @property
    def moment(self) -> datetime:
        """The time the event counts for: when it occurred, but not in the future."""
        return min(self.occurred, self.received + SKEW)


class Bucket(Struct, frozen=True):
    """What one event trigger has counted for one combination of `for_each` values."""

    opens: datetime
    closes: datetime
    count: int
    last_event: str | None = None


class Firing(Struct, frozen=True):
    """A trigger fired: when, because of which events, for which labels."""

    trigger: UUID
    at: datetime
    order: int
    event: str | None
    events: tuple[str, ...] = ()
    labels: dict[str, str] = {}


Slot = tuple[str, str]
"""A trigger's id, and the `for_each` values (buckets) or the id of a child (held firings)."""


class EventNode:
    """An event trigger, compiled."""

    def __init__(self, trigger: EventTrigger, parent: "CompositeNode | None") -> None:
        self.id = trigger.id
        self.key = str(trigger.id)
        self.parent = parent
        self.posture = trigger.posture
        self.reactive = trigger.posture == "Reactive"
        self.threshold = trigger.threshold
        self.within = timedelta(seconds=float(trigger.within))
        self.labels = tuple(sorted(trigger.for_each))
        self.after = frozenset(trigger.after)
        self.expect = frozenset(trigger.expect)
        self._opens = name_test(trigger.after)
        self._expected = name_test(trigger.expect)
        self._excluded = name_test(trigger.expect_none or [])
        self._match = resource_test(trigger.match)
        self._related = [resource_test(one) for one in _listed(trigger.match_related) if one]
        self.is_immediate = (
            self.reactive and not self.within and trigger.threshold <= 1 and not trigger.after
        )
        """Whether each event it covers fires it, so that nothing is ever remembered."""
        self._none = resource_test(trigger.match_none) if trigger.match_none else None
        self._related_none = [resource_test(one) for one in _listed(trigger.match_related_none)]

    @property
    def names(self) -> frozenset[str] | None:
        """Patterns of the names it may look at; None for any."""
        return self.after | self.expect if self.expect else None

    @property
    def starts_alone(self) -> bool:
        """Whether a window is always open, because nothing has to open it."""
        return not self.reactive and not self.after and not self.labels

    def opens(self, name: str) -> bool:
        return bool(self.after) and self._opens(name) and not self._excluded(name)

    def expects(self, name: str) -> bool:
        return (not self.expect or self._expected(name)) and not self._excluded(name)

    def covers(self, event: Seen) -> bool:
        """Whether the event is about what the trigger watches."""
        return (
            (self.opens(event.event) or self.expects(event.event))
            and self._match(event.resource)
            and all(any(map(test, event.related)) for test in self._related)
            and not (self._none is not None and self._none(event.resource))
            and not any(any(map(test, event.related)) for test in self._related_none)
        )

    def values(self, event: Seen) -> dict[str, str]:
        """The values of the `for_each` labels."""
        return {label: label_value(event.resource, event.related, label) for label in self.labels}

    def slot(self, values: dict[str, str]) -> Slot:
        return self.key, json.text([values[label] for label in self.labels])

    def values_of(self, slot: Slot) -> dict[str, str]:
        """The values that a slot was made for."""
        return dict(zip(self.labels, json.decode(slot[1], list[str]), strict=True))


class CompositeNode:
    """A compound or sequence trigger with its children."""

    def __init__(
        self, trigger: CompoundTrigger | SequenceTrigger, parent: "CompositeNode | None"
    ) -> None:
        self.id = trigger.id
        self.key = str(trigger.id)
        self.parent = parent
        self.within = None if trigger.within is None else timedelta(seconds=float(trigger.within))
        self.in_order = isinstance(trigger, SequenceTrigger)
        self.children: list[Node] = [node_of(child, self) for child in trigger.triggers]
        self.required = _required(trigger)


Node = EventNode | CompositeNode


class Watch:
    """The trigger of one automation."""

    def __init__(self, automation_id: str, trigger: Trigger) -> None:
        self.automation_id = automation_id
        self.root = node_of(trigger, None)
        self.leaves: list[EventNode] = list(_leaves(self.root))
        self.composites: list[str] = list(_composites(self.root))


def node_of(trigger: Trigger, parent: CompositeNode | None) -> Node:
    if isinstance(trigger, EventTrigger):
        return EventNode(trigger, parent)
    return CompositeNode(trigger, parent)


def _leaves(node: Node) -> Iterator[EventNode]:
    if isinstance(node, EventNode):
        yield node
    else:
        for child in node.children:
            yield from _leaves(child)


def _composites(node: Node) -> Iterator[str]:
    if isinstance(node, CompositeNode):
        yield node.key
        for child in node.children:
            yield from _composites(child)


def _required(trigger: CompoundTrigger | SequenceTrigger) -> int:
    count = len(trigger.triggers)
    if isinstance(trigger, SequenceTrigger) or trigger.require == "all":
        return count
    return 1 if trigger.require == "any" else trigger.require


def _listed(given: Any) -> list[Specification]:
    if not given or given is UNSET:
        return []
    return given if isinstance(given, list) else [given]
