"""Artifacts of runs, and the newest of each key."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, field

from penstock.base.ids import uuid7
from penstock.schemas.filters import (
    AnyIdFilter,
    DeploymentFilter,
    FlowFilter,
    FlowRunFilter,
    TaskRunFilter,
    TextFilter,
)
from penstock.schemas.shapes import Entity, Operator, Strict

# A bare `$` also matches before a line feed at the end.
ArtifactKey = Annotated[str, Meta(pattern=r"^[a-z0-9-]+$(?!\n)")]


class ArtifactCreate(Strict):
    data: Any = None
    description: str | None = None
    flow_run_id: UUID | None = None
    key: ArtifactKey | None = None
    metadata_: dict[str, str] | None = None
    task_run_id: UUID | None = None
    type: str | None = None


class ArtifactUpdate(Strict):
    data: Any | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    metadata_: dict[str, str] | UnsetType | None = UNSET


class Artifact(Entity):
    created: datetime | None = None
    data: Any = None
    description: str | None = None
    flow_run_id: UUID | None = None
    id: UUID = field(default_factory=uuid7)
    key: str | None = None
    metadata_: dict[str, str] | None = None
    task_run_id: UUID | None = None
    type: str | None = None
    updated: datetime | None = None


class ArtifactCollection(Entity):
    """The newest artifact of a key, under an id that stays when a newer one comes."""

    created: datetime | None
    id: UUID
    key: str
    latest_id: UUID
    updated: datetime | None
    data: Any = None
    description: str | None = None
    flow_run_id: UUID | None = None
    metadata_: dict[str, str] | None = None
    task_run_id: UUID | None = None
    type: str | None = None


class ArtifactFilterKey(Strict):
    any_: list[str] | None = None
    exists_: bool | None = None
    like_: str | None = None


class ArtifactFilter(Strict):
    flow_run_id: AnyIdFilter | None = None
    id: AnyIdFilter | None = None
    key: ArtifactFilterKey | None = None
    operator: Operator = Operator.AND
    task_run_id: AnyIdFilter | None = None
    type: TextFilter | None = None


class ArtifactCollectionFilter(Strict):
    flow_run_id: AnyIdFilter | None = None
    key: ArtifactFilterKey | None = None
    latest_id: AnyIdFilter | None = None
    operator: Operator = Operator.AND
    task_run_id: AnyIdFilter | None = None
    type: TextFilter | None = None


class ArtifactSort(StrEnum):
    CREATED_DESC = "CREATED_DESC"
    UPDATED_DESC = "UPDATED_DESC"
    ID_DESC = "ID_DESC"
    KEY_DESC = "KEY_DESC"
    KEY_ASC = "KEY_ASC"


class ArtifactCollectionSort(StrEnum):
    CREATED_DESC = "CREATED_DESC"
    UPDATED_DESC = "UPDATED_DESC"
    ID_DESC = "ID_DESC"
    KEY_DESC = "KEY_DESC"
    KEY_ASC = "KEY_ASC"


class ArtifactsFilterBody(Entity):
    """Filters of a list or count request for artifacts; all that hold a condition must match."""

    artifacts: ArtifactFilter = field(default_factory=ArtifactFilter)
    deployments: DeploymentFilter = field(default_factory=DeploymentFilter)
    flow_runs: FlowRunFilter = field(default_factory=FlowRunFilter)
    flows: FlowFilter = field(default_factory=FlowFilter)
    task_runs: TaskRunFilter = field(default_factory=TaskRunFilter)


class ArtifactsFilterPage(ArtifactsFilterBody):
    sort: ArtifactSort = ArtifactSort.ID_DESC
    offset: Annotated[int, Meta(ge=0)] = 0
    limit: int | None = None


class LatestArtifactsFilterBody(Entity):
    """As `ArtifactsFilterBody`, for the newest artifact of each key."""

    artifacts: ArtifactCollectionFilter = field(default_factory=ArtifactCollectionFilter)
    deployments: DeploymentFilter = field(default_factory=DeploymentFilter)
    flow_runs: FlowRunFilter = field(default_factory=FlowRunFilter)
    flows: FlowFilter = field(default_factory=FlowFilter)
    task_runs: TaskRunFilter = field(default_factory=TaskRunFilter)


class LatestArtifactsFilterPage(LatestArtifactsFilterBody):
    sort: ArtifactCollectionSort = ArtifactCollectionSort.ID_DESC
    offset: Annotated[int, Meta(ge=0)] = 0
    limit: int | None = None
