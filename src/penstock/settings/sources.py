"""Where settings come from: one function per source, each giving what it holds.

Nothing is parsed to the setting's type here, so that a wrong value that a stronger source
overrides does no harm. Names that are no setting are left out.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from penstock.schemas.errors import SettingsError
from penstock.settings.declaration import PREFIXES
from penstock.settings.table import SETTINGS, by_variable

ENVIRONMENT = "environment variable"
DOTENV = ".env file"
PROJECT_FILE = "project file"
PROFILE = "profile"
ARGUMENT = "argument"


class Given:
    """A value as a source gives it, and what to call that source in messages.

    `kind` is one of the words above, `place` the file or profile, `key` the name used there.
    """

    __slots__ = ("key", "kind", "place", "raw")

    def __init__(self, raw: Any, kind: str, place: str, key: str) -> None:
        self.raw = raw
        self.kind = kind
        self.place = place
        self.key = key

    def __str__(self) -> str:
        if self.kind == ENVIRONMENT:
            return f"environment variable {self.key}"
        if self.kind == ARGUMENT:
            return f"argument {self.key}"
        return f"{self.key} in {self.place}"


def from_variables(variables: Mapping[str, Any], kind: str, place: str) -> dict[str, Given]:
    """What environment-style names give; the strongest name of a setting wins."""
    found: dict[str, Given] = {}
    ranks: dict[str, int] = {}
    for name, raw in variables.items():
        if name[:1] not in "Pp" or (named := by_variable(name)) is None:
            continue
        setting, rank = named
        if rank < ranks.get(setting.accessor, len(PREFIXES) * 2) and not (
            kind in (ENVIRONMENT, DOTENV) and _is_blank(raw, setting)
        ):
            ranks[setting.accessor] = rank
            found[setting.accessor] = Given(raw, kind, place, name)
    return found


def _is_blank(raw: Any, setting: Any) -> bool:
    # An empty variable is how a shell says "not set", except where nothing is a value.
    return raw == "" and not (setting.kind.optional or setting.kind.takes_empty)


def from_table(table: Mapping[str, Any], place: str) -> dict[str, Given]:
    """What a TOML table gives, whose nested tables follow the accessors."""
    hoisted = table.get("experiments")
    if isinstance(hoisted, Mapping) and isinstance(hoisted.get("plugins"), Mapping):
        # Plugins were once experimental; their old place still counts, but less.
        table = {**table, "plugins": {**hoisted["plugins"], **table.get("plugins", {})}}
    return {key: Given(raw, PROJECT_FILE, place, key) for key, raw in flatten(table)}


def flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Accessor and value of each setting in nested tables; the rest is left out."""
    for name, value in table.items():
        accessor = f"{prefix}{name}"
        if accessor in SETTINGS:
            yield accessor, value
        elif isinstance(value, Mapping):
            yield from flatten(value, f"{accessor}.")


def read_dotenv(path: str) -> dict[str, str]:
    """Penstock's variables in an env file; empty when there is no such file.

    Lines are `NAME=value`, with optional `export`, quotes, and a `#` comment after a blank.
    """
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123  (path objects cost more here)
            lines = file.read().splitlines()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the env file {path} cannot be read: {error}; repair it") from error
    variables = {}
    for line in lines:
        name, equals, text = line.strip().removeprefix("export ").partition("=")
        name = name.strip()
        if equals and name.upper().startswith(PREFIXES):
            variables[name] = _unquoted(text.strip())
    return variables


def _unquoted(text: str) -> str:
    quote = text[:1]
    if quote in ("'", '"') and (end := text.find(quote, 1)) > 0:
        return text[1:end]
    return text.split(" #", 1)[0].rstrip()


def read_toml(path: str, *words: bytes) -> dict[str, Any]:
    """The TOML document at `path`; empty when there is none.

    With `words`, a file that holds none of them is not parsed and counts as empty. Raises
    `SettingsError` for a file that is not TOML.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123  (path objects cost more here)
            content = file.read()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return {}
    except OSError as error:
        raise SettingsError(f"the file {path} cannot be read: {error}; repair it") from error
    if words and not any(word in content for word in words):
        return {}
    # Most processes have no such file, and the parser costs more than all settings together.
    import tomllib

    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"the file {path} is not valid TOML: {error}; repair it") from error


def _project_tables(directory: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    for name in ("penstock", "prefect"):
        path = os.path.join(directory, f"{name}.toml")  # noqa: PTH118  (as above)
        yield read_toml(path), f"{name}.toml"
    path = os.path.join(directory, "pyproject.toml")  # noqa: PTH118  (as above)
    tools = read_toml(path, b"penstock", b"prefect").get("tool", {})
    for name in ("penstock", "prefect"):
        if isinstance(table := tools.get(name), Mapping):
            yield table, f"pyproject.toml [tool.{name}]"


def project_layers(directory: str) -> Iterator[dict[str, Given]]:
    """What the files of the working directory give, strongest first."""
    for table, place in _project_tables(directory):
        yield from_table(table, place)


def project_values(directory: str) -> Iterator[Given]:
    """Every leaf of those files, whether it is a setting or not."""
    for table, place in _project_tables(directory):
        for key, raw in _leaves(table):
            yield Given(raw, PROJECT_FILE, place, key)


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        accessor = f"{prefix}{name}"
        if isinstance(value, Mapping) and accessor not in SETTINGS:
            yield from _leaves(value, f"{accessor}.")
        else:
            yield accessor, value
