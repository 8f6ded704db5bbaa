"""Code that is kept in remote storage, reached through fsspec."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from penstock.base.dual import Blocking
from penstock.base.lazy import LazyModule
from penstock.deployments.git.redaction import sanitised
from penstock.schemas.errors import PenstockImportError

# Only those who use it need it, together with the package for their storage.
fsspec: Any = LazyModule("fsspec")

PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "adl": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
}
_HINTS = (
    ("nosuchbucket", "there is no such bucket; check its name"),
    ("accessdenied", "access was denied; check the credentials and their permissions"),
    ("403", "access was denied; check the credentials and their permissions"),
    ("nosuchkey", "there is no such path in the bucket; check the path"),
    ("connect", "the storage cannot be reached; check the network and the endpoint"),
)


class RemoteStorage:
    """A directory in remote storage, such as `s3://bucket/path`.

    `settings` go to the file system; a saved block among them is resolved when code is pulled.
    """

    def __init__(self, url: str, pull_interval: int | None = 60, **settings: Any) -> None:
        scheme, marked, _ = url.partition("://")
        if not marked or not scheme.replace("+", "").isalnum():
            raise ValueError(f"{url!r} is no address of remote storage; write <scheme>://<path>")
        self._url = url
        self._scheme = scheme
        self._settings = settings
        self._pull_interval = pull_interval
        self._base = Path.cwd()

    @property
    def pull_interval(self) -> int | None:
        return self._pull_interval

    @property
    def destination(self) -> Path:
        return self._base / self._remote_path.strip("/").replace("..", "")

    @property
    def _remote_path(self) -> str:
        parts = urlsplit(self._url)
        return f"{parts.netloc}/{parts.path.strip('/')}".rstrip("/")

    def set_base_path(self, path: Path) -> None:
        self._base = Path(path)

    async def pull_code(self) -> None:
        """Copies the directory to the destination. Raises `RuntimeError` with the next step."""
        await Blocking(self.pull).aio()

    def pull(self) -> None:
        """As `pull_code`, by blocking."""
        self.destination.mkdir(parents=True, exist_ok=True)
        try:
            system = fsspec.filesystem(self._scheme, **self._revealed_settings())
        except ImportError:
            package = PACKAGES.get(self._scheme, "the package for it")
            raise PenstockImportError(
                f"remote storage of the kind {self._scheme!r} needs `penstock[remote]` and "
                f"{package}; "
                "install them where the code is pulled"
            ) from None
        try:
            system.get(
                self._remote_path.rstrip("/") + "/",
                str(self.destination) + "/",
                recursive=True,
            )
        except Exception as error:  # every file system raises its own
            cause = None if self._settings else error  # which may hold the credentials
            raise RuntimeError(self._failure(error)) from cause

    def _failure(self, error: Exception) -> str:
        said = f"{type(error).__name__} {error}"
        flat = said.lower().replace(" ", "").replace("_", "")
        hint = next((text for sign, text in _HINTS if sign in flat), None)
        where = f"the code at {self._scheme}://{self._remote_path} could not be pulled"
        secrets = [str(value) for value in self._revealed_settings().values()]
        return f"{where}: {hint or sanitised(said.strip(), secrets)}"

    def _revealed_settings(self) -> dict[str, Any]:
        revealed: dict[str, Any] = {}
        for key, value in self._settings.items():
            get = getattr(value, "get_secret_value", None) or (
                None if isinstance(value, dict) else getattr(value, "get", None)
            )
            revealed[key] = get() if callable(get) else value
        return revealed

    def to_pull_step(self) -> dict[str, Any]:
        settings = {
            key: f"{{{{ {value.get_block_placeholder()} }}}}"
            if hasattr(value, "get_block_placeholder")
            else value
            for key, value in self._settings.items()
        }
        inputs: dict[str, Any] = {"url": self._url, **settings}
        if self._scheme in PACKAGES:
            inputs["requires"] = PACKAGES[self._scheme]
        return {"prefect.deployments.steps.pull_from_remote_storage": inputs}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteStorage) and (other._url, other._settings) == (
            self._url,
            self._settings,
        )

    def __hash__(self) -> int:
        return hash((RemoteStorage, self._url))

    def __repr__(self) -> str:
        return f"RemoteStorage({self._url!r})"
