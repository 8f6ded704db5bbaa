"""Parameters of a deployment that nobody can change."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class freeze(Generic[T]):
    """A parameter of a deployment that nobody can change: `parameters={"x": freeze(1)}`."""

    def __init__(self, value: T) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"freeze({self.value!r})"

    def unfreeze(self) -> T:
        return self.value


def frozen_parameters(
    parameters: Mapping[str, Any], schema: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The plain parameters, and the schema with those that are frozen marked as such.

    Raises `ValueError` for a frozen parameter that the flow does not have.
    """
    plain = {
        name: value.unfreeze() if isinstance(value, freeze) else value
        for name, value in parameters.items()
    }
    frozen = {name for name, value in parameters.items() if isinstance(value, freeze)}
    properties = dict(schema.get("properties", {}))
    unknown = frozen - properties.keys()
    if unknown:
        raise ValueError(
            f"the flow has no parameter {min(unknown)!r} that could be frozen; it has "
            f"{sorted(properties)}"
        )
    for name in frozen:
        properties[name] = {**properties[name], "readOnly": True, "enum": [plain[name]]}
    return plain, {**schema, "properties": properties} if frozen else schema
