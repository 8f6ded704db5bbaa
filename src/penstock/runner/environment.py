"""The environment of a child process that runs a flow run.

From the weakest to the strongest: the environment of the parent; the settings that are explicitly
set in the parent, whatever file or profile they come from; what identifies the run; what the
caller asks for, where null removes a variable.

| variable | what it says |
| --- | --- |
| `PREFECT__FLOW_RUN_ID` | the run |
| `PREFECT__FLOW_ENTRYPOINT` | the flow, when it is not the deployment's |
| `PREFECT__STORAGE_BASE_PATH` | where code may be pulled to |
| `PREFECT__DEPLOYMENT_ID`, `_NAME`, `PREFECT__FLOW_ID`, `_NAME` | what the run belongs to |
| `PREFECT__WORKER_ID`, `_NAME` | who started it |
| `PENSTOCK__CLAIM` | the number of the claim under which it runs |
| `PENSTOCK__CONTROL_FD` | file descriptor on which the reason of a SIGTERM can be read |

Each `PREFECT__` name is set under `PENSTOCK__` as well.
"""

import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path

from penstock.settings import Settings, get_current_settings

RUN_VARIABLES = ("PREFECT__", "PENSTOCK__")


def run_variables(**values: object) -> dict[str, str]:
    """`flow_run_id=...` as `PREFECT__FLOW_RUN_ID` and `PENSTOCK__FLOW_RUN_ID`; None is left out."""
    found = {name.upper(): str(value) for name, value in values.items() if value is not None}
    return {prefix + name: value for name, value in found.items() for prefix in RUN_VARIABLES}


def exported_settings(settings: Settings | None = None) -> dict[str, str]:
    """The settings that somebody set, as variables; none of those that have their default."""
    current = settings or get_current_settings()
    return current.to_environment_variables(exclude_unset=True, include_secrets=True)


def child_environment(
    *layers: Mapping[str, str | None],
    parent: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
    working_directory: Path | None = None,
) -> dict[str, str]:
    """The environment of a child; later layers win, a null in one removes the variable.

    Variables that identify the parent's own run are not passed on. PYTHONPATH is cleaned
    (`filtered_python_path`).
    """
    source = os.environ if parent is None else parent
    found = {name: value for name, value in source.items() if not name.startswith(RUN_VARIABLES)}
    # Where the parent's relative entries lie is known here only.
    _clean_python_path(found, None)
    found.update(exported_settings() if settings is None else settings)
    for layer in layers:
        for name, value in layer.items():
            if value is None:
                found.pop(name, None)
            else:
                found[name] = str(value)
    _clean_python_path(found, working_directory)
    return found


def _clean_python_path(environment: dict[str, str], base: Path | None) -> None:
    if "PYTHONPATH" not in environment:
        return
    kept = filtered_python_path(environment["PYTHONPATH"].split(os.pathsep), base)
    if kept:
        environment["PYTHONPATH"] = os.pathsep.join(kept)
    else:
        del environment["PYTHONPATH"]


def filtered_python_path(
    entries: Iterable[str], working_directory: Path | None = None
) -> list[str]:
    """`entries` made absolute, each once, without those of the standard library.

    A relative entry lies in the working directory, and an empty one is it. The standard library of
    this interpreter would break programs that another Python runs; packages installed below it
    (`site-packages`) stay.
    """
    base = working_directory or Path.cwd()
    kept: dict[str, None] = {}
    for entry in entries:
        path = str(Path(os.path.normpath(base / entry)) if entry else base)
        if not is_standard_library(path):
            kept[path] = None
    return list(kept)


def is_standard_library(path: str) -> bool:
    """Whether `path` is this interpreter's standard library or lies in it, installed packages
    not counted."""
    place = Path(path)
    if any(place.is_relative_to(root) for root in _installed_roots()):
        return False
    return any(place == root or place.is_relative_to(root) for root in _library_roots())


def _library_roots() -> list[Path]:
    names = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")} - {None}
    roots = [Path(name) for name in sorted(names)]
    archive = f"python{sys.version_info.major}{sys.version_info.minor}.zip"
    return [*roots, *(root.parent / archive for root in roots)]


def _installed_roots() -> list[Path]:
    names = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()]
    user = site.getusersitepackages()
    return [Path(name) for name in [*names, user] if name]
