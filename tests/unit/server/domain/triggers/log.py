"""A small event log for tests of triggers: events are written as `name@second`."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from penstock.schemas.automations import Trigger, completed
from penstock.server.domain.automations import definition_of, with_ids
from penstock.server.domain.triggers.evaluation import (
    State,
    applied,
    on_event,
    on_start,
    on_time,
)
from penstock.server.domain.triggers.model import Firing, Seen, Watch

START = datetime(2026, 1, 1, tzinfo=UTC)


class Body(msgspec.Struct):
    trigger: Trigger
    actions: list[Any] = []
    actions_on_trigger: list[Any] = []
    actions_on_resolve: list[Any] = []


def watch(trigger: dict[str, Any]) -> Watch:
    """The trigger in a request, made ready."""
    body = msgspec.convert(completed({"trigger": trigger}), Body, strict=False)
    return Watch("automation", with_ids(definition_of(body).trigger, None))


def event(
    text: str,
    seq: int = 1,
    *,
    resource: dict[str, str] | None = None,
    related: Sequence[dict[str, str]] = (),
    late: float = 0.0,
) -> Seen:
    """`name@second`; received `late` seconds after it occurred."""
    name, _, second = text.partition("@")
    occurred = START + timedelta(seconds=float(second or 0))
    return Seen(
        seq=seq,
        id=str(UUID(int=seq)),
        event=name,
        resource={"prefect.resource.id": "a", **(resource or {})},
        related=related,
        occurred=occurred,
        received=occurred + timedelta(seconds=late),
    )


def seconds(firings: Iterable[Firing]) -> list[float]:
    return [(firing.at - START).total_seconds() for firing in firings]


class Log:
    """Plays events and the passing of time; windows are looked at whenever they end."""

    def __init__(self, trigger: dict[str, Any], start: float = 0.0) -> None:
        self.watch = watch(trigger)
        self.state = State({}, {})
        self.firings: list[Firing] = []
        self._leaves = {leaf.key: leaf for leaf in self.watch.leaves}
        self._seq = 0
        self._take(on_start(self.watch, self.state, START + timedelta(seconds=start)))

    def play(self, *events: str | Seen) -> list[float]:
        """When it fired, in seconds from the start, over all events so far."""
        for one in events:
            self._seq += 1
            seen = event(one, self._seq) if isinstance(one, str) else one
            self.wait(seen.received)
            self._take(on_event(self.watch, self.state, seen))
        return seconds(self.firings)

    def wait(self, until: datetime | float) -> list[float]:
        if not isinstance(until, datetime):
            until = START + timedelta(seconds=until)
        while due := self._due(until):
            at, slot = min(due)
            leaf = self._leaves[slot[0]]
            self._take(on_time(self.watch, self.state, leaf, slot, at, self._seq))
        return seconds(self.firings)

    def _due(self, until: datetime) -> list[tuple[datetime, tuple[str, str]]]:
        return [
            (bucket.closes, slot)
            for slot, bucket in self.state.buckets.items()
            if bucket.closes <= until and not self._leaves[slot[0]].reactive
        ]

    def _take(self, step: Any) -> None:
        self.state = applied(self.state, step)
        self.firings += step.firings
