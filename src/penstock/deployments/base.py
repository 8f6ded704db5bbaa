"""Beginning a project: its file, and the file of what is not copied with its code."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.base.version import VERSION
from penstock.deployments.git.addresses import address_of
from penstock.deployments.project import writing
from penstock.deployments.project.project import FILE_NAMES
from penstock.deployments.project.recipes import RECIPES, steps_of
from penstock.filesystems import IGNORE_FILES
from penstock.schemas.errors import InvalidRepositoryURLError

_IGNORED = """\
# Files that are not copied with the code of a deployment, as in .gitignore.

.git/
.venv/
venv/
__pycache__/
*.py[cod]
.env
.DS_Store
node_modules/
.pytest_cache/
.ruff_cache/
.mypy_cache/
"""
_SECTIONS = {
    "build": "Steps that run before deployments are made; an `id` makes outputs usable below.",
    "push": "Steps that run after those, such as putting an image or code somewhere.",
    "pull": "Steps that run before each flow run, where it runs, to get its code.",
}


def initialize_project(
    name: str | None = None, recipe: str | None = None, inputs: Mapping[str, Any] | None = None
) -> list[str]:
    """Begin a project in the working directory; the names of the files that were made.

    A project file or an ignore file that is there already stays as it is. Without a recipe the
    one that fits the directory is taken. Raises `ValueError` for an unknown recipe or a value it
    needs and nobody gave.
    """
    directory = Path.cwd()
    made = []
    chosen = recipe or fitting_recipe(directory)
    contents = configure_project_by_recipe(
        chosen, **{"name": name or directory.name, **known_values(directory), **(inputs or {})}
    )
    if not any((directory / file).exists() for file in FILE_NAMES):
        create_default_prefect_yaml(str(directory), name=name, contents=contents)
        made.append(FILE_NAMES[0])
    if not any((directory / file).exists() for file in IGNORE_FILES):
        (directory / IGNORE_FILES[0]).write_text(_IGNORED, encoding="utf-8")
        made.append(IGNORE_FILES[0])
    return made


def configure_project_by_recipe(recipe: str, **formatting_kwargs: Any) -> dict[str, Any]:
    """The steps of a recipe with these values in them. Raises `ValueError`."""
    return steps_of(recipe, formatting_kwargs)


def create_default_prefect_yaml(
    path: str, name: str | None = None, contents: dict[str, Any] | None = None
) -> bool:
    """Write a project file into the directory `path`; False when one is there already.

    `contents` are its sections, of which `deployments` is a list of entries.
    """
    directory = Path(path)
    if any((directory / file).exists() for file in FILE_NAMES):
        return False
    text = project_text(name or directory.resolve().name, contents or {})
    writing.replace_file(directory / FILE_NAMES[0], text.encode("utf-8"), expected=b"")
    return True


def project_text(name: str, contents: Mapping[str, Any]) -> str:
    """A new project file with comments that say what its sections are."""
    lines = ["# What this project deploys: `penstock deploy --all` makes its deployments."]
    lines += writing.member("name", name, 0)
    lines += writing.member("penstock-version", VERSION, 0)
    for section, doc in _SECTIONS.items():
        lines += ["", f"# {doc}", *writing.member(section, contents.get(section) or None, 0)]
    deployments = contents.get("deployments") or []
    lines += ["", "# Flows, with where and when they run.",
              *writing.member("deployments", deployments, 0)]  # fmt: skip
    return "\n".join(lines) + "\n"


def fitting_recipe(directory: Path) -> str:
    """The recipe for what is in a directory: a remote repository, a Dockerfile, both, neither."""
    docker = (directory / "Dockerfile").exists()
    if remote_repository(directory) is not None:
        return "docker-git" if docker else "git"
    return "docker" if docker else "local"


def known_values(directory: Path) -> dict[str, str]:
    """What recipes can be told without asking."""
    values = {
        "directory": str(directory),
        "branch": _git(directory, "rev-parse", "--abbrev-ref", "HEAD") or "main",
        "dockerfile": "Dockerfile" if (directory / "Dockerfile").exists() else "auto",
    }
    if values["branch"] == "HEAD":
        values["branch"] = "main"
    repository = remote_repository(directory)
    return {**values, "repository": repository} if repository else values


def remote_repository(directory: Path) -> str | None:
    """The address of the remote `origin`, without credentials."""
    url = _git(directory, "config", "--get", "remote.origin.url")
    try:
        return address_of(url).url if url else None
    except InvalidRepositoryURLError:
        return None


def required_inputs(recipe: str, values: Mapping[str, Any]) -> dict[str, str]:
    """The inputs of a recipe that are in no `values`, with what they are."""
    return {name: doc for name, doc in RECIPES[recipe].inputs.items() if not values.get(name)}


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 (fixed arguments)
            ["git", *arguments],  # noqa: S607 (the git of the user's PATH)
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
