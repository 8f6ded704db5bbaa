"""Events of a pool's worker processes arrive although such a process leaves without atexit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import multiprocessing, sys

def work(name):
    from penstock.events import emit_event
    assert emit_event(name, {"prefect.resource.id": "demo.1"}) is not None

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    workers = [context.Process(target=work, args=(f"demo.{n}",)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    from penstock.client import get_client
    names = {event.event for event in get_client(sync_client=True).read_events().events}
    print(sorted(name for name in names if name.startswith("demo.")))
"""


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_the_last_events_of_a_worker_process_are_delivered(tmp_path: Path, method: str):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PENSTOCK_")},
        "PENSTOCK_HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, str(program), method],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['demo.0', 'demo.1']", done.stderr
