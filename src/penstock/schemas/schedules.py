"""When a deployment runs: interval, cron, recurrence rule."""

from datetime import datetime

from msgspec import field

from penstock.base.clock import utc_now
from penstock.schemas.shapes import Strict


class IntervalSchedule(Strict):
    interval: float
    anchor_date: datetime = field(default_factory=utc_now)
    timezone: str | None = None


class CronSchedule(Strict):
    cron: str
    day_or: bool = True
    timezone: str | None = None


class RRuleSchedule(Strict):
    rrule: str
    timezone: str | None = "UTC"
