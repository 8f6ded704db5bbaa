"""Storages."""

import asyncio
import threading
from uuid import uuid4

import pytest
from pydantic import SecretStr

from penstock.base.dual import run_aio, run_sync
from penstock.filesystems import (
    SMB,
    LocalFileSystem,
    NullFileSystem,
    PathMissing,
    RemoteFileSystem,
    WritableFileSystem,
    reading,
    writing,
)


@pytest.fixture
def files(tmp_path):
    return LocalFileSystem(basepath=tmp_path / "base")


def test_what_was_written_is_read(files):
    path = files.write_path("deep/er/file", b"content")
    assert path.endswith("base/deep/er/file")
    assert files.read_path("deep/er/file") == b"content"
    assert files.read_path(path) == b"content"
    files.write_path("deep/er/file", b"new")
    assert files.read_path("deep/er/file") == b"new"


def test_coroutines_do_the_same(files):
    async def main():
        await files.awrite_path("a", b"1")
        await files.write_path("b", b"2")
        return await files.aread_path("a"), await files.read_path("b")

    assert asyncio.run(main()) == (b"1", b"2")


def test_a_missing_path_is_a_clear_error(files):
    with pytest.raises(PathMissing, match="does not exist") as caught:
        files.read_path("nothing")
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, FileNotFoundError)
    files.write_path("file", b"")
    with pytest.raises(PathMissing):
        files.read_path("file/below")
    with pytest.raises(ValueError, match="directory"):
        files.read_path(".")


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../outside"])
def test_paths_outside_the_base_are_refused(files, path):
    for use in (lambda: files.read_path(path), lambda: files.write_path(path, b"")):
        with pytest.raises(ValueError, match="outside the base path"):
            use()


def test_a_link_that_leads_outside_is_refused(files, tmp_path):
    files.write_path("inside", b"")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "base" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="outside the base path"):
        files.read_path("link")


def test_without_a_base_any_path_is_allowed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = LocalFileSystem()
    files.write_path("relative", b"1")
    assert (tmp_path / "relative").read_bytes() == b"1"
    assert files.read_path(str(tmp_path / "relative")) == b"1"


def test_a_reader_never_sees_a_part_of_a_write(files, tmp_path):
    big = [bytes([i]) * 300_000 for i in range(2)]
    files.write_path("file", big[0])
    stop = threading.Event()
    seen = []

    def read():
        while not stop.is_set():
            seen.append(files.read_path("file"))

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(40):
        files.write_path("file", big[i % 2])
    stop.set()
    reader.join()
    assert seen
    assert set(seen) <= set(big)
    assert [path.name for path in (tmp_path / "base").iterdir()] == ["file"]


def test_a_failed_write_leaves_nothing_behind(files, tmp_path):
    files.write_path("file", b"old")
    with pytest.raises(TypeError):
        files.write_path("file", "text is not bytes")
    assert files.read_path("file") == b"old"
    assert [path.name for path in (tmp_path / "base").iterdir()] == ["file"]


def test_directories_are_copied_in_and_out(files, tmp_path):
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "keep.py").write_text("keep")
    (source / "sub" / "keep.txt").write_text("keep")
    (source / "sub" / "drop.log").write_text("drop")
    (source / "ignore").write_text("*.log\n")
    files.put_directory(str(source), "code", ignore_file=str(source / "ignore"))
    stored = tmp_path / "base" / "code"
    assert sorted(str(p.relative_to(stored)) for p in stored.rglob("*") if p.is_file()) == [
        "ignore",
        "keep.py",
        "sub/keep.txt",
    ]
    (stored / ".penstockignore").write_text("ignore\n.penstockignore\n")
    files.get_directory("code", str(tmp_path / "target"))
    target = tmp_path / "target"
    assert sorted(str(p.relative_to(target)) for p in target.rglob("*") if p.is_file()) == [
        "keep.py",
        "sub/keep.txt",
    ]


def test_a_directory_can_be_copied_below_itself(tmp_path):
    (tmp_path / "file").write_text("x")
    LocalFileSystem(basepath=tmp_path).put_directory(str(tmp_path), "copy")
    assert (tmp_path / "copy" / "file").read_text() == "x"
    assert not (tmp_path / "copy" / "copy").exists()


