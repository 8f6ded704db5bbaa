"""Objects to bytes and back: pickle, JSON, and either one compressed.

A serializer is chosen by its type string, `Serializer(type="json")`, and can be extended: a
subclass with a `type` of its own is found by that string as soon as it is defined. What a record
says about its serializer is `model_dump()`; `Serializer(**that)` gives an equal one back.
"""

import base64
import copy
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Self

from penstock.base.lazy import LazyModule
from penstock.json_objects import json_object_decoder, json_object_encoder
from penstock.schemas.errors import SerializationError

if TYPE_CHECKING:
    import json
else:
    json = LazyModule("json")

_types: dict[str, type["Serializer"]] = {}


class Serializer:
    """Turns objects into bytes and back. Fields are the annotated names of the class.

    `Serializer(type=..., **fields)` makes the subclass with that type; a type that nobody defined
    gives an `UnknownSerializer`, which raises only when it is used. Unknown fields are refused.
    """

    type: str
    _fields: ClassVar[tuple[str, ...]] = ("type",)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = [name for name in vars(cls).get("__annotations__", {}) if name[0] != "_"]
        cls._fields = (*cls._fields, *(name for name in own if name not in cls._fields))
        if isinstance(cls.__dict__.get("type"), str):
            _types[cls.type] = cls

    def __new__(cls, *args: Any, **fields: Any) -> Self:
        if cls is Serializer:
            kind = fields.get("type")
            if not isinstance(kind, str):
                raise TypeError("a serializer needs a type, for example Serializer(type='json')")
            chosen: Any = _types.get(kind, UnknownSerializer)
            return object.__new__(chosen)
        return object.__new__(cls)

    def __init__(self, **fields: Any) -> None:
        for name in self._fields:
            if name in fields:
                value = fields.pop(name)
                if name == "type" and value != getattr(type(self), "type", value):
                    raise ValueError(f"{type(self).__name__} has type {type(self).type!r}")
            elif hasattr(type(self), name):
                default = getattr(type(self), name)
                value = copy.copy(default) if isinstance(default, dict | list) else default
            else:
                raise TypeError(f"{type(self).__name__} needs the field {name!r}")
            setattr(self, name, value)
        if fields:
            raise TypeError(f"{type(self).__name__} has no field {min(fields)!r}")

    def dumps(self, obj: Any) -> bytes:
        """`obj` as bytes. Raises what the format raises for an object it cannot say."""
        raise NotImplementedError

    def loads(self, blob: bytes) -> Any:
        """The object that `dumps` made `blob` of."""
        raise NotImplementedError

    def model_dump(self) -> dict[str, Any]:
        """The fields, as JSON values."""
        values = {name: getattr(self, name) for name in self._fields}
        return {
            name: value.model_dump() if isinstance(value, Serializer) else value
            for name, value in values.items()
        }

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), self.type))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._fields)
        return f"{type(self).__name__}({fields})"


