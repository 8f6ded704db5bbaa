from pathlib import Path

import pytest

from penstock.schemas.errors import ConfigurationError
from penstock.server.store import open_store
from penstock.server.store.sqlite import SqliteStore


def path_of(url: str) -> Path | None:
    store = open_store(url)
    assert isinstance(store, SqliteStore)
    return store._path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////var/db/a.db", Path("/var/db/a.db")),
        ("sqlite+aiosqlite:////var/db/a.db", Path("/var/db/a.db")),
        ("sqlite:///relative/a.db", Path("relative/a.db")),
        ("sqlite:////var/with%20space.db?cache=shared", Path("/var/with space.db")),
        ("sqlite:///~/a.db", Path.home() / "a.db"),
        ("sqlite:///:memory:", None),
        ("sqlite+aiosqlite:///:memory:", None),
        ("sqlite://", None),
    ],
)
def test_a_url_names_a_file_or_memory(url: str, path: Path | None) -> None:
    assert path_of(url) == path


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:pw@host/db",
        "postgresql+asyncpg://user:pw@host/db",
        "postgres://user:pw@host/db",
    ],
)
def test_postgresql_is_known_by_all_its_names(url: str) -> None:
    assert open_store(url).dialect == "postgresql"


@pytest.mark.parametrize("url", ["mysql://user:secret@host/db", "secret", ""])
def test_other_urls_are_refused_without_repeating_their_secrets(url: str) -> None:
    with pytest.raises(ConfigurationError, match="use sqlite:///") as refused:
        open_store(url)
    assert "secret" not in str(refused.value)
