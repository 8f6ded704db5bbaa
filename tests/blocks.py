"""Short ways to block types, schemas and documents on a `World`."""

from typing import Any
from uuid import UUID

from tests.databases import World, wire

from penstock.schemas.blocks import (
    BlockDocumentCreate,
    BlockDocumentUpdate,
    BlockSchemaCreate,
    BlockTypeCreate,
)
from penstock.server.ops import block_documents, block_schemas, block_types


def block_type(world: World, slug: str = "store", **fields: Any) -> str:
    """The id of a new type named like its slug."""
    body = BlockTypeCreate(name=fields.pop("name", slug), slug=slug, **fields)
    return world.write(block_types.create_block_type, body=body).id


def block_schema(
    world: World, type_id: str, *, capabilities: list[str] | None = None, **fields: Any
) -> str:
    """The id of a schema with these members, made when there is none."""
    body = BlockSchemaCreate(
        block_type_id=UUID(type_id),
        fields={"type": "object", **fields},
        capabilities=capabilities or [],
    )
    return world.write(block_schemas.create_block_schema, body=body).value.id


class Kind:
    """A type with one schema."""

    def __init__(self, world: World, slug: str = "store", **fields: Any) -> None:
        self.world = world
        self.slug = slug
        self.type_id = block_type(world, slug)
        self.schema_id = block_schema(world, self.type_id, block_type_slug=slug, **fields)

    def save(self, name: str | None = "one", anonymous: bool = False, **data: Any) -> str:
        """The id of a new document."""
        body = BlockDocumentCreate(
            name=name,
            data=data,
            is_anonymous=anonymous,
            block_type_id=UUID(self.type_id),
            block_schema_id=UUID(self.schema_id),
        )
        return self.world.write(block_documents.create_block_document, body=body).id


def read(world: World, id: str, secrets: bool = True) -> dict[str, Any]:
    return wire(world.read(block_documents.read_block_document_by_id, id, include_secrets=secrets))


def data(world: World, id: str, secrets: bool = True) -> dict[str, Any]:
    return read(world, id, secrets)["data"]


def update(world: World, id: str, data: dict[str, Any], **fields: Any) -> None:
    body = BlockDocumentUpdate(data=data, **fields)
    world.write(block_documents.update_block_document_data, id, body=body)


def ref(id: str) -> dict[str, Any]:
    return {"$ref": {"block_document_id": id}}
