"""`emit_event`: say that something happened."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from penstock.base import json
from penstock.base.run_context import current_run
from penstock.events.related import related_resources_of
from penstock.events.schemas.events import Event, RelatedResource
from penstock.events.worker import EventsWorker, should_emit_events
from penstock.schemas.errors import EventTooLarge
from penstock.settings import get_current_settings

TIGHT_TIMING = timedelta(minutes=5)
LINEAGE_GROUP = "prefect.resource.lineage-group"

logger = logging.getLogger("penstock.events")


def emit_event(
    event: str,
    resource: dict[str, str],
    occurred: datetime | None = None,
    related: list[dict[str, str]] | list[RelatedResource] | None = None,
    payload: dict[str, Any] | None = None,
    id: UUID | None = None,
    follows: Event | None = None,
    **kwargs: Any,
) -> Event | None:
    """Queue an event and return it; the background delivers it at least once.

    Inside a run the event also names the run, its flow, deployment, queue, pool and tags, unless
    the resource belongs to a lineage group. `follows` is kept when the two events lie within five
    minutes of each other. Raises `EventTooLarge`; any other problem is logged and gives None, as
    does a process without an API.
    """
    if not should_emit_events():
        return None
    try:
        made = _event(event, resource, occurred, related, payload, id, follows, kwargs)
        encoded = json.encode(made)
    except Exception as error:  # A user's run must not fail because of what it tells about itself.
        logger.error("the event %r is not emitted: %s", event, error)
        return None
    most = get_current_settings().server.events.maximum_size_bytes
    if len(encoded) > most:
        raise EventTooLarge(len(encoded), most)
    EventsWorker.instance().send(made, encoded)
    return made


def _event(
    name: str,
    resource: dict[str, str],
    occurred: datetime | None,
    related: list[dict[str, str]] | list[RelatedResource] | None,
    payload: dict[str, Any] | None,
    id: UUID | None,
    follows: Event | None,
    more: dict[str, Any],
) -> Event:
    when = occurred or datetime.now(UTC)
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    named: list[dict[str, str]] = list(related or ())
    if LINEAGE_GROUP not in resource:
        known = {resource.get("prefect.resource.id", "")}
        known.update(one.get("prefect.resource.id", "") for one in named)
        named.extend(related_resources_of(current_run.get(), known))
    if id is not None:
        more["id"] = id
    if follows is not None and abs(when - follows.occurred) < TIGHT_TIMING:
        more["follows"] = follows.id
    return Event(
        event=name, resource=resource, occurred=when, related=named, payload=payload or {}, **more
    )
