"""What the class of a block says about its fields: schema, secrets, nested blocks."""

import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import SecretBytes, SecretStr

_SECRETS = (SecretStr, SecretBytes)


def slug_of(name: str) -> str:
    """A type's slug from its name: lower case, words joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def classes_in(annotation: Any) -> Iterator[type]:
    """The classes an annotation names, also inside unions and containers."""
    named = get_origin(annotation) or annotation
    if isinstance(named, type):
        yield named
    for inner in get_args(annotation):
        yield from classes_in(inner)


def nested_blocks(model: Any, base: type) -> dict[str, list[Any]]:
    """By field, the classes of blocks it takes."""
    found = {
        name: [one for one in classes_in(field.annotation) if issubclass(one, base)]
        for name, field in model.model_fields.items()
    }
    return {name: classes for name, classes in found.items() if classes}


def secret_fields(model: Any) -> list[str]:
    """Paths of the secrets: `field`, `field.inner` of a nested model, `field.*` of a mapping."""
    paths: list[str] = []
    for name, field in model.model_fields.items():
        for one in classes_in(field.annotation):
            if issubclass(one, _SECRETS):
                paths.append(f"{name}.*" if _is_mapping(field.annotation) else name)
            elif hasattr(one, "model_fields"):
                paths += [f"{name}.{inner}" for inner in secret_fields(one)]
        if field.json_schema_extra and dict(field.json_schema_extra).get("writeOnly"):
            paths.append(name)
    return list(dict.fromkeys(paths))


def _is_mapping(annotation: Any) -> bool:
    return any(issubclass(one, dict) for one in classes_in(annotation))


def schema_of(model: Any) -> dict[str, Any]:
    """The JSON schema of a block's own fields, as the server keeps it."""
    schema = model.model_json_schema(ref_template="#/definitions/{model}")
    if "$defs" in schema:
        schema["definitions"] = schema.pop("$defs")
    schema.setdefault("properties", {})
    for position, member in enumerate(schema["properties"].values()):
        member["position"] = position
    return {**schema, "secret_fields": secret_fields(model), "block_schema_references": {}}


def revealed(value: Any) -> Any:
    """`value` with the texts of secrets, for the server to keep."""
    if isinstance(value, _SECRETS):
        return revealed(value.get_secret_value())
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {key: revealed(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [revealed(item) for item in value]
    return value
