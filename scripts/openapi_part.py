"""Cut the part of a contract's OpenAPI document that the operation table implements.

    python scripts/openapi_part.py CONTRACT.json tests/contract/openapi_part.json

Keeps the paths of the table's operations and every component they refer to, directly or not.
"""

import json
import sys
from pathlib import Path
from typing import Any

from penstock.schemas.operations import OPERATIONS

PREFIX = "#/components/schemas/"


def references(value: Any) -> set[str]:
    """Names of the components a part of the document refers to."""
    if isinstance(value, dict):
        found = (
            {value["$ref"].removeprefix(PREFIX)} if isinstance(value.get("$ref"), str) else set()
        )
        return found.union(*(references(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(references(item) for item in value))
    return set()


def part(contract: dict[str, Any]) -> dict[str, Any]:
    """The paths of the table with their components. Raises `KeyError` for an unknown operation."""
    paths: dict[str, Any] = {}
    for operation in OPERATIONS.values():
        if not operation.extension:
            method = operation.method.lower()
            entry = contract["paths"][operation.path][method]
            paths.setdefault(operation.path, {})[method] = entry
    components = contract["components"]["schemas"]
    needed: dict[str, Any] = {}
    waiting = references(paths)
    while waiting:
        name = waiting.pop()
        needed[name] = components[name]
        waiting |= references(components[name]) - set(needed)
    return {
        "info": contract["info"],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": dict(sorted(needed.items()))},
    }


def main() -> None:
    source, target = map(Path, sys.argv[1:3])
    document = part(json.loads(source.read_text()))
    target.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
