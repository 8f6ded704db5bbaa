"""Every test here runs on both databases, each test on a database of its own."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from tests.prepared import copy_sqlite, postgres_schema

from penstock.base.clock import ManualClock
from penstock.server.store import Store, open_store

POSTGRES = os.environ.get("PENSTOCK_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")


def _of_database(name: str) -> str:
    return urlunsplit(urlsplit(POSTGRES)._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def postgres_database() -> Iterator[str | None]:
    """The URL of a database of this test run; None when no server can be reached.

    A database of its own, because readers of the event log wait for every transaction that is
    open in theirs.
    """
    try:
        connection = psycopg.connect(POSTGRES, connect_timeout=3, autocommit=True)
    except psycopg.OperationalError:
        yield None
        return
    name = f"penstock_store_{uuid4().hex}"
    with closing(connection):
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield _of_database(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def postgres_url(postgres_database: str | None) -> Iterator[str]:
    """The URL of an empty schema in PostgreSQL that is gone after the test."""
    if postgres_database is None:
        pytest.skip("2026-11-25: no PostgreSQL server answers at PENSTOCK_TEST_POSTGRES")
    schema = f"store_{uuid4().hex}"
    with closing(psycopg.connect(postgres_database, autocommit=True)) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
        separator = "&" if "?" in postgres_database else "?"
        yield f"{postgres_database}{separator}options=-c%20search_path%3D{schema}"
        connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_database: str | None
) -> Iterator[str]:
    """The URL of a database with empty tables."""
    if request.param == "sqlite":
        copy_sqlite(tmp_path / "store.db")
        yield f"sqlite:///{tmp_path}/store.db"
    elif postgres_database is None:
        pytest.skip("2026-11-25: no PostgreSQL server answers at PENSTOCK_TEST_POSTGRES")
    else:
        with postgres_schema(postgres_database) as url:
            yield url


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
