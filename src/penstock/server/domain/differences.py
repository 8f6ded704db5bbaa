"""What changed between two versions of an object, as a list that can be applied again.

Paths are JSON pointers (RFC 6901). Objects are compared member by member, everything else as a
whole. A member that appears has no `from`, one that goes has no `to`.
"""

from collections.abc import Iterator
from typing import Any

Change = dict[str, Any]


def differences(before: Any, after: Any) -> list[Change]:
    """Changes that turn `before` into `after`, ordered by path; empty when they are equal."""
    return sorted(_walk("", before, after), key=lambda change: change["path"])


def applied(value: Any, changes: list[Change]) -> Any:
    """`value` with the changes made; the inverse of `differences`."""
    for change in changes:
        value = _applied(value, _parts(change["path"]), change)
    return value


def _walk(path: str, before: Any, after: Any) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before.keys() | after.keys():
            below = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
            if name not in after:
                yield {"path": below, "from": before[name]}
            elif name not in before:
                yield {"path": below, "to": after[name]}
            else:
                yield from _walk(below, before[name], after[name])
    elif before != after or type(before) is not type(after):
        yield {"path": path, "from": before, "to": after}


def _parts(path: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _applied(value: Any, parts: list[str], change: Change) -> Any:
    if not parts:
        return change.get("to")
    name, *rest = parts
    result = dict(value or {})
    if rest or "to" in change:
        result[name] = _applied(result.get(name), rest, change)
    else:
        result.pop(name, None)
    return result
