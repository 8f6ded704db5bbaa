"""Saved searches of the UI."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, field

from penstock.schemas.shapes import Entity, Strict


class SavedSearchFilter(Entity):
    object: str
    operation: str
    property: str
    type: str
    value: Any


class SavedSearchCreate(Strict):
    name: str
    filters: list[SavedSearchFilter] = field(default_factory=list)


class SavedSearch(Entity):
    created: datetime | None
    id: UUID
    name: str
    updated: datetime | None
    filters: list[SavedSearchFilter] = field(default_factory=list)


class SavedSearchesPage(Entity):
    limit: int | None = None
    offset: Annotated[int, Meta(ge=0)] = 0
