"""`penstock init`: begin a project."""

from pathlib import Path
from typing import Any

import click

from penstock.cli.output import may_ask
from penstock.deployments.base import (
    fitting_recipe,
    initialize_project,
    known_values,
    required_inputs,
)
from penstock.deployments.project.project import FILE_NAMES
from penstock.deployments.project.recipes import RECIPES


@click.command()
@click.option("--name", help="The project's name; the directory's when it is not given.")
@click.option("--recipe", help=f"Where code is and what runs it: {', '.join(RECIPES)}.")
@click.option(
    "--field", "-f", "fields", multiple=True, help="KEY=VALUE for the recipe; repeatable."
)
@click.pass_context
def init(ctx: click.Context, name: str | None, recipe: str | None, fields: tuple[str, ...]) -> None:
    """Begin a project: write penstock.yaml and .penstockignore, unless they are there.

    Without --recipe the one that fits the directory is taken: git where there is a remote
    repository, docker where there is a Dockerfile, docker-git with both, local with neither.
    """
    inputs = _inputs(fields)
    directory = Path.cwd()
    chosen = recipe or fitting_recipe(directory)
    if chosen not in RECIPES:
        raise click.UsageError(f"there is no recipe {chosen!r}; there are {', '.join(RECIPES)}")
    values: dict[str, Any] = {**known_values(directory), **inputs}
    known = {*RECIPES[chosen].inputs, "name", "directory", "branch", "dockerfile", "repository"}
    for key in inputs:
        if key not in known:
            click.echo(f"The recipe {chosen!r} has no field {key!r}; it is left out.", err=True)
    for key, doc in required_inputs(chosen, values).items():
        if not may_ask(ctx):
            missing = " ".join(f"--field {one}=..." for one in required_inputs(chosen, values))
            raise click.UsageError(f"the recipe {chosen!r} needs {missing}")
        inputs[key] = values[key] = click.prompt(f"{doc} {key}")
    made = initialize_project(name, chosen, inputs)
    there = [file for file in FILE_NAMES if (directory / file).exists() and file not in made]
    for file in there:
        click.echo(f"{file} is there already and stays as it is.")
    if made:
        click.echo(f"Made {' and '.join(made)} with the recipe {chosen!r}.")
    if not there:
        click.echo("Deploy a flow with `penstock deploy path/to/file.py:flow --name NAME`.")


def _inputs(fields: tuple[str, ...]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for one in fields:
        # At the first sign only: a value may hold one, as query strings do.
        key, equals, value = one.partition("=")
        if not (key.strip() and equals):
            raise click.UsageError(f"--field {one!r} has no value; write KEY=VALUE")
        values[key.strip()] = value
    return values
