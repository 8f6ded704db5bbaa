"""Where result files, task parameters and deployment code are kept.

A storage needs only the methods its use asks for. `read_path`, `write_path`, `get_directory` and
`put_directory` may be plain or coroutine functions, and a storage may offer the coroutine under
the `a` name besides: `reading` and `writing` give the step that fits what a storage has.
"""

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from penstock.base.dual import Blocking, Invoke, Step, Steps, dual
from penstock.base.lazy import LazyModule

if TYPE_CHECKING:
    import shutil

    import pathspec

    fsspec: Any = None
else:
    fsspec = LazyModule("fsspec")  # an extra
    pathspec = LazyModule("pathspec")  # only for directories with an ignore file
    shutil = LazyModule("shutil")  # brings every compression library

IGNORE_FILES = (".penstockignore", ".prefectignore")


class PathMissing(FileNotFoundError, ValueError):
    """A path to be read is not in the storage. (A `ValueError` too, as the contract has it.)"""

    def __init__(self, path: str) -> None:
        super().__init__(f"path {path} does not exist; check the key and the storage")
        self.path = path

    def __str__(self) -> str:
        return str(self.args[0])


class FileSystem:
    """Base of all storages. A saved storage carries the id of its block document."""

    _block_document_id: UUID | None = None
    _block_document_name: str | None = None


class ReadableFileSystem(FileSystem, ABC):
    _block_schema_capabilities = ["read-path"]

    @abstractmethod
    def read_path(self, path: str) -> Any:
        """The bytes under `path`, or a coroutine of them. Raises when nothing is there."""


class WritableFileSystem(FileSystem, ABC):
    _block_schema_capabilities = ["read-path", "write-path"]

    @abstractmethod
    def read_path(self, path: str) -> Any:
        """The bytes under `path`, or a coroutine of them. Raises when nothing is there."""

    @abstractmethod
    def write_path(self, path: str, content: bytes) -> Any:
        """Keeps `content` under `path`, replacing what was there; may be a coroutine function."""


class ReadableDeploymentStorage(FileSystem, ABC):
    _block_schema_capabilities = ["get-directory"]

    @abstractmethod
    def get_directory(self, from_path: str | None = None, local_path: str | None = None) -> Any:
        """Copies a stored directory to the local file system."""


class WritableDeploymentStorage(FileSystem, ABC):
    _block_schema_capabilities = ["get-directory", "put-directory"]

    @abstractmethod
    def get_directory(self, from_path: str | None = None, local_path: str | None = None) -> Any:
        """Copies a stored directory to the local file system."""

    @abstractmethod
    def put_directory(
        self,
        local_path: str | None = None,
        to_path: str | None = None,
        ignore_file: str | None = None,
    ) -> Any:
        """Copies a local directory into the storage."""


