"""The events about slots that were taken and given back."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from penstock.events.schemas.events import Event
from penstock.events.utilities import emit_event
from penstock.schemas.events import RESOURCE_ID, RESOURCE_NAME, RESOURCE_ROLE
from penstock.schemas.limits import MinimalConcurrencyLimitResponse

KIND = "concurrency-limit"
KIND_V1 = "concurrency-limit.v1"


class Told(Struct, frozen=True):
    """A limit whose slots were told to be taken, and the event that told so."""

    limit: MinimalConcurrencyLimitResponse
    labels: Mapping[str, str]
    kind: str
    event: Event | None


def tell_acquired(
    limits: Sequence[MinimalConcurrencyLimitResponse],
    slots: int,
    *,
    kind: str = KIND,
    labels: Mapping[str, str] | None = None,
) -> list[Told]:
    """Emit one event for each limit."""
    given = {"slots-acquired": str(slots)} if labels is None else labels
    told = [Told(limit, {**given, "limit": str(limit.limit)}, kind, None) for limit in limits]
    return [Told(one.limit, one.labels, kind, _emit("acquired", one, told, None)) for one in told]


def tell_released(told: Sequence[Told]) -> None:
    """Emit one event for each limit, which follows the one of its acquisition."""
    for one in told:
        _emit("released", one, told, one.event)


def _emit(name: str, about: Told, told: Sequence[Told], follows: Any) -> Event | None:
    return emit_event(
        f"prefect.{about.kind}.{name}",
        {
            RESOURCE_ID: f"prefect.{about.kind}.{about.limit.id}",
            RESOURCE_NAME: about.limit.name,
            **about.labels,
        },
        related=[
            {
                RESOURCE_ID: f"prefect.{other.kind}.{other.limit.id}",
                RESOURCE_ROLE: "concurrency-limit",
            }
            for other in told
            if other.limit is not about.limit
        ],
        follows=follows,
    )
