"""Every test here runs on both databases, each test on a database of its own."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from penstock.base.clock import ManualClock
from penstock.server.store import Store, open_store

POSTGRES = os.environ.get("PENSTOCK_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")


def _reachable() -> bool:
    try:
        psycopg.connect(POSTGRES, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture(scope="session")
def postgres_reachable() -> bool:
    return _reachable()


@pytest.fixture
def postgres_url(postgres_reachable: bool) -> Iterator[str]:
    """The URL of an empty schema in PostgreSQL that is gone after the test."""
    if not postgres_reachable:
        pytest.skip("2026-11-25: no PostgreSQL server answers at PENSTOCK_TEST_POSTGRES")
    schema = f"store_{uuid4().hex}"
    with closing(psycopg.connect(POSTGRES, autocommit=True)) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
        try:
            separator = "&" if "?" in POSTGRES else "?"
            yield f"{POSTGRES}{separator}options=-c%20search_path%3D{schema}"
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database that is gone after the test."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(database_url: str, clock: ManualClock) -> Iterator[Store]:
    """A started store."""
    opened = open_store(database_url, clock=clock)
    opened.start()
    yield opened
    opened.stop()
