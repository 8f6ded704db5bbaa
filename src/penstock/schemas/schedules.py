"""When a deployment runs: interval, cron, recurrence rule."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import UNSET, Meta, MsgspecError, Raw, UnsetType, convert, field

from penstock.base import json
from penstock.base.clock import utc_now
from penstock.schemas.shapes import Strict


class IntervalSchedule(Strict):
    """Every `interval` seconds from `anchor_date` on, and as often before it.

    A request that gives no anchor leaves the server to keep the stored one or to take now.
    """

    interval: float
    anchor_date: datetime | UnsetType = field(default_factory=utc_now)
    timezone: str | None = None


class CronSchedule(Strict):
    cron: str
    day_or: bool = True
    timezone: str | None = None


class RRuleSchedule(Strict):
    rrule: str
    timezone: str | None = "UTC"


_KINDS = {"interval": IntervalSchedule, "cron": CronSchedule, "rrule": RRuleSchedule}

_TIMEZONE = {"anyOf": [{"type": "string"}, {"type": "null"}]}


def _variant(title: str, required: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": title,
        "type": "object",
        "properties": {**properties, "timezone": _TIMEZONE},
        "required": [required],
        "additionalProperties": False,
    }


_SCHEMA = {
    "anyOf": [
        _variant(
            "IntervalSchedule",
            "interval",
            {
                "interval": {"type": "number"},
                "anchor_date": {"type": "string", "format": "date-time"},
            },
        ),
        _variant(
            "CronSchedule",
            "cron",
            {"cron": {"type": "string"}, "day_or": {"type": "boolean", "default": True}},
        ),
        _variant("RRuleSchedule", "rrule", {"rrule": {"type": "string"}}),
    ]
}

if TYPE_CHECKING:
    AnySchedule = IntervalSchedule | CronSchedule | RRuleSchedule
else:
    # The decoder tells apart only types with a tag; `schedule_of` tells these by their members.
    AnySchedule = Annotated[Any, Meta(extra_json_schema=_SCHEMA)]


def schedule_of(value: Any) -> Any:
    """The schedule that a JSON object describes; anything but a mapping is given back as it is.

    Raises `ValueError` for an object that is no schedule.
    """
    if isinstance(value, IntervalSchedule | CronSchedule | RRuleSchedule | Raw | UnsetType):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("Expected a schedule: an object with interval, cron or rrule")
    kind = next((type for name, type in _KINDS.items() if name in value), None)
    if kind is None:
        raise ValueError("Object is no schedule: give one of interval, cron or rrule")
    try:
        schedule = convert(dict(value), kind, strict=False)
    except MsgspecError as error:
        raise ValueError(str(error)) from None
    if isinstance(schedule, IntervalSchedule):
        return _anchored(schedule, "anchor_date" in value)
    return schedule


def stored_schedule(document: Raw) -> "AnySchedule":
    """The schedule in a stored document."""
    return schedule_of(json.decode(document))


def _anchored(schedule: IntervalSchedule, given: bool) -> IntervalSchedule:
    anchor = schedule.anchor_date
    if not given:
        anchor = UNSET
    elif isinstance(anchor, datetime) and anchor.tzinfo is None:
        anchor = anchor.replace(tzinfo=UTC)
    return IntervalSchedule(
        interval=schedule.interval, anchor_date=anchor, timezone=schedule.timezone
    )
