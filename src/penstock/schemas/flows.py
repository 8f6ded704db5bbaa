"""Flows: the named thing that runs."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, field

from penstock.schemas.filters import (
    DeploymentFilter,
    FlowFilter,
    FlowRunFilter,
    TaskRunFilter,
    WorkPoolFilter,
)
from penstock.schemas.shapes import Entity, Labels, Strict


class FlowSort(StrEnum):
    CREATED_DESC = "CREATED_DESC"
    UPDATED_DESC = "UPDATED_DESC"
    NAME_ASC = "NAME_ASC"
    NAME_DESC = "NAME_DESC"


class FlowCreate(Strict):
    name: Annotated[str, Meta(pattern="^[^/%&><]+$")]
    labels: Labels | None = None
    tags: list[str] = field(default_factory=list)


class FlowUpdate(Strict):
    tags: list[str] | UnsetType = UNSET


class Flow(Entity):
    created: datetime | None
    id: UUID
    name: Annotated[str, Meta(pattern="^[^/%&><]+$")]
    updated: datetime | None
    labels: Labels | None = None
    tags: list[str] = field(default_factory=list)


class FlowsFilterBody(Entity):
    """Filters of a list or count request for flows; all given ones must match."""

    flows: FlowFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    deployments: DeploymentFilter | None = None
    work_pools: WorkPoolFilter | None = None


class FlowsFilterPage(FlowsFilterBody):
    """A filtered list of flows; `limit` null means the server's default page size."""

    sort: FlowSort = FlowSort.NAME_ASC
    offset: Annotated[int, Meta(ge=0)] = 0
    limit: int | None = None


class FlowsPaginateBody(FlowsFilterBody):
    sort: FlowSort = FlowSort.NAME_ASC
    page: Annotated[int, Meta(ge=1)] = 1
    limit: int | None = None


class FlowPaginationResponse(Entity):
    count: int
    limit: int
    page: int
    pages: int
    results: list[Flow]


class FlowsBulkDeleteBody(Strict):
    flows: FlowFilter | None = None
    limit: Annotated[int, Meta(ge=1, le=50)] = 50


class FlowBulkDeleteResponse(Entity):
    deleted: list[UUID] = field(default_factory=list)
