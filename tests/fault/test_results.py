"""Results and isolation when processes are killed."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from penstock.filesystems import LocalFileSystem
from penstock.results import ResultStore

WRITER = """
import sys
from pathlib import Path
from penstock.results import ResultStore
store = ResultStore(result_storage=Path(sys.argv[1]), cache_result_in_memory=False)
print("ready", flush=True)
number = 0
while True:
    number += 1
    store.write([number] * 20_000, key=f"k{number % 5}")
    if number == 7:
        print("writing", flush=True)
"""


def test_a_killed_writer_leaves_only_whole_results(tmp_path: Path) -> None:
    for _ in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        assert writer.stdout.readline() == "writing\n"
        writer.kill()
        writer.wait()
        writer.stdout.close()
        store = ResultStore(result_storage=LocalFileSystem(tmp_path))
        for key in range(5):
            values = store.read(f"k{key}").result
            assert len(values) == 20_000
            assert len(set(values)) == 1
            assert values[0] % 5 == key


COMPUTER = """
import os, sys
from pathlib import Path
from penstock.locking.filesystem import FileSystemLockManager
from penstock.results import ResultStore
from penstock.transactions import IsolationLevel, transaction
home, role = Path(sys.argv[1]), sys.argv[2]
store = ResultStore(
    result_storage=home / "results", lock_manager=FileSystemLockManager(home / "locks")
)
with transaction(key="k", store=store, isolation_level=IsolationLevel.SERIALIZABLE) as txn:
    if txn.is_committed():
        print("read", txn.read().result, flush=True)
    else:
        print("computing", flush=True)
        if role == "dies":
            sys.stdin.readline()  # nothing is ever written there; the test kills the process
        (home / f"computed-{os.getpid()}").touch()
        txn.stage(os.getpid())
"""


def start(home: Path, role: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", COMPUTER, str(home), role],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_one_process_computes_a_key_and_the_others_read_it(tmp_path: Path) -> None:
    processes = [start(tmp_path, "works") for _ in range(4)]
    outputs = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    computed = [path.name.removeprefix("computed-") for path in tmp_path.glob("computed-*")]
    assert len(computed) == 1
    assert sorted(output[0] for output in outputs) == ["computing", "read", "read", "read"]
    assert {output[1] for output in outputs if output[0] == "read"} == set(computed)


def test_when_the_computing_process_is_killed_another_one_computes(tmp_path: Path) -> None:
    victim = start(tmp_path, "dies")
    assert victim.stdout is not None
    assert victim.stdout.readline() == "computing\n"
    assert json.loads((tmp_path / "locks" / "k.lock").read_text())["owner"]
    others = [start(tmp_path, "works") for _ in range(2)]
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    outputs = [process.communicate(timeout=60)[0].split() for process in others]
    assert sorted(output[0] for output in outputs) == ["computing", "read"]
    assert len(list(tmp_path.glob("computed-*"))) == 1
