"""Saving a deployment changes the lines of that deployment and no other byte.

200 files are generated, line by line, with the lines of each deployment known; beside them stand
twenty files as people write them.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from penstock.deployments.project.document import Document, ProjectFileError
from penstock.deployments.project.edit import same, save_deployment, with_deployment

NEW: dict[str, Any] = {
    "name": "added",
    "entrypoint": "flows/new.py:flow",
    "parameters": {"n": 1, "text": "a: b # c", "none": None, "on": True, "nested": {"x": [1, {}]}},
    "tags": ["a", "yes", "ünïcode ☃"],
    "schedules": [{"cron": "0 9 * * *", "timezone": "Europe/Berlin"}, {"interval": 3.5}],
    "description": "Two lines,\nthe second.\n",
    "work_pool": {"name": "local", "job_variables": {"image": "{{ build.image }}"}},
}


class Made(NamedTuple):
    """A generated file: its text, and where the lines of each deployment begin and end."""

    text: str
    entries: list[tuple[int, int]]
    data: list[dict[str, Any]]
    indent: int


class Writer:
    """Writes project files in the many ways people do."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.newline = self.random.choice(["\n", "\n", "\n", "\r\n"])
        self.lines: list[str] = []

    def maybe(self, chance: float = 0.5) -> bool:
        return self.random.random() < chance

    def noise(self, indent: int, chance: float = 0.3) -> None:
        while self.maybe(chance):
            kind = self.random.choice(
                ["", "#", "   ", "# - name: no", "#\ttab # 'quote\" {[", "# é ☃"]
            )
            self.lines.append(kind if not kind.strip() else " " * indent + kind)

    def comment(self) -> str:
        return self.random.choice(["", "", "", "  # said", " # 'x: y", "    # far", "   "])

    def quoted(self, text: str) -> str:
        return self.random.choice([text, text, f"'{text}'", f'"{text}"'])

    def file(self, count: int) -> Made:
        spec = self.random
        if self.maybe(0.2):
            self.lines.append("---" + self.comment())
        self.noise(0)
        anchored = self.maybe()
        if anchored:
            self.lines += ["definitions:", "  pool: &pool", "    name: main   # the pool", ""]
            self.lines += ["  tags: &tags [x, 'y', \"z\"]", "  base: &base {paused: no}"]
        if self.maybe():
            self.lines += [f"name:   {self.quoted('projekt-ü')}{self.comment()}"]
        if self.maybe():
            self.lines += ["pull:", "- prefect.deployments.steps.set_working_directory:",
                           "      directory:   /tmp  # odd"]  # fmt: skip
        self.noise(0)
        self.lines.append("deployments:" + self.comment())
        indent = spec.choice([0, 2, 2, 4, 3])
        space = spec.choice([1, 1, 1, 3])
        places, data = [], []
        for number in range(count):
            self.noise(indent)
            begin = len(self.lines)
            data.append(self.entry(number, indent, space, anchored))
            places.append((begin, len(self.lines)))
        self.noise(indent + 2, 0.2)
        self.noise(0, 0.2)
        if self.maybe():
            self.lines += [f"build:{self.comment()}", "# the end"]
        elif self.maybe(0.3):
            self.lines.append("...")
        text = self.newline.join(self.lines)
        # A block of text that ends with the file has another value without its line end.
        text += self.newline if self.maybe(0.8) or self.lines[-1].endswith("  two") else ""
        text = ("\ufeff" if self.maybe(0.1) else "") + text
        starts = [0]
        for line in self.lines:
            starts.append(starts[-1] + len(line) + len(self.newline))
        bom = len(text) - len(text.removeprefix("\ufeff"))
        entries = [(starts[a] + bom, starts[b] + bom) for a, b in places]
        return Made(text, entries, data, indent)

    def entry(self, number: int, indent: int, space: int, anchored: bool) -> dict[str, Any]:
        name, entrypoint = f"d{number}", f"f{number}.py:flow"
        dash, pad = " " * indent + "-" + " " * space, " " * (indent + 1 + space)
        if self.maybe(0.15):
            self.lines.append(
                f"{dash}{{name: {name}, 'entrypoint': {entrypoint} }}{self.comment()}"
            )
            return {"name": name, "entrypoint": entrypoint}
        data: dict[str, Any] = {"name": name, "entrypoint": entrypoint}
        first = [f"name: {self.quoted(name)}", f"entrypoint:   {self.quoted(entrypoint)}"]
        self.random.shuffle(first)
        own = self.maybe(0.15)
        if own:
            self.lines.append(f"{dash}&entry{number}")
        for at, text in enumerate(first):
            self.lines.append((pad if at or own else dash) + text + self.comment())
            self.noise(indent + 2, 0.15)
        if self.maybe():
            data["parameters"] = {"a": 1, "b": "x y"}
            if self.maybe():
                self.lines.append(f"{pad}parameters: {{a: 1, b: 'x y'}}{self.comment()}")
            else:
                self.lines += [f"{pad}parameters:{self.comment()}", f"{pad}   a:   1"]
                self.lines += [f"{pad}   # between", f'{pad}   b: "x y"{self.comment()}']
        if self.maybe():
            data["schedules"] = [{"cron": "0 * * * *"}, {"interval": 60}]
            deeper = pad if self.maybe() else pad + "  "
            self.lines += [f"{pad}schedules:", f"{deeper}- cron: '0 * * * *'{self.comment()}",
                           f"{deeper}- interval: 60"]  # fmt: skip
        if self.maybe(0.4):
            keep, text = self.random.choice(
                [("|", "one\ntwo\n"), ("|-", "one\ntwo"), (">", "one two\n")]
            )
            data["description"] = text
            self.lines += [f"{pad}description: {keep}", f"{pad}  one", f"{pad}  two"]
        if anchored and self.maybe():
            data["work_pool"] = {"name": "main"}
            self.lines.append(f"{pad}work_pool: *pool{self.comment()}")
        if anchored and self.maybe(0.3):
            data["paused"] = False
            self.lines.append(f"{pad}<<: *base")
        if not any(line.startswith(f"{pad}description") for line in self.lines[-3:]) and self.maybe(
            0.3
        ):
            data["version"] = "1"
            self.lines.append(f"{pad}version: '1'{self.comment()}")
        return data


