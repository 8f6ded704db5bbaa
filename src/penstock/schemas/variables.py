"""Variables: named JSON values."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, field

from penstock.schemas.filters import AnyIdFilter, NameFilter, TagsFilter
from penstock.schemas.shapes import Entity, Operator, Strict

MAX_VARIABLE_NAME_LENGTH = 255
MAX_VARIABLE_VALUE_BYTES = 5000

# A bare `$` also matches before a line feed at the end.
VariableName = Annotated[
    str, Meta(pattern=r"^[a-z0-9_-]+$(?!\n)", max_length=MAX_VARIABLE_NAME_LENGTH)
]
VariableValue = str | bool | int | float | dict[str, Any] | list[Any] | None


class VariableCreate(Strict):
    name: VariableName
    value: VariableValue
    tags: list[str] = field(default_factory=list)


class VariableUpdate(Strict):
    """Null as value is a value; null as name or tags leaves them."""

    name: VariableName | UnsetType | None = UNSET
    tags: list[str] | UnsetType | None = UNSET
    value: VariableValue | UnsetType = UNSET


class Variable(Entity):
    created: datetime | None
    id: UUID
    name: VariableName
    updated: datetime | None
    value: VariableValue
    tags: list[str] = field(default_factory=list)


class VariableFilter(Strict):
    id: AnyIdFilter | None = None
    name: NameFilter | None = None
    operator: Operator = Operator.AND
    tags: TagsFilter | None = None


class VariableSort(StrEnum):
    CREATED_DESC = "CREATED_DESC"
    UPDATED_DESC = "UPDATED_DESC"
    NAME_DESC = "NAME_DESC"
    NAME_ASC = "NAME_ASC"


class VariablesFilterBody(Entity):
    variables: VariableFilter | None = None


class VariablesFilterPage(VariablesFilterBody):
    sort: VariableSort = VariableSort.NAME_ASC
    offset: Annotated[int, Meta(ge=0)] = 0
    limit: int | None = None
