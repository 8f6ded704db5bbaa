"""Putting one deployment into a project file, and changing no byte that is not its own.

The file is text with places in it, not data that is written out again: comments, order, quoting,
indentation, anchors and line ends of everything else stay because they are never touched. Before
the result is used it is read again; unless it holds exactly what was asked for, and everything
else as it was, it is refused.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from penstock.deployments.project import writing
from penstock.deployments.project.document import BOM, Document, Node, ProjectFileError

DEPLOYMENTS = "deployments"


class Change(NamedTuple):
    """`text` in the place of what stands from `start` to `end`."""

    start: int
    end: int
    text: str


def save_deployment(path: Path, entry: Mapping[str, Any]) -> bool:
    """Puts `entry` into the project file at `path`; whether that changed anything.

    It replaces the entry with the same name and entrypoint, and is added after the last one when
    there is none. The file is replaced as a whole or not at all. Raises `ProjectFileError` when
    the file cannot be read, or holds things that cannot be changed one by one.
    """
    before = path.read_bytes()
    document = Document.read(path)
    after = with_deployment(document, entry).encode("utf-8")
    if after == before:
        return False
    writing.replace_file(path, after, expected=before)
    return True


def with_deployment(document: Document, entry: Mapping[str, Any]) -> str:
    """The text of the file with `entry` in it; see `save_deployment`."""
    entry = dict(entry)
    data = {} if document.data is None else document.data
    if not isinstance(data, Mapping):
        raise ProjectFileError(
            "a project file is a mapping with `deployments` in it", document.path
        )
    listed = data.get(DEPLOYMENTS)
    if listed is not None and not isinstance(listed, list):
        raise ProjectFileError(
            "`deployments` is no list", document.path, document.place([DEPLOYMENTS])
        )
    index = position_of(listed or [], entry)
    expected = {**data, DEPLOYMENTS: list(listed or [])}
    if index is None:
        expected[DEPLOYMENTS].append(entry)
    else:
        if same(expected[DEPLOYMENTS][index], entry):
            return (BOM if document.bom else "") + document.text
        expected[DEPLOYMENTS][index] = entry
    text = _applied(document.text, _Editor(document).changes(index, entry))
    _verify(document, text, expected)
    return (BOM if document.bom else "") + text


def position_of(listed: list[Any], entry: Mapping[str, Any]) -> int | None:
    """Where the deployment with this name and entrypoint stands in the list."""
    for index, one in enumerate(listed):
        if isinstance(one, Mapping) and all(
            one.get(key) == entry.get(key) for key in ("name", "entrypoint")
        ):
            return index
    return None


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal and of the same kind: 1, 1.0 and true are three values."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and (a == b or (a != a and b != b))


def _applied(text: str, changes: list[Change]) -> str:
    for change in sorted(changes, reverse=True):
        text = text[: change.start] + change.text + text[change.end :]
    return text


def _verify(document: Document, text: str, expected: Any) -> None:
    try:
        found = Document(text, document.path).data
    except ProjectFileError as error:
        raise _refusal(document, f"the result would be unreadable ({error.reason})") from None
    if not same(found, expected):
        raise _refusal(document, "it shares anchors, or a block of text, with other parts")


def _refusal(document: Document, why: str) -> ProjectFileError:
    return ProjectFileError(
        f"the deployment cannot be saved here without changing something else: {why}; write it "
        "into the file by hand",
        document.path,
        document.place([DEPLOYMENTS]),
    )


class _Editor:
    """Finds the changes of the text that make the change of the data."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.text = document.text
        self.newline = document.newline

    def changes(self, index: int | None, entry: Mapping[str, Any]) -> list[Change]:
        root = self.document.root
        if root is None or root.kind == "scalar":
            return [self._at_the_end(writing.member(DEPLOYMENTS, [entry], 0))]
        pair = root.member(DEPLOYMENTS)
        if pair is None:
            return self._new_key(root, entry)
        key, value = pair
        if value.kind == "alias":
            raise _refusal(self.document, "`deployments` is an alias")
        if value.kind == "scalar" or not value.items:
            return self._first_entry(root, key, value, entry)
        if index is None:
            return [self._appended(value, entry)]
        old = self.document.data[DEPLOYMENTS][index]
        return self._item(value, index, old, entry)

    # --- the list is not there yet ---------------------------------------------------------------

    def _at_the_end(self, lines: list[str]) -> Change:
        end = len(self.text)
        open_line = bool(self.text) and self.text[-1] not in "\r\n"
        before = self.newline if open_line else ""
        if self.text.strip() and not re.search(r"(\r\n|\n|\r)[ \t]*(\r\n|\n|\r)$", self.text):
            before += self.newline
        return Change(end, end, before + self.newline.join(lines) + self.newline)

    def _new_key(self, root: Node, entry: Mapping[str, Any]) -> list[Change]:
        if root.flow:
            pair = f'"{DEPLOYMENTS}": [{writing.flow(entry)}]'
            return [self._into_flow(root, pair)]
        indent = self._column(root.members[0][0].start)
        lines = writing.member(DEPLOYMENTS, [entry], indent)
        rest = self.text[root.end :]
        if re.search(r"^(?:\.\.\.|---)", rest, re.MULTILINE):
            return [self._below(root.end, lines)]
        return [self._at_the_end(lines)]

    def _first_entry(
        self, root: Node, key: Node, value: Node, entry: Mapping[str, Any]
    ) -> list[Change]:
        held = self.text[value.start : value.end]
        if root.flow or (value.kind == "sequence" and re.search(r"[#\r\n]", held)):
            if value.kind == "sequence":
                return [self._into_flow(value, writing.flow(entry))]
            space = "" if self.text[value.start - 1].isspace() else " "
            return [Change(value.start, value.end, f"{space}[{writing.flow(entry)}]")]
        column = self._column(key.start)
        lines = writing.entry(entry, column + writing.STEP)
        changes = [self._below(value.end, lines, owned_beyond=column)]
        colon = self.document.behind(":", key.end)
        if held:
            changes.append(Change(colon, value.end, ""))
        return changes

    # --- one more --------------------------------------------------------------------------------

    def _appended(self, listed: Node, entry: Mapping[str, Any]) -> Change:
        if listed.flow:
            return self._into_flow(listed, writing.flow(entry))
        dash = self._dash(listed, len(listed.items) - 1)
        column = self._column(dash)
        lines = writing.entry(entry, column)
        if len(listed.items) > 1:
            between = self.text[listed.items[-2].end : dash]
            if re.search(r"(?:\r\n|\n|\r)[ \t]*(?:\r\n|\n|\r)", between):
                lines = ["", *lines]
        return self._below(listed.items[-1].end, lines, owned_beyond=column)

    def _into_flow(self, node: Node, text: str) -> Change:
        """Adds an item before the closing bracket, on a line of its own if that has one."""
        close = node.end - 1
        last = (
            (node.members[-1][1] if node.members else node.items[-1]).end
            if (node.members or node.items)
            else self.text.index("[" if node.kind == "sequence" else "{", node.start) + 1
        )
        filled = bool(node.members or node.items)
        tail = self.text[last:close]
        comma = filled and "," in re.sub(r"(?<!\S)#[^\r\n]*", "", tail)
        begin = self._line_start(close)
        if begin > last:
            # The bracket has its own line; the lines before it stay as they are.
            pad = re.match(r"[ \t]*", self.text[begin:])
            indent = (pad[0] if pad else "") + " " * writing.STEP
            lead = "" if not filled or comma else ", "
            return Change(begin, begin, f"{indent}{lead}{text}{self.newline}")
        lead = "" if not filled else (" " if comma else ", ")
        return Change(close, close, lead + text)

    # --- another content -------------------------------------------------------------------------

    def _value(self, node: Node, old: Any, new: Any, indent: int) -> list[Change] | None:
        """The changes inside `node` that make `new` of `old`; None when it is to be rewritten."""
        if same(old, new):
            return []
        if node.flow or node.kind not in ("mapping", "sequence") or not new:
            return None
        if node.kind == "mapping" and isinstance(old, Mapping) and isinstance(new, Mapping):
            return self._members(node, old, new)
        if node.kind == "sequence" and isinstance(old, list) and isinstance(new, list | tuple):
            return self._items(node, old, new)
        return None

    def _members(
        self, node: Node, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> list[Change] | None:
        column = self._column(node.members[0][0].start)
        changes: list[Change] = []
        written = {key.value: (key, value) for key, value in node.members}
        kept = [key for key, _ in node.members if key.value == "<<" or key.value in new]
        if not kept:
            return None
        for name, wanted in new.items():
            if name not in written:
                continue
            key, value = written[name]
            inner = self._value(value, old.get(name), wanted, column)
            if inner is not None:
                changes += inner
                continue
            colon = self.document.behind(":", key.end)
            changes.append(Change(colon, self._end(value), self._beside(wanted, column, value)))
        first = node.members[0][0]
        if first not in kept:
            # The first key may stand beside a dash, so what follows moves into its place.
            changes.append(Change(first.start, kept[0].start, ""))
        changes += [
            self._without(key, value)
            for key, value in node.members
            if key not in kept and key.start > kept[0].start
        ]
        lines = [
            line
            for name, wanted in new.items()
            if name not in written and not (name in old and same(old[name], wanted))
            for line in writing.member(name, wanted, column)
        ]
        if lines:
            changes.append(self._below(node.end, lines))
        return changes

    def _items(self, node: Node, old: list[Any], new: Any) -> list[Change]:
        changes: list[Change] = []
        for index in range(min(len(node.items), len(new))):
            changes += self._item(node, index, old[index], new[index])
        column = self._column(self._dash(node, 0))
        for index in range(len(new), len(node.items)):
            start = self._line_start(self._dash(node, index))
            changes.append(Change(start, self._next_line(node.items[index].end), ""))
        lines = [line for item in new[len(node.items) :] for line in writing.entry(item, column)]
        if lines:
            changes.append(self._below(node.end, lines))
        return changes

    def _item(self, listed: Node, index: int, old: Any, new: Any) -> list[Change]:
        item = listed.items[index]
        inner = self._value(item, old, new, 0)
        if inner is not None:
            return inner
        if listed.flow or item.flow:
            return [Change(item.start, item.end, writing.flow_item(new))]
        dash = self._dash(listed, index)
        lines = writing.entry(new, self._column(dash), literal=not self._is_followed(item))
        lines[0] = lines[0].lstrip()
        return [Change(dash, self._end(item), self.newline.join(lines))]

    def _beside(self, value: Any, column: int, old: Node) -> str:
        """The text behind a key's colon."""
        lines = writing.member("k", value, column, literal=not self._is_followed(old))
        lines[0] = lines[0].lstrip().removeprefix("k:")
        return self.newline.join(lines)

    def _is_followed(self, node: Node) -> bool:
        """Whether a comment, or the end of the file, stands behind a value on its last line. A
        block of text there would take the one in and miss its last line end at the other."""
        end = self._end(node)
        return self.text[end : end + 1] not in ("\r", "\n")

    def _without(self, key: Node, value: Node) -> Change:
        return Change(self._line_start(key.start), self._next_line(value.end), "")

    # --- places in the text ----------------------------------------------------------------------

    def _below(self, offset: int, lines: list[str], *, owned_beyond: int | None = None) -> Change:
        """Puts `lines` below the line of `offset`, and below the comments that belong to it:
        those that are indented further than `owned_beyond`."""
        at = self._next_line(offset)
        if owned_beyond is not None:
            at = self._behind_comments(at, owned_beyond)
        open_line = bool(at) and self.text[at - 1] not in "\r\n"
        before = self.newline if open_line else ""
        return Change(at, at, before + self.newline.join(lines) + self.newline)

    def _behind_comments(self, at: int, column: int) -> int:
        end = at
        line = re.compile(r"([ \t]*)(#[^\r\n]*)?(\r\n|\n|\r|\Z)")
        while at < len(self.text):
            found = line.match(self.text, at)
            if found is None or (found[2] and len(found[1]) <= column):
                break
            at = found.end()
            if found[2]:
                end = at
        return end

    def _dash(self, listed: Node, index: int) -> int:
        begin = listed.items[index - 1].end if index else listed.start
        if not index and listed.anchor is not None:
            prefix = re.compile(r"(?:[&!][^\s]*\s+)+").match(self.text, begin)
            begin = prefix.end() if prefix else begin
        return self.document.behind("-", begin) - 1

    def _end(self, node: Node) -> int:
        """The end of a value without the line ends that a kept block holds."""
        end = node.end
        while end > node.start and self.text[end - 1] in "\r\n":
            end -= 1
        return end

    def _column(self, offset: int) -> int:
        return offset - self._line_start(offset)

    def _line_start(self, offset: int) -> int:
        while offset and self.text[offset - 1] not in "\r\n":
            offset -= 1
        return offset

    def _next_line(self, offset: int) -> int:
        """The beginning of the line below the one that ends what stands before `offset`."""
        if offset and self.text[offset - 1] in "\r\n":
            return offset
        found = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)?").match(self.text, offset)
        return found.end() if found else len(self.text)