def without_bom(text: str) -> str:
    return text.removeprefix("\ufeff")


def inserted(before: str, after: str) -> str:
    """What stands in `after` and not in `before`, when that is one piece; fails otherwise."""
    start = 0
    while start < len(before) and before[start] == after[start]:
        start += 1
    tail = before[start:]
    assert after.endswith(tail), "something outside the new lines was changed"
    return after[start : len(after) - len(tail)]


@pytest.mark.parametrize("seed", range(200))
def test_generated_files(seed: int) -> None:
    writer = Writer(seed)
    made = writer.file(1 + seed % 4)
    document = Document(made.text)
    assert same(document.data["deployments"], made.data), "the generator knows what it writes"

    # One more is added: all that was there stays, to the byte and in one piece.
    added = with_deployment(document, NEW)
    piece = inserted(made.text, added)
    assert piece.strip()
    read = Document(added)
    assert same(read.data, {**document.data, "deployments": [*made.data, NEW]})
    assert with_deployment(read, NEW) == added, "a second save changes nothing"

    # One is changed: nothing before its first line and nothing behind its last is touched.
    index = seed % len(made.data)
    begin, end = made.entries[index]
    change: dict[str, Any] = {**made.data[index], "parameters": {"a": 2, "c": [1, "two"]}}
    change["tags"] = ["new"]
    if seed % 3 == 0:
        change.pop("schedules", None)
    if seed % 5 == 0:
        change["description"] = "another\ntext"
    try:
        changed = with_deployment(document, change)
    except ProjectFileError as refusal:
        assert "merge" in str(refusal) or "shares anchors" in str(refusal)
        assert "<<" in made.text[begin:end]
        return
    assert changed.startswith(made.text[:begin])
    assert changed.endswith(made.text[end:])
    listed = [*made.data]
    listed[index] = change
    read = Document(changed)
    assert same(read.data, {**document.data, "deployments": listed})
    assert with_deployment(read, change) == changed


