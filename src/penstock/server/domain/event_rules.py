"""What an event from outside must be, beyond its types."""

from penstock.base import json
from penstock.schemas.events import (
    MAXIMUM_EVENT_BYTES,
    MAXIMUM_EVENT_NAME,
    MAXIMUM_LABELS,
    MAXIMUM_RELATED,
    RESOURCE_ID,
    RESOURCE_ROLE,
    Event,
)


def problem(event: Event) -> str | None:
    """Why `event` cannot be taken, or None when it can.

    Its size is not looked at here: HTTP drops an event that is too large and goes on, where one
    that is wrong refuses its whole batch.
    """
    if len(event.event) > MAXIMUM_EVENT_NAME:
        return f"its name has {len(event.event)} characters, the limit is {MAXIMUM_EVENT_NAME}"
    if len(event.related) > MAXIMUM_RELATED:
        return f"it has {len(event.related)} related resources, the limit is {MAXIMUM_RELATED}"
    if not event.resource.get(RESOURCE_ID):
        return f"its resource lacks the label {RESOURCE_ID}"
    for resource in (event.resource, *event.related):
        if len(resource) > MAXIMUM_LABELS:
            return f"a resource has {len(resource)} labels, the limit is {MAXIMUM_LABELS}"
    for resource in event.related:
        if not resource.get(RESOURCE_ID) or not resource.get(RESOURCE_ROLE):
            return f"a related resource lacks the label {RESOURCE_ID} or {RESOURCE_ROLE}"
    return None


def too_large(event: Event) -> bool:
    """Whether the event's JSON form is above the limit."""
    return len(json.encode(event)) > MAXIMUM_EVENT_BYTES
