"""How a process ended, and what that means to somebody who reads it."""

import signal

from msgspec import Struct

_EXPLANATIONS = {
    1: ("the run raised an error that is not one of its own", "read the run's log above"),
    125: ("the container could not be started", "check image and container settings"),
    126: ("the command was found but cannot be executed", "check its permissions"),
    127: ("the command was not found", "check the command, the image and PATH"),
    247: (
        "the process was ended from outside, most likely because memory ran out",
        "give it more memory or use less",
    ),
    3221225786: ("the process was interrupted with Ctrl+C", "start it again if that was no wish"),
}
_SIGNALS: dict[int, tuple[str, str]] = {
    signal.SIGKILL: (
        "the process was killed; memory may have run out",
        "give it more memory, use less, or find out who killed it",
    ),
    signal.SIGTERM: ("the process was asked to end", "find out who ended it"),
    signal.SIGSEGV: (
        "the process read memory that is not its own",
        "look at the native libraries that the flow uses",
    ),
}
_SHELL_OFFSET = 128


class Exit(Struct, frozen=True, kw_only=True):
    """The end of a process: its exit code, or the signal that ended it.

    `out_of_memory` says that the kernel reported a kill for want of memory meanwhile, `lost` that
    nobody could see how it ended.
    """

    code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False
    peak_bytes: int = 0
    lost: bool = False

    @property
    def status(self) -> int:
        """As `subprocess` has it: the code, or the signal's number with a minus."""
        if self.signal is not None:
            return -self.signal
        return -1 if self.code is None else self.code

    @property
    def is_clean(self) -> bool:
        return self.code == 0 and not self.lost


def explain(end: Exit) -> str:
    """The exact cause in one sentence, then what to do about it."""
    if end.lost:
        return (
            "The process that started the run ended, so nobody saw how the run's own process "
            "ended; look at the log of the worker."
        )
    if end.out_of_memory:
        peak = f" (it had used up to {end.peak_bytes // 2**20} MiB)" if end.peak_bytes else ""
        return (
            f"The process was killed by the system because memory ran out{peak}: signal "
            f"{end.signal}. Give it more memory or use less."
        )
    number = end.signal
    if number is None and end.code is not None and end.code > _SHELL_OFFSET:
        shell = end.code - _SHELL_OFFSET
        number = shell if shell in _SIGNALS else None
    if number is not None:
        what, remedy = _SIGNALS.get(number, ("a signal ended the process", "find out who sent it"))
        how = f"signal {number} ({_name(number)})"
        if end.signal is None:
            how = f"exit code {end.code}, which stands for {how}"
    else:
        what, remedy = _EXPLANATIONS.get(
            end.code or 0, ("the process ended without a final state", "read the run's log")
        )
        how = f"exit code {end.code}"
    return f"The process ended with {how}: {what}; {remedy}."


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
