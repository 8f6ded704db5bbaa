"""Events: emit them, hear them.

`emit_event` is loaded at once; what needs the client is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock.events.schemas.events import (
    Event,
    ReceivedEvent,
    RelatedResource,
    Resource,
    ResourceSpecification,
)
from penstock.events.utilities import emit_event

if TYPE_CHECKING:
    from penstock.events.clients import get_events_client, get_events_subscriber
    from penstock.events.subscribers import FlowRunSubscriber

__all__ = [
    "Event",
    "FlowRunSubscriber",
    "ReceivedEvent",
    "RelatedResource",
    "Resource",
    "ResourceSpecification",
    "emit_event",
    "get_events_client",
    "get_events_subscriber",
]

_LATER = {
    "FlowRunSubscriber": "penstock.events.subscribers",
    "get_events_client": "penstock.events.clients",
    "get_events_subscriber": "penstock.events.clients",
}


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)