class UnknownSerializer(Serializer):
    """Stands for a serializer that is not defined here; keeps its fields, refuses to work."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)
        self._fields = tuple(fields)  # type: ignore[misc] (each one has the fields it was given)

    def _refuse(self) -> SerializationError:
        return SerializationError(
            f"the serializer type {self.type!r} is not known here; import the module that "
            "defines it before using its results"
        )

    def dumps(self, obj: Any) -> bytes:
        raise self._refuse()

    def loads(self, blob: bytes) -> Any:
        raise self._refuse()


class PickleSerializer(Serializer):
    """Pickles, as lines of base64. `picklelib` is any module with `dumps` and `loads`."""

    type: str = "pickle"
    picklelib: str = "cloudpickle"
    picklelib_version: str | None = None

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        if self.picklelib != "cloudpickle":
            _library(self.picklelib, "dumps", "loads")

    def dumps(self, obj: Any) -> bytes:
        return base64.encodebytes(import_module(self.picklelib).dumps(obj))

    def loads(self, blob: bytes) -> Any:
        return import_module(self.picklelib).loads(base64.decodebytes(blob))


class JSONSerializer(Serializer):
    """JSON. What JSON cannot say goes through `object_encoder` and comes back through
    `object_decoder`, both given by their dotted names or None."""

    type: str = "json"
    jsonlib: str = "json"
    object_encoder: str | None = "penstock.serializers.penstock_json_object_encoder"
    object_decoder: str | None = "penstock.serializers.penstock_json_object_decoder"
    dumps_kwargs: dict[str, Any] = {}
    loads_kwargs: dict[str, Any] = {}

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        if "default" in self.dumps_kwargs and self.object_encoder is not None:
            raise ValueError("give `object_encoder` instead of `default` in dumps_kwargs")
        if "object_hook" in self.loads_kwargs and self.object_decoder is not None:
            raise ValueError("give `object_decoder` instead of `object_hook` in loads_kwargs")
        if self.jsonlib != "json":
            _library(self.jsonlib, "dumps", "loads")

    def dumps(self, obj: Any) -> bytes:
        kwargs = dict(self.dumps_kwargs)
        if self.object_encoder is not None:
            kwargs["default"] = _named(self.object_encoder)
        text = import_module(self.jsonlib).dumps(obj, **kwargs)
        return text if isinstance(text, bytes) else text.encode()

    def loads(self, blob: bytes) -> Any:
        kwargs = dict(self.loads_kwargs)
        if self.object_decoder is not None:
            kwargs["object_hook"] = _named(self.object_decoder)
        return import_module(self.jsonlib).loads(blob.decode(), **kwargs)


class CompressedSerializer(Serializer):
    """Another serializer's bytes, compressed and in base64.

    `compressionlib` is any module with `compress` and `decompress`.
    """

    type: str = "compressed"
    serializer: Serializer
    compressionlib: str = "lzma"

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        inner: Any = self.serializer
        if isinstance(inner, str):
            inner = Serializer(type=inner)
        elif isinstance(inner, dict):
            inner = Serializer(**inner)
        self.serializer = inner
        if self.compressionlib != "lzma":
            _library(self.compressionlib, "compress", "decompress")

    def dumps(self, obj: Any) -> bytes:
        blob = self.serializer.dumps(obj)
        return base64.encodebytes(import_module(self.compressionlib).compress(blob))

    def loads(self, blob: bytes) -> Any:
        plain = import_module(self.compressionlib).decompress(base64.decodebytes(blob))
        return self.serializer.loads(plain)


class CompressedPickleSerializer(CompressedSerializer):
    type: str = "compressed/pickle"
    serializer: Serializer = PickleSerializer()


class CompressedJSONSerializer(CompressedSerializer):
    type: str = "compressed/json"
    serializer: Serializer = JSONSerializer()


def resolve_serializer(serializer: Serializer | str | dict[str, Any]) -> Serializer:
    """A serializer for itself, for its type string, or for the fields a record holds."""
    if isinstance(serializer, Serializer):
        return serializer
    if isinstance(serializer, str):
        if serializer not in _types:
            known = ", ".join(sorted(_types))
            raise ValueError(f"serializer type {serializer!r} is not known; use one of {known}")
        return Serializer(type=serializer)
    return Serializer(**serializer)


def penstock_json_object_encoder(obj: Any) -> Any:
    """`obj` as JSON values that say its class. Raises `TypeError` when that is not possible."""
    return json_object_encoder(obj)


def penstock_json_object_decoder(result: dict[str, Any]) -> Any:
    """The object that an encoded dictionary stands for; other dictionaries as they are."""
    return json_object_decoder(result)


def _library(name: str, *functions: str) -> None:
    try:
        module = import_module(name)
    except ImportError as error:
        raise ValueError(f"the library {name!r} cannot be imported; install it") from error
    for function in functions:
        if not callable(getattr(module, function, None)):
            raise ValueError(f"the library {name!r} has no {function!r}; choose another one")


def _named(path: str) -> Any:
    # Records written by the peer name its module; the functions are the same.
    path = path.replace("prefect.serializers.prefect_json", "penstock.serializers.penstock_json")
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
