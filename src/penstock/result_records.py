"""A result with what is needed to find and read it again, and its form in a file."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from penstock.base import json
from penstock.base.clock import utc_now
from penstock.schemas.errors import SerializationError
from penstock.schemas.shapes import Entity
from penstock.serializers import Serializer

R = TypeVar("R")


class ResultRecordMetadata(Entity, frozen=True):
    """Where a result is kept and how it is read; this much of it travels in a state's data."""

    storage_key: str | None = None
    expiration: datetime | None = None
    serializer: dict[str, Any] = msgspec.field(default_factory=lambda: {"type": "pickle"})
    prefect_version: str = ""
    storage_block_id: UUID | None = None

    def is_expired(self, now: datetime) -> bool:
        return self.expiration is not None and self.expiration <= now

    def dump_bytes(self) -> bytes:
        return json.encode(self)

    @classmethod
    def load_bytes(cls, data: bytes) -> "ResultRecordMetadata":
        return json.decode(data, cls)


class _Document(msgspec.Struct):
    metadata: ResultRecordMetadata
    result: str
    encoding: str = "text"


class _Head(msgspec.Struct):
    metadata: ResultRecordMetadata


class ResultRecord(Generic[R]):
    """A result and its metadata.

    Cheap to make: the metadata is worked out when it is first asked for, and a record read from
    storage keeps the bytes until `result` is asked for. `persisted` says whether it is in storage.
    """

    __slots__ = (
        "__weakref__",
        "_blob",
        "_make_metadata",
        "_metadata",
        "_result",
        "_serializer",
        "persisted",
    )

    def __init__(
        self,
        result: R | None = None,
        metadata: ResultRecordMetadata | None = None,
        *,
        make_metadata: Callable[[], ResultRecordMetadata] | None = None,
        blob: bytes | None = None,
        serializer: Serializer | None = None,
        persisted: bool = False,
    ) -> None:
        self._result = result
        self._metadata = metadata
        self._make_metadata = make_metadata
        self._blob = blob
        self._serializer = serializer
        self.persisted = persisted

    @property
    def result(self) -> R:
        """The value. Raises what its serializer raises when the bytes cannot be read."""
        if self._blob is not None:
            self._result = self.serializer.loads(self._blob)
            self._blob = None
        return self._result  # type: ignore[return-value]

    @property
    def metadata(self) -> ResultRecordMetadata:
        if self._metadata is None:
            make = self._make_metadata
            self._metadata = make() if make is not None else ResultRecordMetadata()
        return self._metadata

    @property
    def serializer(self) -> Serializer:
        if self._serializer is None:
            self._serializer = Serializer(**self.metadata.serializer)
        return self._serializer

    @property
    def expiration(self) -> datetime | None:
        return self.metadata.expiration

    @property
    def storage_key(self) -> str | None:
        return self.metadata.storage_key

    def is_expired(self, now: datetime | None = None) -> bool:
        expiration = self.metadata.expiration
        return expiration is not None and expiration <= (now or utc_now())

    def serialize_result(self) -> bytes:
        """The value as bytes. Raises `SerializationError` when the serializer cannot say it."""
        if self._blob is not None:
            return self._blob
        try:
            return self.serializer.dumps(self._result)
        except Exception as error:
            # Pickling runs the value's own code, which may raise anything.
            raise SerializationError(
                f"the result of type {type(self._result).__name__!r} cannot be written by the "
                f"{self.serializer.type!r} serializer: {error}; return another value, choose "
                "another `result_serializer`, or set `persist_result=False`"
            ) from error

    def stored(self, blob: bytes) -> "ResultRecord[R]":
        """This record as storage has it: the value as bytes, so that whoever asks for it gets an
        object of its own."""
        return ResultRecord(
            metadata=self.metadata, blob=blob, serializer=self._serializer, persisted=True
        )

    def serialize_metadata(self) -> bytes:
        return self.metadata.dump_bytes()

    def serialize(self) -> bytes:
        """The whole record as one JSON document, metadata first."""
        return self.document(self.serialize_result())

    def document(self, blob: bytes) -> bytes:
        """The document of this record, whose value as bytes is `blob`."""
        try:
            text = json.encode(blob.decode())
            tail = b"}"
        except UnicodeDecodeError:
            # A serializer of the user's may give any bytes; JSON text cannot hold them as they are.
            text = json.encode(blob)
            tail = b',"encoding":"base64"}'
        return b'{"metadata":' + self.serialize_metadata() + b',"result":' + text + tail

    @classmethod
    def deserialize(cls, data: bytes) -> "ResultRecord[Any]":
        """The record of one document. Raises `msgspec.DecodeError` for anything else."""
        document = json.decode(data, _Document)
        if document.encoding == "base64":
            blob = msgspec.convert(document.result, bytes)
        else:
            blob = document.result.encode()
        return cls(metadata=document.metadata, blob=blob, persisted=True)

    @classmethod
    def deserialize_from_result_and_metadata(
        cls, result: bytes, metadata: bytes
    ) -> "ResultRecord[Any]":
        """The record whose value and metadata are kept apart."""
        return cls(metadata=ResultRecordMetadata.load_bytes(metadata), blob=result, persisted=True)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ResultRecord)
            and other.metadata == self.metadata
            and other.result == self.result
        )

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"ResultRecord(metadata={self.metadata!r}, persisted={self.persisted})"


def metadata_in(document: bytes) -> ResultRecordMetadata:
    """The metadata of a whole document, without a look at its result."""
    return json.decode(document, _Head).metadata


def metadata_at_head(prefix: bytes) -> ResultRecordMetadata | None:
    """The metadata at the start of a document that is cut off; None when it is not all there."""
    opening = b'{"metadata":'
    end = prefix.find(b',"result":')
    # Text inside the metadata cannot contain the mark: JSON writes a quote in text as \".
    if not prefix.startswith(opening) or end < 0:
        return None
    try:
        return json.decode(prefix[len(opening) : end], ResultRecordMetadata)
    except msgspec.DecodeError:
        return None
