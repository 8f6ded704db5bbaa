"""How one setting is declared.

A declaration is the only place where a setting is written down; loading, `penstock config`,
profiles and the reference page are all derived from it.
"""

from types import MappingProxyType
from typing import Any

from penstock.settings.kinds import Kind

PREFIX = "PENSTOCK_"
PEER_PREFIX = "PREFECT_"
PREFIXES = (PREFIX, PEER_PREFIX)


class HomePath:
    """A default that is a place below the home directory."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"$PENSTOCK_HOME/{self.name}"


class Setting:
    """One setting: dotted accessor, type, default, what it does, where it may be given.

    `name` is the environment variable. `aliases` are older variable names without prefix. Every
    name is accepted with the prefix `PENSTOCK_` and, after that, `PREFECT_`.
    """

    __slots__ = ("accessor", "aliases", "default", "doc", "is_secret", "kind", "name")

    def __init__(
        self,
        accessor: str,
        kind: Kind,
        default: Any,
        doc: str,
        *,
        alias: str | None = None,
        secret: bool = False,
    ) -> None:
        self.accessor = accessor
        self.kind = kind
        # A read-only view, because every settings object shares the default.
        self.default = MappingProxyType(default) if isinstance(default, dict) else default
        self.doc = doc
        self.aliases = (alias,) if alias else ()
        self.is_secret = secret
        self.name = PREFIX + accessor.replace(".", "_").upper()

    @property
    def names(self) -> tuple[str, ...]:
        """Every accepted variable name, strongest first."""
        stems = (self.name.removeprefix(PREFIX), *self.aliases)
        return tuple(prefix + stem for prefix in PREFIXES for stem in stems)

    def __repr__(self) -> str:
        return f"<setting {self.name}>"