class LocalFileSystem(WritableFileSystem, WritableDeploymentStorage):
    """Files on this machine, below `basepath` (default: the working directory).

    A path outside `basepath` is refused with `ValueError`. Writes are atomic: a reader sees the
    old content or the new, never a part.
    """

    _block_type_name = "Local File System"
    _block_type_slug = "local-file-system"

    def __init__(self, basepath: str | Path | None = None) -> None:
        self.basepath = str(basepath) if basepath is not None else None
        self._base: str | None = None

    def _resolve_path(self, path: str | Path) -> Path:
        """The absolute path of `path`, links followed. Raises `ValueError` outside the base."""
        return Path(self._resolve(path))

    def _resolve(self, path: str | Path) -> str:
        # Text functions, because this is paid by every result: `Path.resolve` asks the file
        # system about each directory from the root on, several times the cost of all below.
        path = os.fspath(path)
        if path.startswith("~"):
            path = os.path.expanduser(path)  # noqa: PTH111
        if not self.basepath:
            return os.path.abspath(path)  # noqa: PTH100
        base = self._resolved_base()
        full = os.path.normpath(os.path.join(base, path))  # noqa: PTH118
        if _leads_through_a_link(base, full):
            full = os.path.realpath(full)
        if full != base and not full.startswith(base.rstrip(os.sep) + os.sep):
            # An absolute path may be spelled with links that the resolved base no longer has.
            spelled, full = full, os.path.realpath(full)
            if spelled == full or not full.startswith(base.rstrip(os.sep) + os.sep):
                raise ValueError(
                    f"path {path} is outside the base path {base}; use a path below it or a "
                    "storage with another base path"
                )
        return full

    def _resolved_base(self) -> str:
        if self._base is None:
            self._base = os.path.realpath(os.path.expanduser(self.basepath or "."))  # noqa: PTH111
        return self._base

    def _read_path(self, path: str) -> Steps[bytes]:
        return (yield Blocking(self._read, path))

    def _write_path(self, path: str, content: bytes) -> Steps[str]:
        return (yield Blocking(self._write, path, content))

    def _get_directory(
        self, from_path: str | None = None, local_path: str | None = None
    ) -> Steps[None]:
        """Copies `from_path` (default: the base path) to `local_path` (default: the working
        directory), leaving out what an ignore file in the source names."""
        yield Blocking(self._copy_out, from_path, local_path)

    def _put_directory(
        self,
        local_path: str | None = None,
        to_path: str | None = None,
        ignore_file: str | None = None,
    ) -> Steps[None]:
        """Copies `local_path` (default: the working directory) to `to_path` (default: the base
        path), leaving out what `ignore_file` names."""
        yield Blocking(self._copy_in, local_path, to_path, ignore_file)

    read_path, aread_path = dual(_read_path)
    write_path, awrite_path = dual(_write_path)
    get_directory, aget_directory = dual(_get_directory)
    put_directory, aput_directory = dual(_put_directory)

    def _read(self, path: str) -> bytes:
        full = self._resolve(path)
        try:
            with open(full, "rb") as file:  # noqa: PTH123 (a third of the cost of Path's)
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            raise PathMissing(full) from None
        except IsADirectoryError:
            raise ValueError(f"path {full} is a directory; name a file in it") from None

    def read_prefix(self, path: str, size: int) -> bytes:
        """The first `size` bytes under `path`. Raises `PathMissing`."""
        full = self._resolve(path)
        try:
            with open(full, "rb", buffering=0) as file:  # noqa: PTH123
                return file.read(size)
        except (FileNotFoundError, NotADirectoryError):
            raise PathMissing(full) from None

    def _write(self, path: str, content: bytes) -> str:
        full = self._resolve(path)
        # A temporary name in the same directory makes the final rename atomic.
        partial = f"{full}.{os.getpid()}.{os.urandom(6).hex()}.partial"
        try:
            handle = open(partial, "xb")  # noqa: PTH123, SIM115 (closed below, cheaper than Path)
        except FileNotFoundError:
            Path(full).parent.mkdir(parents=True, exist_ok=True)
            handle = open(partial, "xb")  # noqa: PTH123, SIM115
        try:
            with handle:
                handle.write(content)
            os.replace(partial, full)  # noqa: PTH105
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
        return full

    def _copy_out(self, from_path: str | None, local_path: str | None) -> None:
        source = self._resolve_path(from_path) if from_path else self._resolve_path(".")
        target = Path(local_path).expanduser().resolve() if local_path else Path.cwd()
        if source == target:
            return
        ignored = next((source / name for name in IGNORE_FILES if (source / name).exists()), None)
        _copy_tree(source, target, ignored)

    def _copy_in(self, local_path: str | None, to_path: str | None, ignore: str | None) -> None:
        source = Path(local_path).expanduser().resolve() if local_path else Path.cwd()
        target = self._resolve_path(to_path) if to_path else self._resolve_path(".")
        if source == target:
            return
        _copy_tree(source, target, Path(ignore) if ignore else None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalFileSystem) and other.basepath == self.basepath

    def __hash__(self) -> int:
        return hash((LocalFileSystem, self.basepath))

    def __repr__(self) -> str:
        return f"LocalFileSystem(basepath={self.basepath!r})"


