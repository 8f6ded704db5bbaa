"""Which automations an event may concern, without asking each of them."""

from collections.abc import Iterable, Sequence

from penstock.server.domain.triggers.matching import name_test
from penstock.server.domain.triggers.model import Watch

REMEMBERED = 4_096
"""Names of events whose automations are remembered."""


class Index:
    """Automations by the names of events they look at.

    A name costs one look-up for each different length of what stands before the star in the
    patterns, whatever the number of automations; names that were seen before cost one.
    """

    def __init__(self, watches: Iterable[Watch]) -> None:
        self._by_name: dict[str, dict[str, Watch]] = {}
        self._by_prefix: dict[str, list[tuple[str, Watch]]] = {}
        self._any: dict[str, Watch] = {}
        self._known: dict[str, Sequence[Watch]] = {}
        for watch in watches:
            self._add(watch)
        self._lengths = sorted({len(prefix) for prefix in self._by_prefix})

    def _add(self, watch: Watch) -> None:
        for leaf in watch.leaves:
            if leaf.names is None:
                self._any[watch.automation_id] = watch
                continue
            for pattern in leaf.names:
                if "*" in pattern:
                    prefix = pattern.partition("*")[0]
                    self._by_prefix.setdefault(prefix, []).append((pattern, watch))
                else:
                    self._by_name.setdefault(pattern, {})[watch.automation_id] = watch

    def __bool__(self) -> bool:
        return bool(self._by_name or self._by_prefix or self._any)

    def of(self, name: str) -> Sequence[Watch]:
        """The automations that may look at events of that name, each once, in order of id."""
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[name] = self._found(name)
        return known

    def _found(self, name: str) -> Sequence[Watch]:
        found = {**self._any, **self._by_name.get(name, {})}
        for length in self._lengths:
            if length > len(name):
                break
            for pattern, watch in self._by_prefix.get(name[:length], ()):
                if watch.automation_id not in found and name_test([pattern])(name):
                    found[watch.automation_id] = watch
        return [found[id] for id in sorted(found)]
