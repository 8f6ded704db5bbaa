"""Pages of events, under the name of the contract."""

from penstock.schemas.events import EventPage

__all__ = ["EventPage"]
