"""Which process a run is, so that nobody else's is ever killed for it.

A process number alone says nothing: it is used again, and other machines and containers have the
same ones. The identifier of a run's process is `host:pid:start`: the host it runs on, its number,
and the moment it started as the kernel counts it. The host is made of three parts: the machine
with its name, its boot, and the namespace of process numbers.

A run's process leads a process group (and a session) of its own. What it started is found by that
group and session, also when the process itself is gone already: the kernel gives nobody else a
number that still names a group.
"""

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path

from msgspec import Struct

MARKERS = ("PENSTOCK__FLOW_RUN_ID", "PREFECT__FLOW_RUN_ID")
"""Variables that carry the id of the flow run in its process and in those it starts."""

_PROC = Path("/proc")
_DEAD = frozenset("ZX")


class ProcessIdentity(Struct, frozen=True):
    """One process of one host. `host` is `host_id()` there."""

    host: str
    pid: int
    start: int

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}:{self.start}"


class _Found(Struct, frozen=True):
    pid: int
    state: str
    group: int
    session: int
    start: int


@cache
def host_id() -> str:
    """The machine, its boot and its namespace of process numbers, as one word without colons."""
    machine = _text("/etc/machine-id") + socket.gethostname()
    boot = _text(f"{_PROC}/sys/kernel/random/boot_id")
    namespace = ""
    with contextlib.suppress(OSError):
        namespace = str((_PROC / "self/ns/pid").readlink())
    return "-".join(
        hashlib.sha256(one.encode()).hexdigest()[:8] for one in (machine, boot, namespace)
    )


def identity_of(pid: int) -> ProcessIdentity | None:
    """The identity of a process that runs on this host, None when there is none."""
    found = _look(pid)
    return None if found is None else ProcessIdentity(host_id(), pid, found.start)


def parsed(identifier: str) -> ProcessIdentity | None:
    """What an identifier says, None when it is of another form."""
    host, _, rest = identifier.partition(":")
    pid, _, start = rest.partition(":")
    if not host or not pid.isdecimal() or not start.isdecimal() or int(pid) < 2:
        return None
    return ProcessIdentity(host, int(pid), int(start))


def is_here(identity: ProcessIdentity) -> bool | None:
    """Whether a process runs, or has run, among those this process can see.

    None when the machine was started anew since: then the process is gone.
    """
    if identity.host == host_id():
        return True
    there, here = identity.host.split("-"), host_id().split("-")
    same_machine = there[0] == here[0] and len(there) == len(here)
    return None if same_machine and there[1] != here[1] else False


def alive(identity: ProcessIdentity, flow_run_id: str) -> list[int]:
    """Processes of a run on this host: its own, and those of its group and session.

    The leader counts when its start is the one of the identity. Others count when they are not
    older than it. None counts whose environment names another run; one whose environment cannot
    be read counts, since only the run's own group can have led there.
    """
    return [
        one.pid
        for one in _group(identity)
        if _marked(one.pid, flow_run_id) is not False and one.pid != os.getpid()
    ]


def terminate(identity: ProcessIdentity, flow_run_id: str, number: signal.Signals) -> int:
    """Send a signal to every process of a run on this host; how many there were.

    Each one is looked at again right before. Raises `PermissionError` for one of another user.
    """
    pids = alive(identity, flow_run_id)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    return len(pids)


def _group(identity: ProcessIdentity) -> Iterator[_Found]:
    leader = _look(identity.pid)
    if leader is not None and leader.start != identity.start:
        # The number belongs to another process now, so the group of the old one is gone as well.
        return
    for pid in _pids():
        found = _look(pid)
        if found is None or found.start < identity.start:
            continue
        if pid == identity.pid or identity.pid in (found.group, found.session):
            yield found


def _pids() -> list[int]:
    try:
        return [int(one.name) for one in _PROC.iterdir() if one.name.isdecimal()]
    except OSError:
        done = subprocess.run(["ps", "-axo", "pid="], capture_output=True, text=True)  # noqa: S607
        return [int(one) for one in done.stdout.split()]


def _look(pid: int) -> _Found | None:
    """What the kernel says of a living process."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return _look_elsewhere(pid) if not _PROC.is_dir() else None
    # The name stands in parentheses and may itself contain any of both.
    rest = text.rpartition(")")[2].split()
    state = rest[0]
    if state in _DEAD:
        return None
    return _Found(pid, state, int(rest[2]), int(rest[3]), int(rest[19]))


def _look_elsewhere(pid: int) -> _Found | None:
    """The same where the kernel has no /proc: the start in seconds."""
    done = subprocess.run(  # noqa: S603
        ["ps", "-o", "stat=,pgid=,lstart=", "-p", str(pid)],  # noqa: S607
        capture_output=True,
        text=True,
        env={"LC_ALL": "C", "PATH": os.defpath},
    )
    words = done.stdout.split()
    if done.returncode or len(words) < 7 or words[0][0] in _DEAD:
        return None
    started = datetime.strptime(" ".join(words[2:7]), "%a %b %d %H:%M:%S %Y").astimezone()
    return _Found(pid, words[0][0], int(words[1]), os.getsid(pid), int(started.timestamp()))


def _marked(pid: int, flow_run_id: str) -> bool | None:
    """Whether the environment names this run; None when it cannot be read or names none."""
    try:
        entries = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    told = {
        entry.partition(b"=")[2].decode(errors="replace")
        for entry in entries
        if entry.partition(b"=")[0].decode(errors="replace") in MARKERS
    }
    return None if not told else flow_run_id in told


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
