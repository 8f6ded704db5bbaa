"""How many processes the kernel killed for want of memory, as far as it tells this process."""

from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


def memory_kills() -> int:
    """The count for the control group of this process, or for the machine; grows only.

    0 where the system does not say.
    """
    for path in (_own_group() / "memory.events", _ROOT / "memory.events"):
        found = _value(path, "oom_kill")
        if found is not None:
            return found
    for path in (_ROOT / "memory" / "memory.oom_control", Path("/proc/vmstat")):
        found = _value(path, "oom_kill")
        if found is not None:
            return found
    return 0


def _own_group() -> Path:
    try:
        text = Path("/proc/self/cgroup").read_text()
    except OSError:
        return _ROOT
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        if number == "0":
            return _ROOT / rest.partition(":")[2].lstrip("/")
    return _ROOT


def _value(path: Path, name: str) -> int | None:
    try:
        text = path.read_text()
    except OSError:
        return None
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return None
