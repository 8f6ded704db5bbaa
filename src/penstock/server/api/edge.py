"""What the edge works with: the parts of a server that handlers and sockets may use."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from penstock.base.clock import SYSTEM_CLOCK, Clock
from penstock.schemas.admin import ServiceState
from penstock.server.api.access import Access, Refusals
from penstock.server.api.csrf import CsrfProtection
from penstock.server.bus import Bus
from penstock.server.channel.channels import Channels
from penstock.server.config import ServerConfig
from penstock.server.ops.context import ANONYMOUS, Actor
from penstock.server.queue import CleanupQueue
from penstock.server.security.credentials import Credentials
from penstock.server.security.origin import OriginRule
from penstock.server.store.transaction import Dialect


class StoreView(Protocol):
    """The part of the store that the edge calls."""

    dialect: ClassVar[Dialect]

    async def read(self, op: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any: ...

    async def write(self, op: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any: ...


async def _no_services() -> list[ServiceState]:
    return []


@dataclass(slots=True)
class Counters:
    """What the edge counts about itself since it started."""

    events_rejected: dict[str, int] = field(default_factory=dict)

    def reject_event(self, reason: str) -> None:
        self.events_rejected[reason] = self.events_rejected.get(reason, 0) + 1


@dataclass(slots=True)
class Edge:
    """Everything one server's handlers share."""

    config: ServerConfig
    store: StoreView
    bus: Bus
    access: Access
    refusals: Refusals
    origins: OriginRule
    channels: Channels
    csrf: CsrfProtection | None = None
    fingerprint_key: bytes = b""
    clock: Clock = SYSTEM_CLOCK
    queue: Any = None
    """The queue of owed teardowns, a `penstock.server.queue.CleanupQueue`."""
    stalled: Callable[[], list[str]] = list
    """Names of background loops that made no progress for too long."""
    services: Callable[[], Awaitable[list[ServiceState]]] = _no_services
    """How every background loop has been doing, and who runs it."""
    chance: Callable[[], float] = random.random
    """Draws from [0, 1), for what must not come back at the same time."""
    counters: Counters = field(default_factory=Counters)


def _actor(auth_string: str | None) -> Actor:
    if auth_string is None:
        return ANONYMOUS
    name, colon, _ = auth_string.partition(":")
    # A string without a name part is a secret as a whole.
    shown = name if colon and name else "api"
    return Actor(type="user", id=shown, name=shown, auth="basic")


def edge_of(
    config: ServerConfig,
    store: Any,
    bus: Bus,
    clock: Clock = SYSTEM_CLOCK,
    queue: CleanupQueue | None = None,
) -> Edge:
    """The edge of a server with this configuration, store, bus and queue of cleanups."""
    return Edge(
        config=config,
        store=store,
        bus=bus,
        clock=clock,
        access=Access(
            Credentials(config.auth_string), _actor(config.auth_string), store, bus, clock
        ),
        refusals=Refusals(store, clock),
        origins=OriginRule(
            allowed_origins=frozenset(config.cors_allowed_origins),
            allowed_hosts=frozenset(config.allowed_hosts),
            credentials_required=config.auth_string is not None,
        ),
        channels=Channels(store, bus, clock, queue),
        queue=queue,
        csrf=CsrfProtection(store) if config.csrf_enabled else None,
    )
