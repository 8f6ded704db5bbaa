"""Block types, schemas and documents: typed, reusable configuration."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, field

from penstock.schemas.filters import AnyIdFilter, AnyTextFilter, LikeFilter, NameFilter
from penstock.schemas.shapes import Entity, Operator, Strict

BlockName = Annotated[str, Meta(pattern="^[^/%&><]+$")]


class BlockTypeCreate(Strict):
    name: BlockName
    slug: str
    code_example: str | None = None
    description: str | None = None
    documentation_url: str | None = None
    logo_url: str | None = None


class BlockTypeUpdate(Strict):
    code_example: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    documentation_url: str | UnsetType | None = UNSET
    logo_url: str | UnsetType | None = UNSET


class BlockType(Entity):
    created: datetime | None
    id: UUID
    name: BlockName
    slug: str
    updated: datetime | None
    code_example: str | None = None
    description: str | None = None
    documentation_url: str | None = None
    is_protected: bool = False
    logo_url: str | None = None


class BlockSchemaCreate(Strict):
    block_type_id: UUID
    capabilities: list[str] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)
    version: str = "non-versioned"


class BlockSchema(Entity):
    block_type_id: UUID | None
    checksum: str
    created: datetime | None
    id: UUID
    updated: datetime | None
    block_type: BlockType | None = None
    capabilities: list[str] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)
    version: str = "non-versioned"


class BlockDocumentCreate(Strict):
    """`data` refers to other documents as `{"$ref": {"block_document_id": ...}}`."""

    block_schema_id: UUID
    block_type_id: UUID
    data: dict[str, Any] = field(default_factory=dict)
    is_anonymous: bool = False
    name: BlockName | None = None


class BlockDocumentUpdate(Strict):
    """`merge_existing_data` keeps the members of the document that `data` does not name."""

    block_schema_id: UUID | UnsetType | None = UNSET
    data: dict[str, Any] | UnsetType = UNSET
    merge_existing_data: bool | UnsetType = UNSET


class BlockDocument(Entity):
    """`data` holds the data of the documents it refers to in place of the references."""

    block_schema_id: UUID
    block_type_id: UUID
    created: datetime | None
    id: UUID
    updated: datetime | None
    block_document_references: dict[str, dict[str, Any]] = field(default_factory=dict)
    block_schema: BlockSchema | None = None
    block_type: BlockType | None = None
    block_type_name: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    is_anonymous: bool = False
    name: BlockName | None = None


class BlockTypeFilter(Strict):
    name: LikeFilter | None = None
    slug: AnyTextFilter | None = None


class BlockSchemaFilterCapabilities(Strict):
    """A superset of these."""

    all_: list[str] | None = None


class BlockSchemaFilter(Strict):
    block_capabilities: BlockSchemaFilterCapabilities | None = None
    block_type_id: AnyIdFilter | None = None
    id: AnyIdFilter | None = None
    operator: Operator = Operator.AND
    version: AnyTextFilter | None = None


class BlockDocumentFilterIsAnonymous(Strict):
    eq_: bool | None = None


class BlockDocumentFilter(Strict):
    """Anonymous documents match only when `is_anonymous` is given, or null."""

    block_type_id: AnyIdFilter | None = None
    id: AnyIdFilter | None = None
    is_anonymous: BlockDocumentFilterIsAnonymous | None = field(
        default_factory=lambda: BlockDocumentFilterIsAnonymous(eq_=False)
    )
    name: NameFilter | None = None
    operator: Operator = Operator.AND


class BlockDocumentSort(StrEnum):
    NAME_DESC = "NAME_DESC"
    NAME_ASC = "NAME_ASC"
    BLOCK_TYPE_AND_NAME_ASC = "BLOCK_TYPE_AND_NAME_ASC"


class BlockDocumentsFilterBody(Entity):
    """Filters of a list or count request for documents; all given ones must match."""

    block_documents: BlockDocumentFilter | None = None
    block_schemas: BlockSchemaFilter | None = None
    block_types: BlockTypeFilter | None = None


class BlockDocumentsFilterPage(BlockDocumentsFilterBody):
    include_secrets: bool = False
    limit: int | None = None
    offset: Annotated[int, Meta(ge=0)] = 0
    sort: BlockDocumentSort | None = BlockDocumentSort.NAME_ASC


class BlockSchemasFilterPage(Entity):
    block_schemas: BlockSchemaFilter | None = None
    limit: int | None = None
    offset: Annotated[int, Meta(ge=0)] = 0


class BlockTypesFilterPage(Entity):
    block_schemas: BlockSchemaFilter | None = None
    block_types: BlockTypeFilter | None = None
    limit: int | None = None
    offset: Annotated[int, Meta(ge=0)] = 0
