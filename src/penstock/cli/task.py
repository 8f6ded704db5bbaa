"""`penstock task serve`: run in the background what `Task.delay` left on the server."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from penstock.cli.output import Failure


@click.group()
def task() -> None:
    """Serve tasks."""


@task.command()
@click.argument("entrypoints", nargs=-1)
@click.option(
    "--module", "-m", "modules", multiple=True, help="Serve all tasks of a module; repeatable."
)
@click.option(
    "--limit", type=click.IntRange(1), default=10, show_default=True, help="Most runs at once."
)
def serve(entrypoints: tuple[str, ...], modules: tuple[str, ...], limit: int) -> None:
    """Serve the tasks that ENTRYPOINTS name (`path/to/file.py:task`) until Ctrl+C or SIGTERM."""
    from penstock.task_worker import serve as serve_tasks

    if not entrypoints and not modules:
        raise click.UsageError("Give entrypoints like `path/to/file.py:task`, or --module.")
    found = [_named(entrypoint) for entrypoint in entrypoints]
    for name in modules:
        found += _all_of(name)
    unique = list({id(one): one for one in found}.values())
    try:
        serve_tasks(*unique, limit=limit)
    except ValueError as error:
        raise Failure(str(error)) from error


def _named(entrypoint: str) -> Any:
    from penstock.tasks import Task

    location, _, name = entrypoint.rpartition(":")
    if not location or not name:
        raise click.UsageError(f"{entrypoint!r} is no entrypoint; write `path/to/file.py:task`.")
    found: Any = _loaded(location)
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, Task):
        kind = "not there" if found is None else f"a {type(found).__name__}"
        raise Failure(f"{location} has no task named {name!r}; it is {kind}")
    return found


def _all_of(location: str) -> list[Any]:
    from penstock.tasks import Task

    found = [one for one in vars(_loaded(location)).values() if isinstance(one, Task)]
    if not found:
        raise Failure(f"{location} has no tasks; declare one with `@task`")
    return found


def _loaded(location: str) -> ModuleType:
    """A module by name or path; under its usual name, so that pickled arguments find it."""
    if location.endswith(".py"):
        path = Path(location).resolve()
        if not path.is_file():
            raise Failure(f"there is no file {location}; check the path of the entrypoint")
        folder, name = str(path.parent), path.stem
    else:
        folder, name = str(Path.cwd()), location
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return import_module(name)
    except Exception as error:  # code of the user
        raise Failure(f"{location} cannot be imported: {type(error).__name__}: {error}") from error
