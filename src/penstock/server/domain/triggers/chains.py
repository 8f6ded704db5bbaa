"""Automations that cause each other: which firing led to which, and when that is too much."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct

from penstock.schemas.events import RESOURCE_ID, RESOURCE_ROLE, Resource

MAXIMUM_REPEATS = 10
"""How often one automation may fire because of itself."""
PERIOD = timedelta(minutes=10)
"""How far back repetitions are counted."""
MAXIMUM_BRANCHES = 100
"""How often an automation that is part of a circle may fire because of one firing, over all ways
that lead there."""
LONGEST = 200
_ACTOR = "penstock.actor.automation."
_CREATOR = "prefect.automation."
_FLOW_RUN = "prefect.flow-run."


class Link(Struct, frozen=True, array_like=True):
    """One firing in a chain: of which automation, when."""

    automation: str
    fired: datetime


Chain = tuple[Link, ...]


def cause_of(resource: Resource, related: Iterable[Resource]) -> str | None:
    """What in an event says that an automation caused it: the id of a firing, or of a flow run
    that an automation made; None for other events."""
    for one in related:
        role = one.get(RESOURCE_ROLE)
        if role == "actor" and one[RESOURCE_ID].startswith(_ACTOR):
            return one.get("penstock.request.id")
        if role == "creator" and one[RESOURCE_ID].startswith(_CREATOR):
            id = resource[RESOURCE_ID]
            return id.removeprefix(_FLOW_RUN) if id.startswith(_FLOW_RUN) else None
    return None


def extended(chain: Chain, automation: str, now: datetime) -> Chain:
    """The chain of a firing that was caused by one with `chain`."""
    recent = [link for link in chain if link.fired > now - PERIOD]
    return (*recent[-LONGEST + 1 :], Link(automation, now))


def repeats(chain: Chain) -> int:
    """How often the automation that fired last is in the chain."""
    return sum(link.automation == chain[-1].automation for link in chain)


def goes_in_circles(chain: Chain, branches: int) -> bool:
    """Whether the automation that fired last did so too often because of itself; `branches` is
    how often it fired because of the first firing of the chain."""
    count = repeats(chain)
    return count > MAXIMUM_REPEATS or (count > 1 and branches > MAXIMUM_BRANCHES)
