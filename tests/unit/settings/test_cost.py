"""What importing and loading the settings may cost, counted in a process of its own.

A count is the same on every machine; what it takes in time is measured by `benchmarks/costs.py`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[3] / "src"
SCRIPT = """
import contextvars, datetime, importlib, json, pathlib, sys, threading, time, typing, urllib.parse
before = set(sys.modules)
from penstock.settings import get_current_settings
loaded = sorted(set(sys.modules) - before)
calls = 0
def note(frame, event, argument):
    global calls
    calls += event == "call"
sys.setprofile(note)
get_current_settings()
sys.setprofile(None)
print(json.dumps([loaded, sorted(set(sys.modules) - before), calls]))
"""
MODULES = 24
"""Modules of Penstock that the settings may consist of."""
CALLS = 540
"""Python functions that may run to load them once, where no file gives any."""


def measured(tmp_path: Path) -> tuple[list[str], list[str], int]:
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PENSTOCK_", "PREFECT_"))
    }
    environ |= {"PYTHONPATH": str(SOURCE), "PENSTOCK_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environ, cwd=tmp_path, check=True, capture_output=True
    )
    result: Any = json.loads(done.stdout)
    return result[0], result[1], result[2]


def test_settings_are_cheap(tmp_path: Path) -> None:
    imported, loaded, calls = measured(tmp_path)
    foreign = {name for name in loaded if not name.startswith("penstock")}
    assert foreign == set(), f"the settings import {foreign}, which everyone would pay for"
    assert loaded == imported, "loading the settings imports nothing more"
    assert len(loaded) <= MODULES
    assert calls <= CALLS
