"""The names that the contract's SDK has, module by module, and which of them are missing here.

    python scripts/sdk_part.py CONTRACT NAMES     writes the names of the primary modules
    python scripts/sdk_part.py --missing NAMES    writes those that Penstock does not have

CONTRACT is the description of the whole SDK, NAMES `tests/contract/sdk_names.json`; what is missing
goes beside it as `sdk_missing.json`.
"""

import importlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

IMPLEMENTATION = frozenset({"reexport", "type_alias", "constant"})
"""Kinds of members of modules without `__all__` that are there by the way."""


def main() -> None:
    if sys.argv[1] == "--missing":
        path = Path(sys.argv[2])
        names = json.loads(path.read_text())
        found = {"as_of": datetime.now(UTC).date().isoformat(), **missing(names)}
        write(path.with_name("sdk_missing.json"), found)
        return
    contract = json.loads(Path(sys.argv[1]).read_text())
    modules = {
        name: contract["modules"].get(name, {}) for name in contract["meta"]["primary_modules"]
    }
    write(Path(sys.argv[2]), {name: public(module) for name, module in sorted(modules.items())})


def public(module: dict[str, Any]) -> list[str]:
    """The names that users are meant to import from a module."""
    stated = module.get("all")
    if stated is not None:
        return sorted(stated)
    members = module.get("members", {})
    return sorted(
        name
        for name, member in members.items()
        # Settings are public in their own module alone.
        if not name.startswith(("_", "PREFECT_")) and member.get("kind") not in IMPLEMENTATION
    )


def missing(names: dict[str, list[str]]) -> dict[str, Any]:
    """Modules that cannot be imported here, and names that other modules do not have."""
    modules, absent = [], {}
    for module, wanted in names.items():
        try:
            ours = importlib.import_module(renamed(module))
        except ModuleNotFoundError:
            modules.append(module)
            continue
        lacking = [name for name in wanted if not has(ours, name)]
        if lacking:
            absent[module] = lacking
    return {"modules": modules, "names": absent}


def has(module: Any, name: str) -> bool:
    return hasattr(module, name) or hasattr(module, name.replace("Prefect", "Penstock"))


def renamed(module: str) -> str:
    return module.replace("prefect", "penstock", 1)


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    main()
