"""The enabled automations as the triggers loop keeps them in memory."""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from penstock.base import json
from penstock.server.domain.automations import Definition
from penstock.server.domain.triggers.index import Index
from penstock.server.domain.triggers.model import EventNode, Watch
from penstock.server.store.transaction import Row, Tx


class Watched(Struct, frozen=True):
    """One automation, compiled."""

    id: str
    name: str
    since: datetime
    """Events received before are not for it."""
    revision: int
    definition: Definition
    watch: Watch


class Registry:
    """All enabled automations at one revision. Never changed: another revision is another one."""

    def __init__(self, revision: int, automations: Iterable[Watched] = ()) -> None:
        self.revision = revision
        self.automations = {one.id: one for one in automations}
        self.index = Index(one.watch for one in self.automations.values())
        self._leaves: dict[str, tuple[Watched, EventNode]] | None = None

    def leaf(self, trigger_id: str) -> tuple[Watched, EventNode] | None:
        """The event trigger of that id, with its automation."""
        if self._leaves is None:
            self._leaves = {
                leaf.key: (one, leaf)
                for one in self.automations.values()
                for leaf in one.watch.leaves
            }
        return self._leaves.get(trigger_id)

    def of(self, name: str) -> list[Watched]:
        """The automations that may look at an event of that name."""
        return [self.automations[watch.automation_id] for watch in self.index.of(name)]


EMPTY = Registry(-1)


def loaded(tx: Tx, known: Registry) -> Registry:
    """The registry of the present revision. Reads and compiles only what changed."""
    row = tx.one("trigger.revision")
    assert row is not None, "the row is made with its table"
    if row["revision"] == known.revision:
        return known
    present = {one["id"]: one["revision"] for one in tx.all("trigger.automations")}
    kept = [one for one in known.automations.values() if present.get(one.id) == one.revision]
    wanted = sorted(set(present) - {one.id for one in kept})
    rows = tx.all("trigger.definitions", ids=wanted) if wanted else []
    return Registry(row["revision"], [*kept, *map(_watched, rows)])


def _watched(row: Row) -> Watched:
    definition = json.decode(row["definition"], Definition)
    return Watched(
        id=row["id"],
        name=row["name"],
        since=row["watched_since"],
        revision=row["revision"],
        definition=definition,
        watch=Watch(row["id"], definition.trigger),
    )
