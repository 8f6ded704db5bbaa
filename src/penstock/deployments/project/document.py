"""A project file as text, as data, and as a tree that knows where every value stands.

The data is what YAML 1.1 makes of it, which existing project files are written for: `no` is false.
Two entries of one mapping under the same key are an error, because one of them would be lost.
"""

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.parser import Parser
from ruamel.yaml.resolver import VersionedResolver

from penstock.schemas.errors import PenstockException

BOM = "\ufeff"
MOST_VALUES = 100_000
Key = str | int
Path_ = Sequence[Key]


class Position(NamedTuple):
    """A place in a file; both count from one."""

    line: int
    column: int


class ProjectFileError(PenstockException):
    """A project file cannot be read or changed. The message names the file and the place."""

    code = "project_file"

    def __init__(self, message: str, path: Path | str = "", position: Position | None = None):
        place = f"{path}:{position.line}:{position.column}" if position else str(path)
        super().__init__(f"{place}: {message}" if place else message)
        self.path = path
        self.position = position
        self.reason = message


class Node:
    """A value in the text from `start` to `end`, without comments and blank lines after it.

    `items` are the values of a sequence, `members` the pairs of a mapping; an alias has neither
    and the name of its anchor as `alias`.
    """

    __slots__ = ("alias", "anchor", "end", "flow", "items", "kind", "members", "start", "value")

    def __init__(self, kind: str, start: int, end: int) -> None:
        self.kind = kind
        self.start = start
        self.end = end
        self.flow = False
        self.anchor: str | None = None
        self.alias: str | None = None
        self.value: str | None = None
        self.items: list[Node] = []
        self.members: list[tuple[Node, Node]] = []

    def member(self, key: str) -> "tuple[Node, Node] | None":
        """The key and the value under `key`, written out here (not merged in)."""
        return next((pair for pair in self.members if pair[0].value == key), None)

    def __iter__(self) -> "Iterator[Node]":
        """This node and all below it."""
        yield self
        for item in self.items:
            yield from item
        for key, value in self.members:
            yield from key
            yield from value


