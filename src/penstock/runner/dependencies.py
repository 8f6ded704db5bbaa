"""Installing what a run's project needs when the run starts, where that is asked for.

All of these must hold, and which one does not is logged:

1. `PENSTOCK_RUNNER_AUTO_INSTALL_DEPENDENCIES` is true;
2. there is a `pyproject.toml` in the project's root: the nearest directory above the run's that
   has one, no higher than the workspace when the run lies in it;
3. its `[project].dependencies` name `penstock`, which runs the flow there;
4. `uv` is on the PATH;
5. the run has no command of its own (a run with one does not come here).

Then the run goes on in `uv run`, in the project's environment.
"""

import os
import re
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path

from penstock.settings import get_current_settings

_NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_WANTED = "penstock"
INSTALLED = "PENSTOCK__DEPENDENCIES_INSTALLED"
"""Set in the process that `uv` runs, so that it does not do it again."""


def install_command(
    directory: Path,
    entrypoint: str,
    *,
    workspace: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[list[str] | None, str]:
    """The command with which the run goes on, or None and the condition that does not hold.

    An empty reason: nobody asked for it.
    """
    found = os.environ if environment is None else environment
    if not get_current_settings().runner.auto_install_dependencies or INSTALLED in found:
        return None, ""
    root = project_root(directory, workspace)
    if root is None:
        return None, f"there is no pyproject.toml in {directory} or above it"
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text()).get("project", {})
    except (OSError, ValueError) as error:
        return None, f"{root / 'pyproject.toml'} cannot be read: {error}"
    if not _depends(project.get("dependencies") or []):
        return None, f"the dependencies in {root / 'pyproject.toml'} do not name penstock"
    uv = shutil.which("uv", path=found.get("PATH"))
    if uv is None:
        return None, "there is no uv on the PATH"
    return [
        uv,
        "run",
        "--no-default-groups",
        "--project",
        str(root),
        "-m",
        "penstock.flow_engine",
        entrypoint,
    ], ""


def project_root(directory: Path, workspace: Path | None = None) -> Path | None:
    """The nearest directory from `directory` upwards with a pyproject.toml; not above the
    workspace for a directory in it."""
    directory = directory.resolve()
    top = workspace.resolve() if workspace is not None else None
    inside = top is not None and directory.is_relative_to(top)
    for place in (directory, *directory.parents):
        if (place / "pyproject.toml").is_file():
            return place
        if inside and place == top:
            break
    return None


def _depends(dependencies: list[str]) -> bool:
    names = (match[1] for one in dependencies if (match := _NAME.match(str(one))))
    return any(re.sub(r"[-_.]+", "-", name).lower() == _WANTED for name in names)
