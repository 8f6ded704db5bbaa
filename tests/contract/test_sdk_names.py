"""Every public name of the contract's SDK is here, or on the dated list of what is missing."""

import importlib.util
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SCRIPT = HERE.parents[1] / "scripts" / "sdk_part.py"


def script() -> Any:
    spec = importlib.util.spec_from_file_location("sdk_part", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_public_name_is_missing_that_is_not_listed() -> None:
    names = json.loads((HERE / "sdk_names.json").read_text())
    listed = json.loads((HERE / "sdk_missing.json").read_text())
    found = script().missing(names)
    assert set(found["modules"]) <= set(listed["modules"])
    new = {
        module: sorted(set(absent) - set(listed["names"].get(module, ())))
        for module, absent in found["names"].items()
        if module not in listed["modules"]
    }
    assert {module: absent for module, absent in new.items() if absent} == {}


def test_the_comparison_finds_what_is_missing() -> None:
    names = {"prefect.flows": ["flow", "no_such_name"], "prefect.no_such_module": ["x"]}
    assert script().missing(names) == {
        "modules": ["prefect.no_such_module"],
        "names": {"prefect.flows": ["no_such_name"]},
    }
