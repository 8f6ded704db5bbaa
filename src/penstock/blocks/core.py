"""The base class of blocks: saving, loading, registering."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError
from pydantic_core import to_jsonable_python

from penstock.base.dual import Steps, in_async_context, run_aio, run_sync
from penstock.blocks.fields import nested_blocks, revealed, schema_of, slug_of
from penstock.schemas.blocks import (
    BlockDocumentCreate,
    BlockDocumentUpdate,
    BlockSchemaCreate,
    BlockTypeCreate,
    BlockTypeUpdate,
)
from penstock.schemas.errors import ObjectAlreadyExists, ObjectNotFound
from penstock.steps import Request

Reference = str | UUID | Mapping[str, Any]
_classes: dict[str, type["Block"]] = {}


class Block(BaseModel):
    """Typed configuration under a name. Subclass it, declare fields, `save` and `load`.

    A field of the type `SecretStr` is encrypted by the server. A field whose value is a saved
    block refers to that block's document, so that changing one changes all that use it.
    """

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True)

    _block_type_name: ClassVar[str | None] = None
    _block_type_slug: ClassVar[str | None] = None
    _logo_url: ClassVar[Any] = None
    _documentation_url: ClassVar[Any] = None
    _description: ClassVar[str | None] = None
    _code_example: ClassVar[str | None] = None
    _block_schema_capabilities: ClassVar[list[str] | None] = None
    _block_schema_version: ClassVar[str] = "non-versioned"

    _block_document_id: UUID | None = PrivateAttr(None)
    _block_document_name: str | None = PrivateAttr(None)
    _is_anonymous: bool | None = PrivateAttr(None)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        _classes[cls.get_block_type_slug()] = cls

    @classmethod
    def get_block_type_name(cls) -> str:
        return cls.__dict__.get("_block_type_name") or cls.__name__

    @classmethod
    def get_block_type_slug(cls) -> str:
        return cls.__dict__.get("_block_type_slug") or slug_of(cls.get_block_type_name())

    @classmethod
    def get_block_capabilities(cls) -> frozenset[str]:
        """The capabilities of the class and of all its bases."""
        return frozenset(
            name
            for base in cls.__mro__
            for name in base.__dict__.get("_block_schema_capabilities") or ()
        )

    @classmethod
    def get_block_schema_version(cls) -> str:
        return cls._block_schema_version

    @classmethod
    def get_description(cls) -> str | None:
        """The declared description, or the first paragraph of the docstring."""
        if cls._description is not None:
            return cls._description
        text = (cls.__doc__ or "").strip().partition("\n\n")[0]
        return " ".join(text.split()) or None

    @classmethod
    def get_code_example(cls) -> str | None:
        return cls._code_example

    def get_block_placeholder(self) -> str:
        """Text that stands for this saved block in templates. Raises `ValueError` before."""
        if self._block_document_name is None or self._is_anonymous:
            raise ValueError("the block was not saved under a name; save it first")
        return f"prefect.blocks.{self.get_block_type_slug()}.{self._block_document_name}"

    @classmethod
    def _register_type_and_schema(cls) -> Steps[None]:
        yield from _registered(cls)

    def _save(self, name: str | None = None, overwrite: bool = False) -> Steps[UUID]:
        name = name or self._block_document_name
        if name is None:
            raise ValueError("a block is saved under a name; pass one to save")
        type_id, schema = yield from _registered(type(self))
        data = self._document_data()
        body = BlockDocumentCreate(
            name=name, data=data, block_type_id=type_id, block_schema_id=schema.id
        )
        try:
            document = yield Request("create_block_document", body=body)
        except ObjectAlreadyExists:
            slug = self.get_block_type_slug()
            if not overwrite:
                raise ValueError(
                    f"a block named {slug}/{name} exists; choose another name or pass "
                    "overwrite=True"
                ) from None
            document = yield Request("read_block_document_by_name_for_block_type", slug, name)
            change = BlockDocumentUpdate(
                data=data, block_schema_id=schema.id, merge_existing_data=False
            )
            yield Request("update_block_document_data", document.id, body=change)
        self._saved(document.id, name, False)
        return document.id

    @classmethod
    def _load(cls, name: str, validate: bool = True) -> Steps[Self]:
        slug, name = cls._address(name)
        try:
            document = yield Request(
                "read_block_document_by_name_for_block_type",
                slug,
                name,
                query={"include_secrets": True},
            )
        except ObjectNotFound:
            raise ValueError(f"no block is named {slug}/{name}; save it first") from None
        return cls._from_document(document, validate)

    @classmethod
    def _load_from_ref(cls, ref: Reference, validate: bool = True) -> Steps[Self]:
        if isinstance(ref, Mapping):
            if "block_document_slug" in ref:
                return (yield from cls._load(ref["block_document_slug"], validate))
            ref = ref["block_document_id"]
        try:
            document = yield Request(
                "read_block_document_by_id", ref, query={"include_secrets": True}
            )
        except ObjectNotFound:
            raise ValueError(f"there is no block document {ref}") from None
        return cls._from_document(document, validate)

    @classmethod
    def _delete(cls, name: str) -> Steps[None]:
        slug, name = cls._address(name)
        try:
            document = yield Request("read_block_document_by_name_for_block_type", slug, name)
        except ObjectNotFound:
            raise ValueError(f"no block is named {slug}/{name}") from None
        yield Request("delete_block_document", document.id)

    @classmethod
    def _address(cls, name: str) -> tuple[str, str]:
        if cls is not Block:
            return cls.get_block_type_slug(), name
        slug, slash, rest = name.partition("/")
        if not slash:
            raise ValueError(f"{name!r} names no type; write type-slug/name")
        return slug, rest

    @classmethod
    def _from_document(cls, document: Any, validate: bool) -> Self:
        chosen: Any = cls if cls is not Block else _classes.get(document.block_type.slug, cls)
        try:
            block = chosen.model_validate(document.data)
        except ValidationError as error:
            if validate:
                raise RuntimeError(
                    f"block {document.block_type.slug}/{document.name} does not fit the class "
                    f"{chosen.__name__} ({error.error_count()} problems); save it again, or load "
                    "it with validate=False"
                ) from None
            missing = dict.fromkeys(chosen.model_fields)
            block = chosen.model_construct(**{**missing, **document.data})
        block._saved(document.id, document.name, document.is_anonymous)
        block._mark_nested(document.block_document_references)
        return block

    def _mark_nested(self, references: Mapping[str, Any]) -> None:
        for name, reference in references.items():
            inner = getattr(self, name, None)
            if isinstance(inner, Block):
                told = reference["block_document"]
                inner._saved(UUID(told["id"]), told["name"], told["is_anonymous"])
                inner._mark_nested(told["block_document_references"])

    def _saved(self, id: UUID, name: str | None, is_anonymous: bool) -> None:
        self._block_document_id = id
        self._block_document_name = name
        self._is_anonymous = is_anonymous

    def _document_data(self) -> dict[str, Any]:
        """The fields as the server keeps them: secrets in clear, saved blocks as references."""
        data: dict[str, Any] = {}
        for name in (*type(self).model_fields, *(self.model_extra or ())):
            value = getattr(self, name)
            if isinstance(value, Block):
                id = value._block_document_id
                data[name] = (
                    value._document_data()
                    if id is None
                    else {"$ref": {"block_document_id": str(id)}}
                )
            else:
                data[name] = to_jsonable_python(revealed(value), fallback=_fallback)
        return data

    def save(self, name: str | None = None, overwrite: bool = False) -> Any:
        """Keep the block under `name`; the id of its document.

        Raises `ValueError` when the name is missing or taken and `overwrite` is false. This and
        the other methods that ask the server give a coroutine when called in an async context.
        """
        return _carried_out(self._save(name, overwrite))

    async def asave(self, name: str | None = None, overwrite: bool = False) -> UUID:
        return await run_aio(self._save(name, overwrite))

    @classmethod
    def load(cls, name: str, validate: bool = True) -> Any:
        """The block saved under `name`; called on `Block` itself, under `type-slug/name`.

        Raises `ValueError` when there is none, `RuntimeError` when its data does not fit the
        class, unless `validate` is false.
        """
        return _carried_out(cls._load(name, validate))

    @classmethod
    async def aload(cls, name: str, validate: bool = True) -> Self:
        return await run_aio(cls._load(name, validate))

    @classmethod
    def load_from_ref(cls, ref: Reference, validate: bool = True) -> Any:
        """The block with a document's id, or what a mapping names: `block_document_id` or
        `block_document_slug`."""
        return _carried_out(cls._load_from_ref(ref, validate))

    @classmethod
    async def aload_from_ref(cls, ref: Reference, validate: bool = True) -> Self:
        return await run_aio(cls._load_from_ref(ref, validate))

    @classmethod
    def delete(cls, name: str) -> Any:
        """Delete the document saved under `name`. Raises `ValueError` when there is none."""
        return _carried_out(cls._delete(name))

    @classmethod
    async def adelete(cls, name: str) -> None:
        await run_aio(cls._delete(name))

    @classmethod
    def register_type_and_schema(cls) -> Any:
        """Tell the server what blocks of this class look like. Repeating it changes nothing."""
        return _carried_out(cls._register_type_and_schema())

    @classmethod
    async def aregister_type_and_schema(cls) -> None:
        await run_aio(cls._register_type_and_schema())


def block_of(document: Any, validate: bool = True) -> Any:
    """The block in a document, of the class for its type where there is one, else a `Block`."""
    return Block._from_document(document, validate)


def _carried_out(steps: Steps[Any]) -> Any:
    return run_aio(steps) if in_async_context() else run_sync(steps)


def _fallback(value: Any) -> Any:
    return revealed(value) if hasattr(value, "get_secret_value") else str(value)


def _registered(cls: type[Block]) -> Steps[tuple[UUID, Any]]:
    """The id of the type and the schema of a class, registered with all it refers to."""
    references: dict[str, Any] = {}
    for name, classes in nested_blocks(cls, Block).items():
        entries = []
        for inner in classes:
            _, schema = yield from _registered(inner)
            entries.append(
                {
                    "block_type_slug": inner.get_block_type_slug(),
                    "block_schema_checksum": schema.checksum,
                }
            )
        references[name] = entries[0] if len(entries) == 1 else entries
    type_id = yield from _registered_type(cls)
    body = BlockSchemaCreate(
        block_type_id=type_id,
        fields={
            **schema_of(cls),
            "block_type_slug": cls.get_block_type_slug(),
            "block_schema_references": references,
        },
        capabilities=sorted(cls.get_block_capabilities()),
        version=cls.get_block_schema_version(),
    )
    schema = yield Request("create_block_schema", body=body)
    return type_id, schema


def _registered_type(cls: type[Block]) -> Steps[UUID]:
    slug = cls.get_block_type_slug()
    texts = {
        "logo_url": str(cls._logo_url) if cls._logo_url else None,
        "documentation_url": str(cls._documentation_url) if cls._documentation_url else None,
        "description": cls.get_description(),
        "code_example": cls.get_code_example(),
    }
    try:
        found = yield Request("read_block_type_by_slug", slug)
    except ObjectNotFound:
        body = BlockTypeCreate(name=cls.get_block_type_name(), slug=slug, **texts)
        made = yield Request("create_block_type", body=body)
        return made.id
    changed = {name: text for name, text in texts.items() if text and text != getattr(found, name)}
    if changed and not found.is_protected:
        yield Request("update_block_type", found.id, body=BlockTypeUpdate(**changed))
    return found.id
