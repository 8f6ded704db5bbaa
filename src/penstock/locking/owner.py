"""Which process holds a lock, told apart from every other process that ever ran.

A process id alone says little: it is used again, and means something else in another container.
Together with the boot, the process id namespace and the start time it names one process.
"""

import os
from functools import cache
from pathlib import Path
from typing import NamedTuple


class Owner(NamedTuple):
    """One process. `kernel` names its machine, boot and process id namespace."""

    kernel: str
    pid: int
    started: str


@cache
def kernel() -> str | None:
    """The name of the world this process's ids are valid in; None where it cannot be known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None
    return f"{boot}/{namespace}"


def current_owner() -> Owner | None:
    """This process, or None where processes cannot be told apart."""
    here = kernel()
    started = _started(os.getpid())
    return Owner(here, os.getpid(), started) if here is not None and started is not None else None


def is_dead(owner: Owner) -> bool:
    """Whether the process has surely ended. False when it lives, and when it runs elsewhere and
    nothing can be known of it."""
    return owner.kernel == kernel() and _started(owner.pid) != owner.started


def _started(pid: int) -> str | None:
    """When a process was started, in clock ticks since the boot; None when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # After the name come state (3rd field of the line) and so on; the start time is the 22nd. A
    # zombie has ended, it is only not yet waited for.
    return None if fields[0] == "Z" else fields[19]