class RemoteFileSystem(WritableFileSystem, WritableDeploymentStorage):
    """Files below an address that fsspec reaches, such as `s3://bucket/folder`.

    `settings` are options of that kind of file system. Needs `penstock[remote]` and the package
    for the scheme. A path outside `basepath` is refused with `ValueError`.
    """

    _block_type_name = "Remote File System"
    _block_type_slug = "remote-file-system"

    def __init__(self, basepath: str, settings: dict[str, Any] | None = None) -> None:
        scheme, mark, rest = basepath.partition("://")
        if not mark or not scheme or not rest:
            raise ValueError(
                f"{basepath!r} is no address with a scheme; write it like s3://bucket/folder"
            )
        if scheme == "file":
            raise ValueError("files of this machine are for LocalFileSystem")
        self.basepath = basepath
        self.settings = dict(settings or {})

    def _address(self, path: str) -> str:
        """The whole address of `path`, which may be one already. Raises `ValueError` outside."""
        base = self.basepath.rstrip("/")
        scheme, _, root = base.partition("://")
        given = str(path)
        if "://" in given:
            given_scheme, _, given = given.partition("://")
            inside = given_scheme == scheme and f"{given}/".startswith(f"{root}/")
        else:
            given = f"{root}/{given.lstrip('/')}"
            inside = True
        if not inside or ".." in given.split("/"):
            raise ValueError(f"path {path} is outside the base path {self.basepath}")
        return f"{scheme}://{given.rstrip('/')}"

    def _system(self) -> Any:
        scheme = self.basepath.partition("://")[0]
        try:
            return fsspec.filesystem(scheme, **self.settings)
        except ImportError as error:
            raise ImportError(
                f"storage at {scheme}:// needs `penstock[remote]` and the package of fsspec for it:"
                f" {error}"
            ) from error

    def _read_path(self, path: str) -> Steps[bytes]:
        return (yield Blocking(self._read, path))

    def _write_path(self, path: str, content: bytes) -> Steps[str]:
        return (yield Blocking(self._write, path, content))

    def _get_directory(
        self, from_path: str | None = None, local_path: str | None = None
    ) -> Steps[None]:
        """Copies `from_path` (default: the base path) to `local_path` (default: the working
        directory)."""
        yield Blocking(self._copy_out, from_path, local_path)

    def _put_directory(
        self,
        local_path: str | None = None,
        to_path: str | None = None,
        ignore_file: str | None = None,
        overwrite: bool = True,
    ) -> Steps[int]:
        """Copies `local_path` to `to_path` but for what `ignore_file` names; how many files."""
        return (yield Blocking(self._copy_in, local_path, to_path, ignore_file, overwrite))

    read_path, aread_path = dual(_read_path)
    write_path, awrite_path = dual(_write_path)
    get_directory, aget_directory = dual(_get_directory)
    put_directory, aput_directory = dual(_put_directory)

    def _read(self, path: str) -> bytes:
        address = self._address(path)
        try:
            with self._system().open(address, "rb") as file:
                return file.read()
        except FileNotFoundError:
            raise PathMissing(address) from None

    def _write(self, path: str, content: bytes) -> str:
        address, system = self._address(path), self._system()
        system.makedirs(address.rpartition("/")[0], exist_ok=True)
        with system.open(address, "wb") as file:
            file.write(content)
        return address

    def _copy_out(self, from_path: str | None, local_path: str | None) -> None:
        source = self._address(from_path or self.basepath)
        target = Path(local_path).expanduser().resolve() if local_path else Path.cwd()
        self._system().get(f"{source}/", f"{target}/", recursive=True)

    def _copy_in(
        self, local_path: str | None, to_path: str | None, ignore: str | None, overwrite: bool
    ) -> int:
        source = Path(local_path).expanduser().resolve() if local_path else Path.cwd()
        target, system = self._address(to_path or self.basepath), self._system()
        left_out = _ignored(source, Path(ignore)) if ignore else set()
        copied = 0
        for path in sorted(source.rglob("*")):
            name = path.relative_to(source).as_posix()
            if not path.is_file() or name in left_out:
                continue
            address = f"{target}/{name}"
            if overwrite or not system.exists(address):
                system.makedirs(address.rpartition("/")[0], exist_ok=True)
                system.put_file(str(path), address)
                copied += 1
        return copied


