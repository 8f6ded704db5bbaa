"""Log records of runs."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from penstock.schemas.filters import AnyIdFilter, TextQuery, TimeBounds
from penstock.schemas.shapes import Entity, Operator, Strict


class LogSort(StrEnum):
    TIMESTAMP_ASC = "TIMESTAMP_ASC"
    TIMESTAMP_DESC = "TIMESTAMP_DESC"


class LogCreate(Strict):
    level: int
    message: str
    name: str
    timestamp: datetime
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None


class Log(Entity):
    created: datetime | None
    id: UUID
    level: int
    message: str
    name: str
    timestamp: datetime
    updated: datetime | None
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None


class LogFilterLevel(Strict):
    ge_: int | None = None
    le_: int | None = None


class LogFilterTaskRunId(Strict):
    any_: list[UUID] | None = None
    is_null_: bool | None = None


class LogFilter(Strict):
    flow_run_id: AnyIdFilter | None = None
    level: LogFilterLevel | None = None
    operator: Operator = Operator.AND
    task_run_id: LogFilterTaskRunId | None = None
    text: TextQuery | None = None
    timestamp: TimeBounds | None = None


class LogsFilterPage(Entity):
    logs: LogFilter | None = None
    sort: LogSort = LogSort.TIMESTAMP_ASC
    offset: Annotated[int, Meta(ge=0)] = 0
    limit: int | None = None