def test_the_peers_ignore_file_is_honoured(files, tmp_path):
    files.write_path("code/a", b"")
    files.write_path("code/b", b"")
    files.write_path("code/.prefectignore", b"b\n.prefectignore\n")
    files.get_directory("code", str(tmp_path / "target"))
    assert [p.name for p in (tmp_path / "target").iterdir()] == ["a"]


def test_copying_what_is_no_directory_is_refused(files, tmp_path):
    with pytest.raises(ValueError, match="not a directory"):
        files.get_directory("nothing", str(tmp_path / "target"))


def test_a_null_file_system_keeps_nothing():
    async def main():
        null = NullFileSystem()
        await null.write_path("a", b"1")
        return await null.read_path("a")

    assert asyncio.run(main()) is None


class Dictionary(WritableFileSystem):
    """A user's storage with plain methods."""

    def __init__(self):
        self.kept = {}

    def read_path(self, path):
        return self.kept[path]

    def write_path(self, path, content):
        self.kept[path] = content


class AsyncDictionary(WritableFileSystem):
    """A user's storage with coroutine methods only."""

    def __init__(self):
        self.kept = {}

    async def read_path(self, path):
        return self.kept[path]

    async def write_path(self, path, content):
        self.kept[path] = content


class Both(Dictionary):
    """A user's storage with a coroutine under the `a` name besides."""

    def __init__(self):
        super().__init__()
        self.calls = []

    async def aread_path(self, path):
        self.calls.append("aread")
        return self.kept[path]

    async def awrite_path(self, path, content):
        self.calls.append("awrite")
        self.kept[path] = content


@pytest.mark.parametrize("kind", [Dictionary, AsyncDictionary, Both])
@pytest.mark.parametrize("run", [run_sync, lambda steps: asyncio.run(run_aio(steps))])
def test_storages_of_any_colour_are_used_from_either(kind, run):
    storage = kind()

    def steps():
        yield writing(storage, "key", b"value")
        return (yield reading(storage, "key"))

    assert run(steps()) == b"value"
    if kind is Both:
        assert storage.calls == ([] if run is run_sync else ["awrite", "aread"])


# --- remote files --------------------------------------------------------------------------------


@pytest.fixture
def remote() -> RemoteFileSystem:
    """Below an address of fsspec's own file system in memory."""
    pytest.importorskip("fsspec", reason="2026-11-25: the extra `remote` is not installed")
    return RemoteFileSystem(f"memory://bucket-{uuid4().hex}/folder")


def test_remote_files_are_written_and_read(remote):
    address = remote.write_path("a/b.txt", b"content")
    assert address == f"{remote.basepath}/a/b.txt"
    assert remote.read_path("a/b.txt") == remote.read_path(address) == b"content"
    assert asyncio.run(remote.aread_path("a/b.txt")) == b"content"
    with pytest.raises(PathMissing, match="does not exist"):
        remote.read_path("a/c.txt")


@pytest.mark.parametrize("path", ["../x", "a/../../x", "memory://other/x", "s3://bucket/x"])
def test_remote_paths_outside_the_base_are_refused(remote, path):
    with pytest.raises(ValueError, match="outside"):
        remote.read_path(path)


def test_remote_directories_are_copied_in_and_out(remote, tmp_path):
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    for name in ("one.py", "inner/two.py", "inner/left.log"):
        (source / name).write_text(name)
    (tmp_path / "ignore").write_text("*.log\n")
    assert remote.put_directory(str(source), "code", str(tmp_path / "ignore")) == 2
    assert remote.put_directory(str(source), "code", overwrite=False) == 1
    target = tmp_path / "target"
    target.mkdir()
    remote.get_directory("code", str(target))
    found = {path.name: path.read_text() for path in target.rglob("*") if path.is_file()}
    assert found == {"one.py": "one.py", "two.py": "inner/two.py", "left.log": "inner/left.log"}


@pytest.mark.parametrize("address", ["bucket/folder", "s3://", "file:///tmp/x"])
def test_an_address_without_a_remote_place_is_refused(address):
    with pytest.raises(ValueError, match=r"address|machine"):
        RemoteFileSystem(address)


def test_a_share_is_an_address_and_keeps_its_password_to_itself():
    share = SMB("share/folder", "user", SecretStr("hidden"), "host", 445)
    assert share.basepath == "smb://host:445/share/folder"
    assert share.settings == {"username": "user", "password": "hidden"}
    assert "hidden" not in repr(share)
