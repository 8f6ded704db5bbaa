"""Code in remote storage, with the file system that fsspec keeps in memory."""

import asyncio
from pathlib import Path
from typing import Any

import fsspec
import pytest

from penstock.deployments.remote import RemoteStorage
from penstock.deployments.steps import run_steps
from penstock.schemas.errors import PenstockImportError


@pytest.fixture
def bucket() -> Any:
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pipe({"/bucket/code/flows/a.py": b"one", "/bucket/code/top.txt": b"two"})
    yield system
    system.store.clear()


@pytest.mark.usefixtures("bucket")
def test_a_directory_is_copied_below_the_base_path(tmp_path: Path) -> None:
    storage = RemoteStorage("memory://bucket/code")
    storage.set_base_path(tmp_path)
    asyncio.run(storage.pull_code())
    assert storage.destination == tmp_path / "bucket" / "code"
    assert (storage.destination / "flows" / "a.py").read_bytes() == b"one"
    assert (storage.destination / "top.txt").read_bytes() == b"two"


@pytest.mark.usefixtures("bucket")
def test_the_step_says_where_the_code_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    step = RemoteStorage("memory://bucket/code").to_pull_step()
    outputs = asyncio.run(run_steps([step], print_function=lambda _: None))
    assert outputs == {"directory": "bucket/code"}
    assert Path("bucket/code/top.txt").exists()


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    storage = RemoteStorage("memory://bucket/gone")
    storage.set_base_path(tmp_path)
    with pytest.raises(RuntimeError, match="the code at memory://bucket/gone could not be pulled"):
        storage.pull()


def test_a_storage_whose_package_is_missing_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise ImportError("no module named s3fs")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    storage = RemoteStorage("s3://bucket/code")
    storage.set_base_path(tmp_path)
    with pytest.raises(PenstockImportError, match=r"penstock\[remote\].*s3fs"):
        storage.pull()


def test_failures_have_a_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class System:
        def __init__(self, said: str) -> None:
            self.said = said

        def get(self, *_: Any, **__: Any) -> None:
            raise PermissionError(self.said)

    storage = RemoteStorage("s3://bucket/code", secret="s3cret")
    storage.set_base_path(tmp_path)
    for said, shown in [
        ("Access Denied for s3cret", "access was denied"),
        ("odd s3cret", r"odd \*+"),
    ]:
        monkeypatch.setattr(fsspec, "filesystem", lambda *_, said=said, **__: System(said))
        with pytest.raises(RuntimeError, match=shown) as failure:
            storage.pull()
        assert "s3cret" not in str(failure.value)
        assert failure.value.__cause__ is None


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="no address of remote storage"):
        RemoteStorage("bucket/code")
