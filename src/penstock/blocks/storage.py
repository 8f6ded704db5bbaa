"""Storage blocks as what results are kept in."""

from typing import Any
from uuid import UUID

from penstock.base.dual import Steps
from penstock.blocks.core import Block, block_of
from penstock.filesystems import SMB, LocalFileSystem, RemoteFileSystem
from penstock.results.storages import install_storage_loader
from penstock.schemas.errors import ConfigurationError, ObjectNotFound
from penstock.steps import Request

_KINDS: dict[str, Any] = {
    kind._block_type_slug: kind for kind in (LocalFileSystem, RemoteFileSystem, SMB)
}


def load_storage(reference: str | UUID) -> Steps[Any]:
    """The storage of a block document, by `type-slug/name` or id.

    Raises `ConfigurationError` when there is none, or no class for it in this process.
    """
    try:
        if isinstance(reference, UUID):
            document = yield Request(
                "read_block_document_by_id", reference, query={"include_secrets": True}
            )
        else:
            slug, _, name = reference.partition("/")
            document = yield Request(
                "read_block_document_by_name_for_block_type",
                slug,
                name,
                query={"include_secrets": True},
            )
    except ObjectNotFound:
        raise ConfigurationError(
            f"the result storage {str(reference)!r} does not exist; save the block first"
        ) from None
    kind = _KINDS.get(document.block_type.slug)
    if kind is not None:
        storage = kind(**{name: document.data[name] for name in document.data})
        storage._block_document_id = document.id
        storage._block_document_name = document.name
        return storage
    block = block_of(document)
    if type(block) is Block:
        raise ConfigurationError(
            f"the result storage {document.block_type.slug}/{document.name} is of a type without "
            "a class in this process; import the module that defines it"
        )
    return block


install_storage_loader(load_storage)