class Changes:
    """Changes entries anywhere, in any way, except what they are found by."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def of_entry(self, entry: dict[str, Any]) -> dict[str, Any]:
        return {**self.changed(entry), "name": entry["name"], "entrypoint": entry["entrypoint"]}

    def changed(self, value: Any) -> Any:
        if isinstance(value, dict) and value:
            made = dict(value)
            for _ in range(self.random.randrange(1, 4)):
                key = self.random.choice([*made, "new", "other"])
                chance = self.random.random()
                if chance < 0.3:
                    made.pop(key, None)
                else:
                    made[key] = self.changed(made[key]) if key in made else self.value()
            return made
        if isinstance(value, list) and value:
            made = list(value)
            at = self.random.randrange(len(made))
            chance = self.random.random()
            if chance < 0.3:
                del made[at]
            elif chance < 0.6:
                made[at] = self.changed(made[at])
            else:
                made.insert(at, self.value())
            return made
        return self.value()

    def value(self, depth: int = 0) -> Any:
        kind = self.random.randrange(8)
        if kind == 0 and depth < 3:
            return {key: self.value(depth + 1) for key in self.random.sample("abcx", 2)}
        if kind == 1 and depth < 3:
            return [self.value(depth + 1) for _ in range(self.random.randrange(3))]
        return self.random.choice(
            [None, True, 1, 1.5, "x", "a: b", "one\ntwo\n", "one\n\ntwo", " x", "#", "{{ x }}", ""]
        )


@pytest.mark.parametrize("seed", range(60))
def test_any_change_of_an_entry_stays_in_its_lines(seed: int) -> None:
    made = Writer(seed).file(2)
    changes = Changes(seed)
    index = seed % 2
    begin, end = made.entries[index]
    entry = changes.of_entry(made.data[index])
    document = Document(made.text)
    try:
        text = with_deployment(document, entry)
    except ProjectFileError:
        # Only a key that comes from somewhere else cannot be taken away.
        assert "<<" in made.text[begin:end]
        assert "paused" not in entry
        return
    assert text.startswith(made.text[:begin])
    assert text.endswith(made.text[end:])
    listed = [*made.data]
    listed[index] = entry
    assert same(Document(text).data, {**document.data, "deployments": listed})


# --- as people write them ------------------------------------------------------------------------

HAND_WRITTEN: dict[str, str] = {
    "empty": "",
    "only comments": "# nothing here\n\n# yet\n",
    "no deployments": "name: x\npull:\n  - a.b: {}\n",
    "no final newline": "name: x\ndeployments:\n- name: a\n  entrypoint: b:c",
    "key without value": "deployments:\n  # - name: example\n  #   entrypoint: x\n\nname: x\n",
    "anchors and merges": (
        "x-base: &base\n  tags: [a]\n  work_pool: &pool\n    name: p\n"
        "deployments:\n  - <<: *base\n    name: a\n    entrypoint: a:a\n"
        "  - name: b\n    entrypoint: b:b\n    work_pool: *pool\n"
    ),
    "flow style everywhere": '{"name": "x", "deployments": [{"name": "a", "entrypoint": "a:a"}]}\n',
    "flow list on lines": (
        "deployments: [\n  {name: a, entrypoint: 'a:a'},  # first\n"
        "  {name: b, entrypoint: 'b:b'}   # last\n]\nname: z\n"
    ),
    "flow list with a last comma": "deployments: [\n  {name: a, entrypoint: 'a:a'},\n]\n",
    "empty flow list on lines": "deployments: [\n  # nothing\n]\nname: z\n",
    "odd indentation": (
        "deployments:\n     -   name:    a\n         entrypoint:   a:a\n"
        "         parameters:\n                 x:   1\n\n\n     -   name: b\n"
        "         entrypoint: b:b\n"
    ),
    "carriage returns": "name: x\r\n\r\ndeployments:\r\n- name: a\r\n  entrypoint: a:a\r\n# e\r\n",
    "byte order mark": "\ufeffname: x\ndeployments:\n  - name: a\n    entrypoint: a:a\n",
    "unicode": "# Ünïcode ☃ 漢\nname: 漢字\ndeployments:\n  - name: é\n    entrypoint: a:a #🎉\n",
    "kept block at the end of an entry": (
        "deployments:\n  - name: a\n    entrypoint: a:a\n    description: |+\n      text\n\n\n"
        "build: null\n"
    ),
    "folded block and comments": (
        "deployments:\n- name: a\n  entrypoint: a:a\n  description: >-\n    one\n    two\n\n"
        "  # about the next key\n  tags: [x]\n\n# footer\n"
    ),
    "comments at every place": (
        "# head\n\ndeployments: # list\n  # before a\n  - name: a # a\n    # inside a\n"
        "    entrypoint: a:a\n    # behind a\n\n  # before b\n  - name: b\n    entrypoint: b:b\n"
        "    # behind b\n# footer\nname: x # tail\n"
    ),
    "document markers": "%YAML 1.1\n---\ndeployments:\n- name: a\n  entrypoint: a:a\n...\n",
    "dash on its own line": (
        "deployments:\n  -\n    name: a\n    entrypoint: a:a\n  - # why\n    name: b\n"
        "    entrypoint: b:b\n"
    ),
    "quoted keys and explicit ones": (
        '"deployments":\n  - "name": \'a\'\n    ? entrypoint\n    : a:a\n"na me": x\n'
    ),
    "blanks behind values": "name: x  \ndeployments:   \n- name: a \n  entrypoint: a:a   \n   \n",
    "a list in it": "deployments:\n- name: a\n  entrypoint: a:a\n  tags:\n  - x\nname: q\n",
}


@pytest.mark.parametrize("text", HAND_WRITTEN.values(), ids=HAND_WRITTEN)
def test_hand_written_files(text: str) -> None:
    document = Document(text)
    before = document.data or {}
    after = with_deployment(document, NEW)
    assert inserted(text, after).strip()
    listed = [*(before.get("deployments") or ()), NEW]
    assert same(Document(after).data, {**before, "deployments": listed})
    assert with_deployment(Document(after), NEW) == after


def lines_changed(before: str, after: str) -> list[str]:
    """The lines of `before` that are not in `after`, in order."""
    import difflib

    return [
        line[2:]
        for line in difflib.ndiff(before.splitlines(), after.splitlines())
        if line.startswith("- ")
    ]


def test_an_empty_list_gives_way_and_its_comment_stays() -> None:
    text = "deployments: []  # none yet\nname: x\n"
    after = with_deployment(Document(text), NEW)
    assert after.startswith("deployments:  # none yet\n  - name: added\n")
    assert after.endswith("\nname: x\n")


def test_only_the_values_that_differ_are_written() -> None:
    text = (
        "deployments:\n  - name: a      # the name\n    entrypoint: 'a:a'\n"
        "    parameters:   # what it takes\n      x: 0x10   # sixteen\n      y: 'two'\n"
        "    schedules:\n      # at night\n      - cron: '0 1 * * *'\n"
        "      - interval: 60 # often\n"
    )
    entry = Document(text).data["deployments"][0]
    entry["parameters"]["y"] = "three"
    entry["schedules"][1]["interval"] = 61
    after = with_deployment(Document(text), entry)
    assert lines_changed(text, after) == ["      y: 'two'", "      - interval: 60 # often"]
    assert "      y: three\n" in after
    assert "- interval: 61 # often\n" in after


def test_keys_come_and_go_one_by_one() -> None:
    text = (
        "deployments:\n- name: a\n  # about tags\n  tags: [x]\n  entrypoint: a:a\n"
        "  paused: true # for now\n\n# footer\n"
    )
    entry = {"name": "a", "entrypoint": "a:a", "tags": ["x"], "version": "2"}
    after = with_deployment(Document(text), entry)
    assert after == (
        "deployments:\n- name: a\n  # about tags\n  tags: [x]\n  entrypoint: a:a\n"
        '  version: "2"\n\n# footer\n'
    )


def test_an_entry_that_others_refer_to_is_refused() -> None:
    text = (
        "deployments:\n  - name: a\n    entrypoint: a:a\n    parameters: &shared {x: 1}\n"
        "  - name: b\n    entrypoint: b:b\n    parameters: *shared\n"
    )
    entry = {"name": "a", "entrypoint": "a:a", "parameters": {"x": 2}}
    with pytest.raises(ProjectFileError, match="without changing something else"):
        with_deployment(Document(text), entry)


def test_a_merged_value_is_overridden_in_the_entry() -> None:
    text = HAND_WRITTEN["anchors and merges"]
    entry = {**Document(text).data["deployments"][0], "tags": ["b"]}
    after = with_deployment(Document(text), entry)
    assert lines_changed(text, after) == []
    assert Document(after).data["deployments"][0]["tags"] == ["b"]
    assert Document(after).data["x-base"]["tags"] == ["a"]


UNREADABLE = {
    "broken": "deployments: [\n",
    "tab": "deployments:\n\t- name: a\n",
    "two documents": "name: a\n---\nname: b\n",
    "same key twice": "name: a\nname: b\n",
    "unknown anchor": "deployments: *nope\n",
    "an object": "name: !!python/object/apply:os.getcwd []\n",
    "itself": "deployments: &a [*a]\n",
    "too much": "a0: &a0 [x]\n"
    + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)),
    "a list": "- name: a\n",
    "a text": "just words\n",
    "deployments is a mapping": "deployments: {name: a}\n",
    "deployments is an alias": "x: &x [{name: a}]\ndeployments: *x\n",
}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_cannot_be_changed_stays(text: str, tmp_path: Path) -> None:
    path = tmp_path / "penstock.yaml"
    path.write_text(text)
    with pytest.raises(ProjectFileError) as refusal:
        save_deployment(path, NEW)
    assert str(path) in str(refusal.value)
    assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path], "no partial file is left behind"


def test_bytes_that_are_no_utf_8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "penstock.yaml"
    path.write_bytes(b"name: \xff\n")
    with pytest.raises(ProjectFileError, match="UTF-8"):
        save_deployment(path, NEW)
    assert path.read_bytes() == b"name: \xff\n"


def test_the_file_is_replaced_as_a_whole_with_its_mode(tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    real.write_text("name: x\n")
    real.chmod(0o640)
    link = tmp_path / "penstock.yaml"
    link.symlink_to(real)
    assert save_deployment(link, NEW)
    written = real.read_bytes()
    assert not save_deployment(link, NEW)
    assert link.is_symlink()
    assert real.read_bytes() == written
    assert real.stat().st_mode & 0o777 == 0o640


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def fail(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("penstock.deployments.project.writing.os.fsync", fail)
    yield


@pytest.mark.usefixtures("interrupted")
def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "penstock.yaml"
    path.write_text("name: x\n")
    with pytest.raises(OSError, match="no space left"):
        save_deployment(path, NEW)
    assert path.read_text() == "name: x\n"
    assert list(tmp_path.iterdir()) == [path]
