"""Settings as importable names: `from penstock.settings import PENSTOCK_API_URL`."""

from typing import Any

from penstock.settings.context import get_current_settings
from penstock.settings.declaration import PREFIXES
from penstock.settings.declaration import Setting as Declaration
from penstock.settings.model import Settings
from penstock.settings.table import by_variable


class Setting:
    """One setting by name; `value()` is its value in force."""

    def __init__(self, declaration: Declaration) -> None:
        self._declaration = declaration
        self.accessor = declaration.accessor
        self.name = declaration.name
        self.is_secret = declaration.is_secret

    def default(self) -> Any:
        return Settings({}).value(self._declaration)

    def value(self) -> Any:
        return self.value_from(get_current_settings())

    def value_from(self, settings: Settings) -> Any:
        return settings.value(self._declaration)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Setting) and other.accessor == self.accessor

    def __hash__(self) -> int:
        return hash(self.accessor)

    def __repr__(self) -> str:
        return f"<{self.name}: {self._declaration.kind.type_name}>"


def named(name: str) -> Setting | None:
    """The setting a public name stands for; `None` when it is none."""
    found = by_variable(name) if name.startswith(PREFIXES) else None
    return Setting(found[0]) if found else None
