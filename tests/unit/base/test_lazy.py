"""Modules loaded on first use."""

import subprocess
import sys

import pytest

from penstock.base.lazy import LazyModule


def test_the_module_is_loaded_by_the_first_attribute_and_not_before():
    code = (
        "import sys\n"
        "from penstock.base.lazy import LazyModule\n"
        "lazy = LazyModule('colorsys')\n"
        "print('colorsys' in sys.modules, lazy)\n"
        "print(lazy.rgb_to_hsv(0, 0, 0), 'colorsys' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "False <lazy module 'colorsys'>",
        "(0.0, 0.0, 0) True",
    ]


def test_a_missing_module_is_reported_at_first_use():
    lazy = LazyModule("penstock_has_no_such_module")
    with pytest.raises(ModuleNotFoundError):
        _ = lazy.anything


def test_declaring_work_loads_no_heavy_library():
    code = (
        "import sys\n"
        "import penstock.states, penstock.results, penstock.transactions\n"
        "import penstock.cache_policies, penstock.flow_runs, penstock.input, penstock.runtime\n"
        "heavy = {'asyncio', 'pydantic', 'cloudpickle', 'lzma', 'urllib3', 'websockets', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
