"""`from penstock import flow, task` loads what declaring needs, and nothing else.

What it takes in time is measured by `benchmarks/compare.py`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from penstock import flow, task
loaded = sorted(sys.modules)
import json
print(json.dumps(loaded))
"""
HEAVY = {
    "asyncio",
    "concurrent.futures",
    "dataclasses",
    "datetime",
    "hashlib",
    "inspect",
    "ipaddress",
    "json",
    "logging",
    "msgspec",
    "pathlib",
    "pydantic",
    "rich",
    "socket",
    "tomllib",
    "urllib.parse",
    "urllib3",
    "uuid",
    "websockets",
}
OWN_MODULES = 24
"""Modules of Penstock that declaring may load."""
ALL_MODULES = 100
"""Modules in all, those of a bare interpreter included."""


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    # Isolated and without site packages, whose start-up files load modules of their own.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SCRIPT, str(SOURCE)], check=True, capture_output=True
    )
    return set(json.loads(done.stdout))


def test_nothing_heavy_is_loaded(loaded: set[str]) -> None:
    assert loaded & HEAVY == set()


def test_few_modules_are_loaded(loaded: set[str]) -> None:
    assert len([name for name in loaded if name.split(".")[0] == "penstock"]) <= OWN_MODULES
    assert len(loaded) <= ALL_MODULES
