"""What a block's JSON schema says: its checksum, and what it refers to.

The checksum is computed by clients and by the server alike, so that a client can ask for its
schema before it sends it. It leaves out `secret_fields`, and definitions of nested blocks, which
have schemas of their own.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

REFERENCES = "block_schema_references"
_DEFINITIONS = "#/definitions/"


class ReferenceInvalid(ValueError):
    """A reference to a nested block's schema that does not say which."""


def checksum(fields: Mapping[str, Any]) -> str:
    """`sha256:` and the digest of the schema's canonical text."""
    kept = {
        name: value
        for name, value in fields.items()
        if name not in ("secret_fields", "definitions")
    }
    definitions = _own_definitions(fields)
    if definitions:
        kept["definitions"] = definitions
    # Clients hash the arguments of a call: one positional, none by name.
    text = json.dumps([[kept], {}], sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def references(fields: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Member, slug of the type and checksum of each nested block's schema.

    A member that takes several types of blocks has several. Raises `ReferenceInvalid`.
    """
    given = fields.get(REFERENCES) or {}
    if not isinstance(given, Mapping):
        raise ReferenceInvalid(f"{REFERENCES} is no object")
    for name, entry in given.items():
        for one in entry if isinstance(entry, list) else [entry]:
            slug = one.get("block_type_slug") if isinstance(one, Mapping) else None
            digest = one.get("block_schema_checksum") if isinstance(one, Mapping) else None
            if not isinstance(slug, str) or not isinstance(digest, str):
                raise ReferenceInvalid(
                    f"{REFERENCES}.{name} names no block_type_slug and block_schema_checksum"
                )
            yield name, slug, digest


def _own_definitions(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Definitions the properties lead to, also through nested blocks, that are no blocks."""
    definitions = fields.get("definitions")
    if not isinstance(definitions, Mapping):
        return {}
    kept: dict[str, Any] = {}
    seen: set[str] = set()
    waiting: list[Any] = [fields.get("properties")]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, Mapping):
            waiting += value.values()
            target = value.get("$ref")
            if not isinstance(target, str) or not target.startswith(_DEFINITIONS):
                continue
            name = target.removeprefix(_DEFINITIONS)
            if name in definitions and name not in seen:
                seen.add(name)
                definition = definitions[name]
                is_block = isinstance(definition, Mapping) and REFERENCES in definition
                if is_block:
                    waiting.append(definition.get("properties"))
                elif definition:  # clients leave out the one that takes anything
                    kept[name] = definition
                    waiting.append(definition)
    return kept
