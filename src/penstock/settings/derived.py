"""Values of settings that follow from other settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from penstock.settings.declaration import PREFIXES
from penstock.settings.secret import Secret
from penstock.settings.sources import Given

_PASSWORDS = tuple(
    f"${{{prefix}{stem}}}"
    for prefix in PREFIXES
    for stem in ("SERVER_DATABASE_PASSWORD", "API_DATABASE_PASSWORD")
)
_SCHEMES = ("sqlite", "postgresql", "postgres")


def with_home(text: str, home: Path) -> str:
    """`text` with `$PENSTOCK_HOME` and `${PENSTOCK_HOME}` replaced."""
    if "$" not in text:
        return text
    for prefix in PREFIXES:
        for pattern in (f"${{{prefix}HOME}}", f"${prefix}HOME"):
            text = text.replace(pattern, str(home))
    return text


def derive(values: dict[str, Any], given: Mapping[str, Given], problems: list[str]) -> None:
    """Fill in what follows from other settings; what cannot be is told in `problems`."""
    if any(values[key] for key in ("debug_mode", "testing.test_mode", "testing.unit_test_mode")):
        values["logging.level"] = values["internal.logging_level"] = "DEBUG"
    if not values["ui_url"] and values["api.url"]:
        values["ui_url"] = ui_address(values["api.url"])
    if not values["server.ui.api_url"]:
        host, port = values["server.api.host"], values["server.api.port"]
        base = values["server.api.base_path"] or "/api"
        values["server.ui.api_url"] = values["api.url"] or f"http://{host}:{port}{base}"
    _database(values, given, problems)


def ui_address(api_url: str) -> str:
    """The UI address that belongs to an API address."""
    return api_url.rstrip("/").removesuffix("/api")


def _database(values: dict[str, Any], given: Mapping[str, Given], problems: list[str]) -> None:
    url = values["server.database.connection_url"]
    source = given.get("server.database.connection_url")
    if url is None:
        text = _assembled(values, problems)
    else:
        text = _substituted(with_home(url.get_secret_value(), values["home"]), values, problems)
    scheme = text.split(":", 1)[0].split("+", 1)[0]
    if text and scheme not in _SCHEMES:
        problems.append(
            f"setting server.database.connection_url ({source}) begins with {scheme!r}; "
            "begin it with sqlite:/// or postgresql://"
        )
    values["server.database.connection_url"] = Secret(text)


def _assembled(values: Mapping[str, Any], problems: list[str]) -> str:
    part = {name: values[f"server.database.{name}"] for name in ("driver", "host", "user", "name")}
    if (part["driver"] or "sqlite").startswith("sqlite"):
        return f"sqlite:///{part['name'] or values['home'] / 'penstock.db'}"
    missing = [name for name in ("host", "user", "name") if not part[name]]
    if missing:
        problems.append(
            "a PostgreSQL database needs server.database."
            + ", server.database.".join(missing)
            + "; set them or server.database.connection_url"
        )
        return ""
    password = values["server.database.password"]
    login = quote(part["user"], safe="")
    if password:
        login += ":" + quote(password.get_secret_value(), safe="")
    port = values["server.database.port"] or 5432
    return f"{part['driver']}://{login}@{part['host']}:{port}/{part['name']}"


def _substituted(text: str, values: Mapping[str, Any], problems: list[str]) -> str:
    for placeholder in _PASSWORDS:
        if placeholder not in text:
            continue
        password = values["server.database.password"]
        if not password:
            problems.append(
                f"setting server.database.connection_url holds {placeholder}, and no password is "
                "set; set server.database.password"
            )
            return ""
        text = text.replace(placeholder, quote(password.get_secret_value(), safe=""))
    return text