class Document:
    """A project file. `text` is its text without a byte order mark."""

    __slots__ = ("anchors", "bom", "data", "newline", "path", "root", "text")

    def __init__(self, text: str, path: Path | str = "") -> None:
        """Raises `ProjectFileError` with the place of what cannot be read."""
        self.path = path
        self.bom = text.startswith(BOM)
        self.text = text.removeprefix(BOM)
        found = re.search(r"\r\n|\n|\r", self.text)
        self.newline = found[0] if found else os.linesep
        self.anchors: dict[str, Node] = {}
        self.data, events = self._load()
        self.root = self._tree(events)

    @classmethod
    def read(cls, path: Path) -> "Document":
        """The file at `path`. Raises `ProjectFileError`, `OSError`."""
        try:
            return cls(path.read_bytes().decode("utf-8"), path)
        except UnicodeDecodeError as error:
            raise ProjectFileError(
                f"the file is not UTF-8 (byte {error.start}); save it as UTF-8", path
            ) from None

    # --- reading ---------------------------------------------------------------------------------

    def _load(self) -> tuple[Any, list[Any]]:
        yaml = YAML(typ="safe", pure=True)
        yaml.Resolver = _Resolver
        yaml.Parser = _Parser
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                data = yaml.load(self.text)
            if _size(data, {}) > MOST_VALUES:
                raise ValueError(f"its aliases stand for more than {MOST_VALUES} values")
            return data, yaml.parser.events
        except MarkedYAMLError as error:
            raise self._unreadable(error) from None
        except YAMLError as error:
            raise ProjectFileError(f"this is no YAML: {error}", self.path) from None
        except (RecursionError, ValueError, TypeError) as error:
            raise ProjectFileError(f"this cannot be read as YAML: {error}", self.path) from None

    def _unreadable(self, error: MarkedYAMLError) -> ProjectFileError:
        mark = error.problem_mark or error.context_mark
        position = Position(mark.line + 1, mark.column + 1) if mark is not None else None
        said = error.problem or error.context or "this is no YAML"
        if "duplicate key" in said:
            said += "; keep one of them"
        if "another document" in said or (error.context or "").startswith("expected a single"):
            said = "a project file is one YAML document; remove the second one"
        return ProjectFileError(said, self.path, position)

    def _tree(self, events: list[Any]) -> Node | None:
        stack: list[Node] = []
        keys: list[Node | None] = []
        root: Node | None = None

        def put(node: Node) -> None:
            nonlocal root
            if not stack:
                root = node
                return
            parent = stack[-1]
            if node.kind == "scalar" and node.start == node.end and node.value == "":
                # The parser puts a value that is not there where the next thing begins.
                node.start = node.end = self._empty_place(parent, keys[-1])
            if parent.kind == "sequence":
                parent.items.append(node)
            elif keys[-1] is None:
                keys[-1] = node
            else:
                parent.members.append((keys[-1], node))
                keys[-1] = None

        for event in events:
            kind = type(event).__name__
            if kind in ("ScalarEvent", "AliasEvent"):
                node = Node("scalar", event.start_mark.index, event.end_mark.index)
                if kind == "AliasEvent":
                    node.kind, node.alias = "alias", str(event.anchor)
                else:
                    node.value = event.value
                    if event.style in ("|", ">"):
                        node.end = self._block_end(node.start, node.end)
                self._anchored(node, event)
                put(node)
            elif kind in ("MappingStartEvent", "SequenceStartEvent"):
                node = Node(
                    "mapping" if kind.startswith("M") else "sequence",
                    event.start_mark.index,
                    event.end_mark.index,
                )
                node.flow = bool(event.flow_style)
                self._anchored(node, event)
                put(node)
                stack.append(node)
                keys.append(None)
            elif kind in ("MappingEndEvent", "SequenceEndEvent"):
                node = stack.pop()
                keys.pop()
                if node.flow:
                    node.end = event.end_mark.index
                else:
                    below = [value for _, value in node.members] or node.items
                    node.end = max(node.end, below[-1].end) if below else node.end
                    if node.items:
                        # A last item that is empty ends with its dash, which has no node.
                        node.end = max(node.end, node.items[-1].end)
        return root

    def _empty_place(self, parent: Node, key: Node | None) -> int:
        """Behind the colon or the dash that the missing value belongs to."""
        if parent.kind == "mapping":
            if key is None:
                return parent.members[-1][1].end if parent.members else parent.start
            return self.behind(":", key.end)
        previous = parent.items[-1].end if parent.items else parent.start
        return self.behind("-", previous)

    def behind(self, mark: str, offset: int) -> int:
        """Behind the next `mark` after blanks, line ends and comments; `offset` without one."""
        found = re.compile(r"(?:\s|(?<=\s)#[^\r\n]*)*" + re.escape(mark)).match(self.text, offset)
        return found.end() if found else offset

    def _block_end(self, start: int, end: int) -> int:
        """The end of a block scalar: its last line of content; blank ones count with `|+`."""
        header = re.match(r"[^\r\n]*", self.text[start:end])
        body = self.text[start:end]
        if header is not None and re.search(r"[|>][0-9]?\+", header[0]):
            return start + len(body)
        return start + len(body.rstrip(" \t\r\n"))

    def _anchored(self, node: Node, event: Any) -> None:
        if node.alias is None and event.anchor:
            node.anchor = str(event.anchor)
            self.anchors[node.anchor] = node

    # --- places ----------------------------------------------------------------------------------

    def position(self, offset: int) -> Position:
        before = self.text[:offset]
        lines = re.split(r"\r\n|\n|\r", before)
        return Position(len(lines), len(lines[-1]) + 1)

    def resolved(self, node: Node) -> Node:
        """What an alias stands for; any other node itself."""
        return self.anchors.get(node.alias, node) if node.alias is not None else node

    def place(self, path: Path_) -> Position:
        """Where the value at `path` stands: its key in a mapping, its beginning in a sequence.

        For what is not there, the place of the nearest thing that would hold it.
        """
        node, offset = self.root, 0
        if node is None:
            return Position(1, 1)
        offset = node.start
        for key in path:
            found = self._step(self.resolved(node), key)
            if found is None:
                break
            offset, node = found
        return self.position(offset)

    def node(self, path: Path_) -> Node | None:
        """The value at `path`, aliases and merged mappings followed."""
        node = self.root
        for key in path:
            found = self._step(self.resolved(node), key) if node is not None else None
            if found is None:
                return None
            node = found[1]
        return node

    def _step(self, node: Node, key: Key, depth: int = 0) -> tuple[int, Node] | None:
        if isinstance(key, int):
            if node.kind == "sequence" and 0 <= key < len(node.items):
                return node.items[key].start, node.items[key]
            return None
        pair = node.member(key)
        if pair is not None:
            return pair[0].start, pair[1]
        merged = node.member("<<")
        if merged is None or depth > 50:
            return None
        source = self.resolved(merged[1])
        for one in source.items if source.kind == "sequence" else [source]:
            found = self._step(self.resolved(one), key, depth + 1)
            if found is not None:
                return found
        return None


def _size(value: Any, known: dict[int, int | None]) -> int:
    """How many values there are when every alias is written out; shared ones are looked at once.

    Raises `ValueError` for a collection that holds itself.
    """
    if not isinstance(value, dict | list):
        return 1
    size = known.setdefault(id(value), 0)
    if size is None:
        raise ValueError("an anchor is used inside itself")
    if not size:
        known[id(value)] = None
        below = value.values() if isinstance(value, dict) else value
        size = 1 + sum(_size(one, known) for one in below)
        known[id(value)] = size
    return size


class _Parser(Parser):
    """Keeps the events it gives, which know places that the data made of them does not."""

    def __init__(self, loader: Any) -> None:
        super().__init__(loader)
        self.events: list[Any] = []

    def get_event(self) -> Any:
        event = super().get_event()
        self.events.append(event)
        return event


class _Resolver(VersionedResolver):
    """Reads every document as the library does that project files were written for: YAML 1.1, but
    `y` and `n` are text, and so are floats without a dot or a sign of the exponent.

    (The library used here forgets a version it is given at a `---`.)
    """

    @property
    def processing_version(self) -> Any:
        return (1, 1)

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        tag = super().resolve(kind, value, implicit)
        name = str(tag)
        if name.endswith(":bool") and len(value) == 1:
            return self.DEFAULT_SCALAR_TAG
        if name.endswith(":float") and ("." not in value or re.search(r"[eE]\d", value)):
            return self.DEFAULT_SCALAR_TAG
        return tag
