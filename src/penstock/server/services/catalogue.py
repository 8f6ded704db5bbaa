"""Which background loops a server runs."""

from typing import Any

from penstock.base.clock import Clock
from penstock.server.bus import Bus
from penstock.server.config import ServerConfig
from penstock.server.services.supervisor import Service


def services_of(store: Any, bus: Bus, config: ServerConfig, clock: Clock) -> list[Service]:
    """The loops of a server with these parts."""
    return []
