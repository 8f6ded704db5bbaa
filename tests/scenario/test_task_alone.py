"""A program that only runs a task, without any server: its run is kept all the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = {
    "sync": """
from penstock import task
@task
def alone(): return 1
alone()
""",
    "async": """
import asyncio
from penstock import task
@task
async def alone(): return 1
asyncio.run(alone())
""",
    "generator": """
from penstock import task
@task
def alone(): yield 1
list(alone())
""",
}

LOOK = """
from penstock import get_client
from penstock.schemas.task_runs import TaskRunsFilterPage
runs = get_client(sync_client=True).call("read_task_runs", body=TaskRunsFilterPage())
print([(run.name, run.state_name) for run in runs])
"""


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_run_is_kept_after_the_program_ended(name: str, tmp_path: Path) -> None:
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PENSTOCK_", "PREFECT_"))
    }
    environment = inherited | {"PENSTOCK_HOME": str(tmp_path)}

    def run(code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    done = run(PROGRAMS[name])
    assert "lost" not in done.stderr
    assert run(LOOK).stdout.strip() == "[('alone', 'Completed')]"
