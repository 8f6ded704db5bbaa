"""The public names of the package and what importing them costs."""

import subprocess
import sys

import pytest

import penstock

HEAVY = ("asyncio", "pydantic", "urllib3", "websockets", "rich", "yaml", "ruamel", "cloudpickle")


@pytest.mark.parametrize("name", penstock.__all__)
def test_every_public_name_is_there(name: str):
    assert getattr(penstock, name) is not None


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="nothing"):
        _ = penstock.nothing
    assert sorted(penstock.__all__) == dir(penstock)


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_declaring_flows_loads_nothing_heavy():
    code = f"""
import sys
from penstock import flow, task
@flow
def f(n: int): ...
@task
def t(): ...
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    assert run(code) == "[]"


def test_importing_the_package_alone_loads_no_part_of_it():
    code = """
import sys
import penstock
print([m for m in sys.modules if m.startswith('penstock.') and not m.startswith('penstock.base')])
"""
    assert run(code) == "[]"
