"""Digests of values: the same value gives the same text in every process.

A value is hashed by its JSON form, and by its pickle when JSON cannot say it. The digest names
things, it protects nothing.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from penstock.base.lazy import LazyModule
from penstock.schemas.errors import HashError

if TYPE_CHECKING:
    import hashlib
    import json
    import pathlib

    import cloudpickle

    from penstock import json_objects
else:
    # Whoever declares a task can name this module without paying for what digests need.
    cloudpickle = LazyModule("cloudpickle")  # only for values that JSON cannot say
    hashlib = LazyModule("hashlib")  # loads all of OpenSSL
    json = LazyModule("json")
    json_objects = LazyModule("penstock.json_objects")
    pathlib = LazyModule("pathlib")

Algorithm = Callable[..., Any]


def default_algorithm(data: bytes = b"") -> Any:
    """An MD5 digest, which is short and fast, and here protects nothing."""
    return hashlib.md5(data, usedforsecurity=False)


@cache
def _writer() -> Callable[[Any], str]:
    return json.JSONEncoder(sort_keys=True, default=json_objects.json_object_encoder).encode


def stable_hash(*args: str | bytes, hash_algo: Algorithm = default_algorithm) -> str:
    """The hexadecimal digest of the texts, one after the other."""
    digest = hash_algo()
    for item in args:
        digest.update(item.encode() if isinstance(item, str) else item)
    return digest.hexdigest()


def file_hash(path: "str | pathlib.Path", hash_algo: Algorithm = default_algorithm) -> str:
    """The hexadecimal digest of a file's content."""
    return stable_hash(pathlib.Path(path).read_bytes(), hash_algo=hash_algo)


def hash_objects(
    *args: Any,
    hash_algo: Algorithm = default_algorithm,
    raise_on_failure: bool = False,
    **kwargs: Any,
) -> str | None:
    """The digest of any values, or None when they can be written neither as JSON nor as pickle.

    With `raise_on_failure`, raises `HashError` instead of giving None.
    """
    values = (args, kwargs)
    try:
        if _keys_are_text(values):
            return hash_algo(_writer()(values).encode()).hexdigest()
    except (TypeError, ValueError, RecursionError):
        pass
    try:
        return hash_algo(cloudpickle.dumps(values)).hexdigest()
    except Exception as error:
        # A pickle runs the values' own code, which may raise anything.
        if raise_on_failure:
            raise HashError(
                f"no digest can be made: the value is neither JSON nor picklable ({error}); "
                "leave it out of the cache key or give a `cache_key_fn`"
            ) from error
    return None


def _keys_are_text(value: Any) -> bool:
    # JSON writes the keys 1 and "1" alike; values that differ must not share a digest.
    kind = type(value)
    if kind is dict:
        return all(type(key) is str for key in value) and all(map(_keys_are_text, value.values()))
    if kind is list or kind is tuple:
        return all(map(_keys_are_text, value))
    return True
