"""Telling processes apart."""

import os
import subprocess
import sys

from penstock.locking.owner import current_owner, is_dead


def test_this_process_lives():
    owner = current_owner()
    assert owner is not None
    assert owner.pid == os.getpid()
    assert current_owner() == owner
    assert not is_dead(owner)


def test_a_process_that_has_ended_is_dead_even_before_it_is_waited_for():
    process = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    owner = current_owner()
    assert owner is not None
    other = owner._replace(pid=process.pid, started=_start_of(process.pid))
    assert not is_dead(other)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead(other)
    process.communicate()
    assert is_dead(other)


def test_a_process_with_the_same_number_and_another_start_is_another_one():
    owner = current_owner()
    assert owner is not None
    assert is_dead(owner._replace(started="1"))


def test_nothing_is_known_of_processes_elsewhere():
    owner = current_owner()
    assert owner is not None
    assert not is_dead(owner._replace(kernel="another machine", started="1"))


def _start_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[19]
