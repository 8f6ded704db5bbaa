"""Wake-ups and fan-out: memory, PostgreSQL or Redis behind one interface."""

from penstock.server.bus.interface import Bus, Subscription
from penstock.server.bus.memory import MemoryBus

__all__ = ["Bus", "MemoryBus", "Subscription", "open_bus"]


def open_bus(kind: str, database_url: str) -> Bus:
    """The bus that `kind` names: `memory`, `postgresql`, or the URL of a Redis server.

    Drivers are imported only for the kind that needs them: each costs tens of milliseconds at
    start, and both are optional packages.
    """
    if kind == "memory":
        return MemoryBus()
    if kind == "postgresql":
        from penstock.server.bus.postgres import PostgresBus

        return PostgresBus(database_url)
    if kind.startswith(("redis://", "rediss://", "unix://")):
        from penstock.server.bus.redis import RedisBus

        return RedisBus(kind)
    raise ValueError(
        f"there is no bus {kind!r}; name 'memory', 'postgresql', or the URL of a Redis server"
    )
