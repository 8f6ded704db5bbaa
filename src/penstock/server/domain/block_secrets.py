"""The secrets in a block document's data: where they are, hiding them, keeping hidden ones.

A schema names them by path: `password`, `auth.token`, `headers.*` for every member of an object.
A path goes through lists to each of their items. A path that leads nowhere means nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any

from penstock.server.domain.redaction import HIDDEN, names_secret

Path = tuple[str, ...]
Paths = tuple[Path, ...]


def secret_paths(fields: Mapping[str, Any]) -> Paths:
    """The paths of a schema's secrets, each once."""
    given = fields.get("secret_fields")
    if not isinstance(given, list):
        return ()
    return tuple(dict.fromkeys(tuple(path.split(".")) for path in given if isinstance(path, str)))


def changed_at(value: Any, path: Path, change: Callable[[Any], Any]) -> Any:
    """A copy of `value` with `change` made to everything but null at `path`."""
    if not path:
        return value if value is None else change(value)
    if isinstance(value, list):
        return [changed_at(item, path, change) for item in value]
    if not isinstance(value, dict):
        return value
    name, *rest = path
    below = tuple(rest)
    return {
        key: changed_at(item, below, change) if name in ("*", key) else item
        for key, item in value.items()
    }


def masked(data: Any, paths: Paths) -> Any:
    """`data` with asterisks in place of its secrets."""
    for path in paths:
        data = changed_at(data, path, lambda _: HIDDEN)
    return data


def unmasked(new: Any, old: Any, paths: Paths) -> Any:
    """`new` with the secrets of `old` where it has only asterisks, as whoever read it masked does.

    Where `old` has no value there, the member is dropped.
    """
    for path in paths:
        new = _restored(new, old, path)
    return new


_NOTHING = object()


def _restored(new: Any, old: Any, path: Path) -> Any:
    if not path:
        return old if new == HIDDEN else new
    if isinstance(new, list):
        before = old if isinstance(old, list) and len(old) == len(new) else [_NOTHING] * len(new)
        pairs = zip(new, before, strict=True)
        return [item for item in (_restored(one, was, path) for one, was in pairs) if kept(item)]
    if not isinstance(new, dict):
        return new
    name, *rest = path
    result = {}
    for key, item in new.items():
        if name in ("*", key):
            was = old.get(key, _NOTHING) if isinstance(old, dict) else _NOTHING
            item = _restored(item, was, tuple(rest))
        if kept(item):
            result[key] = item
    return result


def kept(item: Any) -> bool:
    return item is not _NOTHING


def public_texts(data: Mapping[str, Any], paths: Paths) -> dict[str, str]:
    """What may be told about data: its outermost texts that neither schema nor name make secret."""
    secret = {path[0] for path in paths}
    every = "*" in secret
    return {
        name: value
        for name, value in data.items()
        if isinstance(value, str) and not every and name not in secret and not names_secret(name)
    }
