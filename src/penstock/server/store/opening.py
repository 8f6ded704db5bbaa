"""From a database URL to a store."""

from pathlib import Path
from urllib.parse import unquote

from penstock.base.clock import SYSTEM_CLOCK, Clock
from penstock.schemas.errors import ConfigurationError, PenstockImportError
from penstock.server.store.sqlite import SqliteStore
from penstock.server.store.store import Store


def open_store(url: str, *, clock: Clock = SYSTEM_CLOCK) -> Store:
    """A store, not yet started, for `sqlite:///path`, `sqlite:///:memory:` or `postgresql://...`.

    A driver named in the URL (`sqlite+aiosqlite`, `postgresql+asyncpg`) is ignored. Raises
    `ConfigurationError` for any other URL.
    """
    scheme, separator, rest = url.partition("://")
    database, _, _ = scheme.partition("+")
    if separator and database == "sqlite":
        return SqliteStore(_path(rest), clock)
    if separator and database in ("postgresql", "postgres"):
        return _postgresql(rest, clock)
    shown = f"{scheme}://..." if separator else "a value without ://"
    raise ConfigurationError(
        f"the database URL starts with {shown};"
        " use sqlite:///path/to/file.db or postgresql://user:password@host/database"
    )


def _path(rest: str) -> Path | None:
    """The file of an SQLite URL: three slashes start a relative path, four an absolute one."""
    location, _, _ = rest.partition("?")
    name = unquote(location.removeprefix("/"))
    return None if name in ("", ":memory:") else Path(name).expanduser()


def _postgresql(rest: str, clock: Clock) -> Store:
    # Imported here because the driver is an extra and an SQLite server does without it.
    try:
        from penstock.server.store.postgresql import PostgresqlStore
    except ImportError as error:
        raise PenstockImportError(
            "a postgresql:// database needs the driver; install penstock[postgres]"
        ) from error
    return PostgresqlStore(f"postgresql://{rest}", clock)
