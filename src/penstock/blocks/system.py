"""Blocks that everybody needs."""

from typing import Any, Generic, TypeVar

from pydantic import Field, SecretStr, field_validator

from penstock.blocks.core import Block

T = TypeVar("T")


class Secret(Block, Generic[T]):
    """One value that the server encrypts and shows masked."""

    _block_type_name = "Secret"
    _block_type_slug = "secret"

    value: Any = Field(json_schema_extra={"writeOnly": True, "format": "password"}, repr=False)

    @field_validator("value")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return value.get_secret_value() if isinstance(value, SecretStr) else value

    def get(self) -> Any:
        """The value."""
        return self.value

    def __str__(self) -> str:
        return "Secret(value='********')"
