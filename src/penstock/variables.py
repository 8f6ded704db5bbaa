"""Variables: named JSON values that flows read and people set.

A value is at most 5000 bytes as JSON. Every method has a coroutine under its `a` name.
"""

from typing import Any, Self

from pydantic import BaseModel, Field

from penstock.base.dual import Steps, dual
from penstock.schemas.errors import ObjectAlreadyExists, ObjectNotFound
from penstock.schemas.variables import MAX_VARIABLE_NAME_LENGTH, VariableCreate, VariableUpdate
from penstock.steps import Request

__all__ = ["MAX_VARIABLE_NAME_LENGTH", "StrictVariableValue", "Variable"]

StrictVariableValue = str | bool | int | float | dict[str, Any] | list[Any] | None


class Variable(BaseModel):
    """One variable, as it was when it was set.

    Names consist of lower-case letters, digits, `_` and `-`.
    """

    name: str = Field(max_length=MAX_VARIABLE_NAME_LENGTH)
    value: StrictVariableValue
    tags: list[str] | None = None

    @classmethod
    def set(
        cls,
        name: str,
        value: StrictVariableValue,
        tags: list[str] | None = None,
        overwrite: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Set a variable. Raises `ValueError` when it is there and `overwrite` is not given.

        Overwriting without tags takes the tags away.
        """
        return _set_either(cls, name, value, tags, overwrite, **kwargs)

    @classmethod
    async def aset(
        cls,
        name: str,
        value: StrictVariableValue,
        tags: list[str] | None = None,
        overwrite: bool = False,
    ) -> Self:
        """As `set`."""
        return await _aset(cls, name, value, tags, overwrite)

    @classmethod
    def get(cls, name: str, default: StrictVariableValue = None, **kwargs: Any) -> Any:
        """The value of a variable, `default` when there is none of that name."""
        return _get_either(name, default, **kwargs)

    @classmethod
    async def aget(cls, name: str, default: StrictVariableValue = None) -> StrictVariableValue:
        """As `get`."""
        return await _aget(name, default)

    @classmethod
    def unset(cls, name: str, **kwargs: Any) -> Any:
        """Delete a variable; whether there was one."""
        return _unset_either(name, **kwargs)

    @classmethod
    async def aunset(cls, name: str) -> bool:
        """As `unset`."""
        return await _aunset(name)


def _set_variable(
    kind: type[Any],
    name: str,
    value: StrictVariableValue,
    tags: list[str] | None,
    overwrite: bool,
) -> Steps[Any]:
    made = kind(name=name, value=value, tags=tags)
    body = VariableCreate(name=name, value=value, tags=tags or [])
    try:
        yield Request("create_variable", body=body)
    except ObjectAlreadyExists:
        if not overwrite:
            raise ValueError(
                f"a variable named {name!r} already exists; pass overwrite=True to replace it"
            ) from None
        change = VariableUpdate(value=value, tags=tags or [])
        yield Request("update_variable_by_name", name, body=change)
    return made


def _get_variable(name: str, default: StrictVariableValue) -> Steps[StrictVariableValue]:
    try:
        return (yield Request("read_variable_by_name", name)).value
    except ObjectNotFound:
        return default


def _unset_variable(name: str) -> Steps[bool]:
    try:
        yield Request("delete_variable_by_name", name)
    except ObjectNotFound:
        return False
    return True


_set_either, _aset = dual(_set_variable)
_get_either, _aget = dual(_get_variable)
_unset_either, _aunset = dual(_unset_variable)
