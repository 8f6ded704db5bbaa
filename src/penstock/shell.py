"""A shell command as a flow; what `penstock shell` runs."""

import subprocess
import sys

from penstock.flows import flow
from penstock.logging import get_run_logger

__all__ = ["run_shell_command"]

SAID = 2_000
"""Characters at the end of a failed command's errors that its message has."""


@flow(name="Shell Command")
def run_shell_command(command: str, log_output: bool = True, stream_stdout: bool = True) -> int:
    """Run `command` in the shell and return its exit code, which is zero.

    Output goes to the log line by line, and to this process's own where it is streamed. Raises
    `RuntimeError` with the end of the errors when the command fails.
    """
    logger = get_run_logger()
    # The user's own command, in the user's own shell: that is what this flow is for.
    process = subprocess.Popen(  # noqa: S602
        command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        if stream_stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
        if log_output:
            logger.info("%s", line.rstrip("\n"))
        last = (last + line)[-SAID:]
    code = process.wait()
    if code:
        raise RuntimeError(f"the command ended with exit code {code}: {last.strip()}")
    return code
