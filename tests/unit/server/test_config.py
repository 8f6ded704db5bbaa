from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock.server.config import ServerConfig
from penstock.settings import get_current_settings, temporary_settings


def configured(**changes: Any) -> ServerConfig:
    with temporary_settings(changes):
        return ServerConfig.from_settings(get_current_settings())


def test_values_come_from_the_settings(tmp_path: Path):
    config = configured(
        PENSTOCK_HOME=str(tmp_path),
        PENSTOCK_SERVER_API_AUTH_STRING="me:hunter2",
        PENSTOCK_SERVER_API_DEFAULT_LIMIT="50",
        PENSTOCK_SERVER_CSRF_PROTECTION_ENABLED="true",
        PENSTOCK_SERVER_CSRF_TOKEN_EXPIRATION="PT10M",
        PENSTOCK_SERVER_LOGS_STREAM_OUT_ENABLED="true",
    )
    assert config.home == tmp_path
    assert config.auth_string == "me:hunter2"
    assert config.limits.page == 50
    assert config.csrf_enabled
    assert config.csrf_expiration == timedelta(minutes=10).total_seconds()
    assert config.logs_stream_enabled
    assert config.database_url.startswith("sqlite")
    assert "hunter2" not in str(config.displayed_settings)
    assert config.displayed_settings["server"]["api"]["default_limit"] == 50


@pytest.mark.parametrize(
    ("given", "base"),
    [(None, "/api"), ("", "/api"), ("/", ""), ("flows", "/flows"), ("/a/b/", "/a/b")],
)
def test_the_base_path(given: str | None, base: str):
    changes = {} if given is None else {"PENSTOCK_SERVER_API_BASE_PATH": given}
    assert configured(**changes).base_path == base


POSTGRES = "postgresql+asyncpg://me@db/x"


@pytest.mark.parametrize(
    ("changes", "bus"),
    [
        ({}, "memory"),
        ({"PENSTOCK_SERVER_DATABASE_CONNECTION_URL": POSTGRES}, "postgresql"),
        ({"PENSTOCK_MESSAGING_BROKER": "redis"}, "redis://localhost:6379/0"),
        (
            {
                "PENSTOCK_MESSAGING_BROKER": "prefect_redis.messaging",
                "PENSTOCK_REDIS_MESSAGING_HOST": "cache",
                "PENSTOCK_REDIS_MESSAGING_PASSWORD": "p@ss/word",
                "PENSTOCK_REDIS_MESSAGING_SSL": "true",
            },
            "rediss://default:p%40ss%2Fword@cache:6379/0",
        ),
        (
            {
                "PENSTOCK_MESSAGING_BROKER": "redis",
                "PENSTOCK_REDIS_MESSAGING_URL": "redis://elsewhere:7000/3",
            },
            "redis://elsewhere:7000/3",
        ),
    ],
)
def test_the_bus(changes: dict[str, str], bus: str):
    assert configured(**changes).bus == bus
