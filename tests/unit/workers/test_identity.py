"""Whose a process is: real processes of this machine."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from penstock.workers import identity
from penstock.workers.identity import (
    ProcessIdentity,
    alive,
    host_id,
    identity_of,
    parsed,
    terminate,
)

RUN = "0192f0c1-0000-7000-8000-000000000001"
SLEEP = "import time; time.sleep(60)"
PARENT = (
    "import subprocess, sys, time\n"
    f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n"
    "print(child.pid, flush=True)\n"
    "time.sleep(60)"
)


def start(code: str, run: str | None = RUN) -> subprocess.Popen[str]:
    environment = {**os.environ, **({"PENSTOCK__FLOW_RUN_ID": run} if run else {})}
    return subprocess.Popen(
        [sys.executable, "-S", "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """A run's process that has one child."""
    with start(PARENT) as running:
        yield running
        with_group(running.pid)


def with_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def of(process: subprocess.Popen[str]) -> ProcessIdentity:
    found = identity_of(process.pid)
    assert found is not None
    return found


def settled(process: subprocess.Popen[str]) -> int:
    """The number of the child, once it runs."""
    assert process.stdout is not None
    child = int(process.stdout.readline())
    for _ in range(100):
        if len(alive(of(process), RUN)) == 2:
            break
        time.sleep(0.01)
    return child


def test_an_identifier_says_what_it_was_made_of(process: subprocess.Popen[str]):
    one = of(process)
    assert parsed(str(one)) == one
    assert str(one).startswith(f"{host_id()}:{process.pid}:")


@pytest.mark.parametrize("text", ["", "host", "host:7", "host:1:5", "a:b:c", "host:12:", "::"])
def test_other_identifiers_are_not_understood(text: str):
    assert parsed(text) is None


def test_the_process_and_what_it_started_are_alive_until_killed(process: subprocess.Popen[str]):
    child = settled(process)
    one = of(process)
    assert sorted(alive(one, RUN)) == sorted([process.pid, child])
    assert terminate(one, RUN, signal.SIGKILL) == 2
    process.wait(5)
    for _ in range(100):
        if not alive(one, RUN):
            return
        time.sleep(0.01)
    raise AssertionError("something of the run is still alive")


def test_a_child_is_found_when_its_parent_is_gone(process: subprocess.Popen[str]):
    child = settled(process)
    one = of(process)
    process.kill()
    process.wait(5)
    assert alive(one, RUN) == [child]


def test_another_start_is_another_process(process: subprocess.Popen[str]):
    settled(process)
    older = replace(of(process), start=of(process).start - 1)
    assert alive(older, RUN) == []
    assert terminate(older, RUN, signal.SIGKILL) == 0
    assert process.poll() is None


def test_a_process_of_another_run_is_nobodys_business(process: subprocess.Popen[str]):
    settled(process)
    other = "0192f0c1-0000-7000-8000-000000000002"
    for _ in range(100):
        if not alive(of(process), other):
            return
        time.sleep(0.01)  # a process that was just forked has no environment to read yet
    raise AssertionError("a process of the run is taken for one of another run")


def test_a_zombie_is_dead():
    with start("pass") as running:
        one = of(running)
        for _ in range(200):
            if identity_of(running.pid) is None:
                break
            time.sleep(0.01)
        assert identity_of(running.pid) is None
        assert alive(one, RUN) == []


def test_hosts_are_told_apart():
    machine, boot, namespace = host_id().split("-")
    assert identity.is_here(ProcessIdentity(host_id(), 5, 5)) is True
    assert identity.is_here(ProcessIdentity(f"{machine}-{boot}-other", 5, 5)) is False
    assert identity.is_here(ProcessIdentity(f"other-{boot}-{namespace}", 5, 5)) is False
    assert identity.is_here(ProcessIdentity("name", 5, 5)) is False
    # The same machine after another boot: whatever ran is gone.
    assert identity.is_here(ProcessIdentity(f"{machine}-other-{namespace}", 5, 5)) is None
