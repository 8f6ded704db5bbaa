"""What importing and loading the settings may cost, in a process of its own."""

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
began = time.process_time()
from penstock.settings import get_current_settings
get_current_settings()
took = time.process_time() - began
print(json.dumps([took, sorted(set(sys.modules) - before)]))
"""


def measured(tmp_path: Path) -> tuple[float, list[str]]:
    environ = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    environ |= {
        "PYTHONPATH": str(SOURCE),
        "PYTHONPYCACHEPREFIX": str(tmp_path / "cache"),
        "PENSTOCK_HOME": str(tmp_path / "home"),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environ, cwd=tmp_path, check=True, capture_output=True
    )
    result: Any = json.loads(done.stdout)
    return result[0], result[1]


def test_settings_are_cheap(tmp_path: Path) -> None:
    runs = [measured(tmp_path) for _ in range(6)]
    loaded = {name for name in runs[0][1] if not name.startswith("penstock")}
    assert loaded == set(), f"the settings import {loaded}, which everyone would pay for"
    # The first run compiles; the least of the others is what the machine allows.
    assert min(took for took, _ in runs[1:]) < 0.008
