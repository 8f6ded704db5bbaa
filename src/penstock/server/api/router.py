"""Finding the operation of a path, by walking its segments through a tree.

A literal segment wins over a parameter. Where two patterns fit a path, the first one that serves
the method is taken, so `GET /input/{key}` with the key `filter` is found beside
`POST /input/filter`.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar
from uuid import UUID

T = TypeVar("T")

_UUID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")


def uuid_segment(segment: str) -> str | None:
    """The canonical form of a segment that is shaped like a UUID, else None."""
    if len(segment) == 36 and _UUID.fullmatch(segment):
        canonical = segment.lower()
        if canonical[8] == canonical[13] == canonical[18] == canonical[23] == "-":
            return canonical
    if _UUID.fullmatch(segment):
        return str(UUID(segment.replace("-", "")))
    return None


def text_segment(segment: str) -> str | None:
    """Any segment that is not empty. NUL, which no database text holds, becomes U+FFFD."""
    return segment.replace("\0", "\ufffd") if segment else None


def _parser(type: Any) -> Callable[[str], str | None]:
    return uuid_segment if type is UUID else text_segment


class _Node(Generic[T]):
    __slots__ = ("children", "parameters", "targets")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.parameters: dict[Callable[[str], str | None], _Node[T]] = {}
        self.targets: dict[str, T] = {}


class Match(Generic[T]):
    """What a path led to. `target` is None when the path exists for other methods only."""

    __slots__ = ("allowed", "params", "target")

    def __init__(self, target: T | None, params: list[str], allowed: frozenset[str]) -> None:
        self.target = target
        self.params = params
        self.allowed = allowed


class Router(Generic[T]):
    """Targets by method and path pattern. Lookup costs one dictionary access per segment."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, method: str, path: str, types: tuple[Any, ...], target: T) -> None:
        """Register `target`. Raises `ValueError` when the method and pattern are taken."""
        node = self._root
        remaining = iter(types)
        for segment in path.split("/")[1:]:
            if segment.startswith("{"):
                node = node.parameters.setdefault(_parser(next(remaining)), _Node())
            else:
                node = node.children.setdefault(segment, _Node())
        if method in node.targets:
            raise ValueError(f"{method} {path} is routed twice; rename one of the operations")
        node.targets[method] = target

    def find(self, method: str, path: str) -> Match[T] | None:
        """The match of `path`, or None when no pattern fits it under any method."""
        allowed: set[str] = set()
        for node, params in _walk(self._root, path.split("/"), 1, []):
            target = node.targets.get(method)
            if target is not None:
                return Match(target, params, frozenset())
            allowed.update(node.targets)
        return Match(None, [], frozenset(allowed)) if allowed else None

    def slash_twin(self, path: str) -> str | None:
        """The path with its final slash added or removed, when that one is registered."""
        twin = path[:-1] if path.endswith("/") else path + "/"
        if not twin:
            return None
        return twin if self.find("", twin) is not None else None


def _walk(
    node: _Node[T], segments: list[str], index: int, params: list[str]
) -> Iterator[tuple[_Node[T], list[str]]]:
    """Every node that `segments` lead to, the most literal first."""
    if index == len(segments):
        if node.targets:
            yield node, params
        return
    segment = segments[index]
    child = node.children.get(segment)
    if child is not None:
        yield from _walk(child, segments, index + 1, params)
    for parse, below in node.parameters.items():
        value = parse(segment)
        if value is not None:
            yield from _walk(below, segments, index + 1, [*params, value])
