"""Schedules, under the names of the contract."""

from penstock.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule

SCHEDULE_TYPES = IntervalSchedule | CronSchedule | RRuleSchedule

__all__ = ["SCHEDULE_TYPES", "CronSchedule", "IntervalSchedule", "RRuleSchedule"]