class SMB(RemoteFileSystem):
    """Files on a Windows share or Samba server. Needs `penstock[remote]` and `smbprotocol`."""

    _block_type_name = "SMB"
    _block_type_slug = "smb"

    def __init__(
        self,
        share_path: str,
        smb_username: Any,
        smb_password: Any,
        smb_host: str,
        smb_port: int | None = None,
    ) -> None:
        port = f":{smb_port}" if smb_port is not None else ""
        super().__init__(
            f"smb://{smb_host}{port}/{share_path.strip('/')}",
            {"username": _plain(smb_username), "password": _plain(smb_password)},
        )
        self.share_path = share_path
        self.smb_host = smb_host
        self.smb_port = smb_port

    def __repr__(self) -> str:
        return f"SMB(share_path={self.share_path!r}, smb_host={self.smb_host!r})"


def _plain(secret: Any) -> Any:
    return secret.get_secret_value() if hasattr(secret, "get_secret_value") else secret


def _ignored(source: Path, ignore_file: Path) -> set[str]:
    lines = ignore_file.read_text().splitlines()
    spec = pathspec.GitIgnoreSpec.from_lines(lines)
    return set(spec.match_tree_files(source))


class NullFileSystem:
    """A storage that keeps nothing: writes are dropped and reads give None."""

    async def read_path(self, path: str) -> None:
        return None

    async def write_path(self, path: str, content: bytes) -> None:
        return None

    async def get_directory(
        self, from_path: str | None = None, local_path: str | None = None
    ) -> None:
        return None

    async def put_directory(
        self,
        local_path: str | None = None,
        to_path: str | None = None,
        ignore_file: str | None = None,
    ) -> None:
        return None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NullFileSystem)

    def __hash__(self) -> int:
        return hash(NullFileSystem)


def _leads_through_a_link(base: str, full: str) -> bool:
    """Whether a part of `full` below `base` is a symbolic link."""
    if not full.startswith(base.rstrip(os.sep) + os.sep):
        return False
    while len(full) > len(base):
        if os.path.islink(full):  # noqa: PTH114
            return True
        full = os.path.dirname(full)  # noqa: PTH120
    return False


def reading(storage: Any, path: str) -> Step:
    """The step that reads `path` from any storage, whatever colour its methods have."""
    return _step(storage, "read_path", path)


def writing(storage: Any, path: str, content: bytes) -> Step:
    """The step that writes `content` to `path` of any storage."""
    return _step(storage, "write_path", path, content)


def _step(storage: Any, name: str, *args: Any) -> Step:
    if isinstance(storage, LocalFileSystem):
        # Straight to the file: the dual dispatch would cost more than a small write.
        return Blocking(storage._read if name == "read_path" else storage._write, *args)
    method = getattr(storage, name)
    awaited = getattr(storage, f"a{name}", None)
    if awaited is None:
        return Invoke(method, *args)
    return _Either(method, awaited, args)


class _Either:
    """A storage's own pair of methods; the plain one may still be a coroutine function."""

    __slots__ = ("args", "awaited", "method")

    def __init__(self, method: Any, awaited: Any, args: tuple[Any, ...]) -> None:
        self.method = method
        self.awaited = awaited
        self.args = args

    def sync(self) -> Any:
        return Invoke(self.method, *self.args).sync()

    def aio(self) -> Any:
        return self.awaited(*self.args)


def _copy_tree(source: Path, target: Path, ignore_file: Path | None) -> None:
    """Copies the files below `source`, into a target that may exist and may lie inside it."""
    if not source.is_dir():
        raise ValueError(f"{source} is not a directory; name a directory to copy")
    spec = None
    if ignore_file is not None:
        lines = ignore_file.read_text().splitlines()
        spec = pathspec.GitIgnoreSpec.from_lines(lines)
    for directory, names, files in os.walk(source):
        here = Path(directory)
        # Not into the target itself: a copy into a subdirectory would never end.
        names[:] = [name for name in names if here / name != target]
        for name in files:
            file = here / name
            relative = file.relative_to(source)
            if spec is not None and spec.match_file(relative.as_posix()):
                continue
            copy = target / relative
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
