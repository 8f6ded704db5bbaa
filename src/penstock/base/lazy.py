"""Modules that are loaded on first use.

Importing `penstock` must stay cheap, and some standard and third-party modules are not: asyncio,
pydantic, cloudpickle, lzma. A module that needs one of them only sometimes holds a `LazyModule`.
"""

from importlib import import_module
from types import ModuleType
from typing import Any


class LazyModule:
    """Stands for the module `name` and imports it when an attribute is first asked for.

    Raises the `ImportError` of the real import at that moment. Safe with threads: the import
    system's own lock decides who imports.
    """

    __slots__ = ("_module", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._module: ModuleType | None = None

    def __getattr__(self, attribute: str) -> Any:
        if self._module is None:
            self._module = import_module(self._name)
        return getattr(self._module, attribute)

    def __repr__(self) -> str:
        return f"<lazy module {self._name!r}>"
