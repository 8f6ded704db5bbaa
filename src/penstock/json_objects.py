"""How objects that JSON does not know are written into JSON and read back.

A value becomes `{"__class__": "<module>.<name>", "data": <JSON>}`, an exception
`{"__exc_type__": "<module>.<name>", "message": "<text>"}`. Sets are written in a fixed order, so
that equal values give equal text in every process.
"""

import io
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from enum import Enum
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from uuid import UUID

from penstock.base.lazy import LazyModule

if TYPE_CHECKING:
    import base64
    import dataclasses
    import decimal

    import pydantic
else:
    base64 = LazyModule("base64")
    dataclasses = LazyModule("dataclasses")
    decimal = LazyModule("decimal")
    pydantic = LazyModule("pydantic")  # a heavy import; loaded when a model comes by


def json_object_encoder(obj: Any) -> Any:
    """`obj` as JSON values that say its class. Raises `TypeError` when that is not possible."""
    if isinstance(obj, BaseException):
        return {"__exc_type__": class_path(type(obj)), "message": str(obj)}
    if isinstance(obj, io.IOBase):
        return {"__class__": class_path(type(obj)), "data": f"<{type(obj).__name__} placeholder>"}
    return {"__class__": class_path(type(obj)), "data": _data(obj)}


def json_object_decoder(result: dict[str, Any]) -> Any:
    """The object that an encoded dictionary stands for; other dictionaries as they are."""
    if "__class__" in result and "data" in result and len(result) == 2:
        return _rebuild(result["__class__"], result["data"])
    if "__exc_type__" in result and "message" in result:
        return _exception(result["__exc_type__"], result["message"])
    return result


def class_path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _data(obj: Any) -> Any:
    for kind, write in _WRITERS:
        if isinstance(obj, kind):
            return write(obj)
    if type(obj).__module__ == "decimal":
        return str(obj)
    # A model can only exist when its library has been imported.
    library = sys.modules.get("pydantic")
    if library is not None and isinstance(obj, library.BaseModel):
        return obj.model_dump(mode="json")
    if hasattr(type(obj), "__dataclass_fields__"):
        fields = type(obj).__dataclass_fields__
        return {name: getattr(obj, name) for name in fields}
    if hasattr(type(obj), "__struct_fields__"):
        return {name: getattr(obj, name) for name in type(obj).__struct_fields__}
    raise TypeError(
        f"an object of type {class_path(type(obj))} cannot be written as JSON; "
        "use the pickle serializer or return plain data"
    )


_WRITERS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (Enum, lambda obj: obj.value),
    (datetime, datetime.isoformat),
    (date, date.isoformat),
    (time, time.isoformat),
    (timedelta, timedelta.total_seconds),
    (UUID, str),
    (PurePath, str),
    ((set, frozenset), lambda obj: _in_order(obj)),
    ((bytes, bytearray), lambda obj: base64.b64encode(obj).decode()),
    (complex, lambda obj: [obj.real, obj.imag]),
    (range, lambda obj: [obj.start, obj.stop, obj.step]),
)


def _in_order(items: Any) -> list[Any]:
    try:
        return sorted(items)
    except TypeError:
        return sorted(items, key=lambda item: (class_path(type(item)), repr(item)))


_READERS: dict[str, Callable[[Any], Any]] = {
    "datetime.datetime": datetime.fromisoformat,
    "datetime.date": date.fromisoformat,
    "datetime.time": time.fromisoformat,
    "datetime.timedelta": lambda data: timedelta(seconds=data),
    "uuid.UUID": UUID,
    "builtins.set": set,
    "builtins.frozenset": frozenset,
    "builtins.bytes": lambda data: base64.b64decode(data),
    "builtins.bytearray": lambda data: bytearray(base64.b64decode(data)),
    "builtins.complex": lambda data: complex(*data),
    "builtins.range": lambda data: range(*data),
    "decimal.Decimal": lambda data: decimal.Decimal(data),
}


def _rebuild(path: str, data: Any) -> Any:
    if path in _READERS:
        return _READERS[path](data)
    cls = _class(path)
    if issubclass(cls, io.IOBase):
        return data
    if issubclass(cls, PurePath | Enum):
        return cls(data)
    if hasattr(cls, "model_validate"):
        return cls.model_validate(data)
    if hasattr(cls, "__dataclass_fields__"):
        initial = {f.name for f in cls.__dataclass_fields__.values() if f.init}
        made = cls(**{name: value for name, value in data.items() if name in initial})
        for name in data.keys() - initial:
            object.__setattr__(made, name, data[name])
        return made
    if hasattr(cls, "__struct_fields__"):
        return cls(**data)
    return pydantic.TypeAdapter(cls).validate_python(data)


def _exception(path: str, message: str) -> BaseException:
    try:
        cls = _class(path)
        if issubclass(cls, BaseException):
            made = cls(message)
            if str(made) == message or isinstance(made, KeyError):
                return made
    except (ImportError, AttributeError, TypeError, ValueError):
        pass
    # The class is gone or takes other arguments; its name and text are what can be kept.
    return Exception(f"{path}: {message}")


def _class(path: str) -> type:
    module, _, name = path.rpartition(".")
    while module:
        try:
            found: Any = import_module(module)
        except ModuleNotFoundError:
            # A class inside a class: the last part of the module is a class name.
            module, _, outer = module.rpartition(".")
            name = f"{outer}.{name}"
            continue
        for part in name.split("."):
            found = getattr(found, part)
        return found
    raise ImportError(f"the class {path!r} is in no module that can be imported here")
