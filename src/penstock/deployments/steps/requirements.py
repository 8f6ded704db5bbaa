"""Packages that a step needs: imported when they are there, installed when they are not."""

import importlib
import re
import shutil
import subprocess
import sys
from importlib import import_module

# Packages that are extras of another one.
KNOWN_EXTRAS_FOR_PACKAGES = {
    "prefect-kubernetes": "prefect[kubernetes]",
    "prefect-aws": "prefect[aws]",
    "prefect-gcp": "prefect[gcp]",
    "prefect-azure": "prefect[azure]",
    "prefect-docker": "prefect[docker]",
}


def install_missing(requirements: list[str]) -> None:
    """Installs the requirements that cannot be imported, then imports them.

    Raises `ValueError` for what is no requirement and `RuntimeError` when installing fails.
    """
    names = [_import_name(requirement) for requirement in requirements]
    missing = [
        KNOWN_EXTRAS_FOR_PACKAGES.get(requirement, requirement)
        for requirement, name in zip(requirements, names, strict=True)
        if not _importable(name)
    ]
    if not missing:
        return
    run_installer("install", *missing)
    importlib.invalidate_caches()
    for name in names:
        import_module(name)


def run_installer(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `pip` of this interpreter, through uv where it is installed."""
    uv = shutil.which("uv")
    own = [uv, "pip"] if uv else [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    tail = ["--python", sys.executable] if uv else []
    done = subprocess.run(  # noqa: S603 (requirements were checked to be no options)
        [*own, *arguments, *tail], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise RuntimeError(f"{' '.join(arguments)} failed: {said[0]}")
    return done


def _import_name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
    if found is None:
        raise ValueError(f"{requirement!r} is no requirement; write it as in requirements.txt")
    return found[0].replace("-", "_")


def _importable(name: str) -> bool:
    try:
        import_module(name)
    except ImportError:
        return False
    return True
