"""Running git, with credentials that nobody can see in a list of processes.

Credentials travel in the environment of the git process only. Git gets a credential helper, bound
to scheme, host and port, that prints two of its variables; so a redirect to another host gets
nothing, and neither a command line nor the clone's configuration ever holds a secret.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from penstock.deployments.git.addresses import Address, Login

_HELPER = (
    "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' "
    '"$PENSTOCK_GIT_USERNAME" "$PENSTOCK_GIT_PASSWORD"; }; f'
)
# The repository that is meant is not the one in which this process happens to run; and what git
# would write about itself may hold what it was given.
_NOT_INHERITED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_CURL_VERBOSE")
SILENCE_SECONDS = 120
_SSH = f"ssh -o BatchMode=yes -o ConnectTimeout={SILENCE_SECONDS} -o ServerAliveInterval=30"


class GitFailed(Exception):
    """Git ended with an error. `stderr` is what it wrote, secrets included: not to be shown."""

    def __init__(self, status: int, stderr: str) -> None:
        super().__init__(f"git ended with exit code {status}")
        self.status = status
        self.stderr = stderr


class Git:
    """Runs git for one repository."""

    def __init__(self, address: Address, login: Login | None) -> None:
        self._environment = environment(address, login)

    def __call__(self, *arguments: str, cwd: Path | None = None, given: str | None = None) -> str:
        """What `git arguments` printed; `given` is its stdin. Raises `GitFailed`, `OSError`."""
        done = subprocess.run(  # noqa: S603 (no shell; every argument was checked)
            ["git", *arguments],  # noqa: S607 (the git of the user's PATH)
            cwd=cwd,
            env=self._environment,
            input=given if given is not None else "",
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise GitFailed(done.returncode, done.stderr)
        return done.stdout

    def succeeds(self, *arguments: str, cwd: Path) -> bool:
        """Whether `git arguments` ends without an error."""
        try:
            self(*arguments, cwd=cwd)
        except GitFailed:
            return False
        return True


def environment(
    address: Address, login: Login | None, inherited: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment of git for one repository, with `login` for its host only."""
    env = dict(os.environ if inherited is None else inherited)
    for name in [one for one in env if one in _NOT_INHERITED or one.startswith("GIT_TRACE")]:
        del env[name]
    # Nobody can answer: what would ask a question fails instead, and what falls silent is ended.
    env["GIT_TERMINAL_PROMPT"] = "0"
    env["LC_ALL"] = "C"  # the causes of failures are known by their English texts
    env.setdefault("GIT_SSH_COMMAND", _SSH)
    env.setdefault("GIT_HTTP_LOW_SPEED_LIMIT", "1")
    env.setdefault("GIT_HTTP_LOW_SPEED_TIME", str(SILENCE_SECONDS))
    if login is not None:
        env["PENSTOCK_GIT_USERNAME"] = login.username
        env["PENSTOCK_GIT_PASSWORD"] = login.password
        _configure(
            env,
            [
                ("credential.helper", ""),  # not the user's helpers: they would store it
                (f"credential.{address.origin}.helper", _HELPER),
            ],
        )
    return env


def _configure(env: dict[str, str], settings: Sequence[tuple[str, str]]) -> None:
    """Adds settings of git to those the environment already holds."""
    count = env.get("GIT_CONFIG_COUNT", "")
    number = int(count) if count.isdigit() else 0
    for key, value in settings:
        env[f"GIT_CONFIG_KEY_{number}"] = key
        env[f"GIT_CONFIG_VALUE_{number}"] = value
        number += 1
    env["GIT_CONFIG_COUNT"] = str(number)
