"""Where the code of a deployment is: in a repository, in remote storage, in a block, here.

A storage pulls its code to `destination`, below the path set with `set_base_path`, and names the
step that does the same elsewhere.
"""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

from penstock.deployments.git.repository import GitCredentials, GitRepository
from penstock.deployments.remote import RemoteStorage

__all__ = [
    "BlockStorageAdapter",
    "GitCredentials",
    "GitRepository",
    "LocalStorage",
    "RemoteStorage",
    "RunnerStorage",
    "create_storage_from_source",
]


@runtime_checkable
class RunnerStorage(Protocol):
    """What a runner needs of a storage."""

    @property
    def pull_interval(self) -> int | None:
        """Seconds between pulls of a runner that goes on; None for once."""
        ...

    @property
    def destination(self) -> Path:
        """Where the code is after a pull."""
        ...

    def set_base_path(self, path: Path) -> None: ...

    async def pull_code(self) -> None: ...

    def to_pull_step(self) -> dict[str, Any] | list[dict[str, Any]]: ...


class LocalStorage:
    """A directory of this machine, used where it is."""

    def __init__(self, path: str, pull_interval: int | None = None) -> None:
        self._path = Path(path).expanduser().resolve()
        self._pull_interval = pull_interval

    @property
    def pull_interval(self) -> int | None:
        return self._pull_interval

    @property
    def destination(self) -> Path:
        return self._path

    def set_base_path(self, path: Path) -> None:
        """Changes nothing: the code stays where it is."""

    async def pull_code(self) -> None:
        """Does nothing: the code is there."""

    def to_pull_step(self) -> dict[str, Any]:
        return {"prefect.deployments.steps.set_working_directory": {"directory": str(self._path)}}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalStorage) and other._path == self._path

    def __hash__(self) -> int:
        return hash((LocalStorage, self._path))

    def __repr__(self) -> str:
        return f"LocalStorage({str(self._path)!r})"


class BlockStorageAdapter:
    """A block that has `get_directory`, as a storage."""

    def __init__(self, block: Any, pull_interval: int | None = 60) -> None:
        if not hasattr(block, "get_directory"):
            raise ValueError(f"{type(block).__name__} has no method get_directory")
        self._block = block
        self._pull_interval = pull_interval
        self._base = Path.cwd()
        self._name = getattr(block, "_block_document_name", None) or "block-storage"

    @property
    def pull_interval(self) -> int | None:
        return self._pull_interval

    @property
    def destination(self) -> Path:
        return self._base / self._name

    def set_base_path(self, path: Path) -> None:
        self._base = Path(path)

    async def pull_code(self) -> None:
        """Replaces the destination with the block's directory."""
        target = self.destination
        _empty(target)
        result = self._block.get_directory(local_path=str(target))
        if hasattr(result, "__await__"):
            await result

    def to_pull_step(self) -> dict[str, Any]:
        placeholder = self._block.get_block_placeholder()
        _, _, slug, name = placeholder.split(".", 3)
        return {
            "prefect.deployments.steps.pull_with_block": {
                "block_type_slug": slug,
                "block_document_name": name,
            }
        }


def _empty(directory: Path) -> None:
    """Makes an empty directory of it."""
    if directory.is_dir():
        for entry in directory.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                _empty(entry)
                entry.rmdir()
            else:
                entry.unlink()
    directory.mkdir(parents=True, exist_ok=True)


def create_storage_from_source(source: str, pull_interval: int | None = 60) -> RunnerStorage:
    """The storage that a URL or a path names.

    A repository for `git` schemes and addresses that end in `.git`, a directory of this machine
    for a path, `file://` and `local://`, remote storage for every other scheme.
    """
    scheme, marked, rest = source.partition("://")
    path = urlsplit(source).path if marked else source
    if (marked and scheme.startswith("git")) or path.rstrip("/").endswith(".git"):
        return GitRepository(url=source, pull_interval=pull_interval)
    if marked and scheme in ("file", "local"):
        return LocalStorage(path=rest, pull_interval=pull_interval)
    if marked:
        return RemoteStorage(url=source, pull_interval=pull_interval)
    return LocalStorage(path=source, pull_interval=pull_interval)
