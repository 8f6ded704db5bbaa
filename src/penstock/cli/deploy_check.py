"""`penstock deploy --check`: what is wrong with a project file, found without running any of it."""

import click

from penstock.cli.output import Failure, print_json
from penstock.cli.runs import Api, api
from penstock.cli.schedule_rules import schedule_fault
from penstock.deployments.project.checks import Known, check_project
from penstock.deployments.project.document import ProjectFileError
from penstock.deployments.project.project import Declared, Problem, Project, shown
from penstock.schemas.errors import ObjectNotFound, PenstockException
from penstock.schemas.work import WorkPoolsPage
from penstock.settings import get_current_settings

PAGE = 200


def report(project: Project, names: tuple[str, ...], output: str | None) -> None:
    """Prints what is wrong with the project and ends with status 1 when anything is.

    The server is asked for the work pools, blocks and variables that are named, when the settings
    name one; nothing on it is changed.
    """
    if not project.exists:
        raise Failure(f"there is no project file {shown(project.path)}; `penstock init` makes one")
    chosen, unknown = (project.deployments, [])
    if names:
        chosen, unknown = project.select(names)
    if unknown:
        known = ", ".join(str(one.name) for one in project.deployments if one.name) or "none"
        raise Failure(f"there is no deployment {unknown[0]!r} in the file; it declares: {known}")
    problems, note = _problems(project, chosen)
    tell(project, problems, len(chosen), note, output)


def tell(
    project: Project, problems: list[Problem], count: int, note: str, output: str | None
) -> None:
    errors = sum(problem.level == "error" for problem in problems)
    if output:
        print_json(
            {
                "file": shown(project.path),
                "deployments": count,
                "ok": not errors,
                "problems": [problem._asdict() for problem in problems],
                "note": note,
            }
        )
    else:
        for problem in problems:
            click.echo(str(problem))
        said = f"{errors} error{'s' if errors != 1 else ''}" if errors else "nothing is wrong"
        click.echo(f"{shown(project.path)}: {count} deployments, {said}.")
        if note:
            click.echo(note, err=True)
    if errors:
        raise click.exceptions.Exit(1)


def unreadable(error: ProjectFileError, output: str | None) -> None:
    """Tells of a file that cannot be read as one more problem, and ends with status 1."""
    line, column = error.position if error.position is not None else (1, 1)
    problem = Problem(
        str(error.path), line, column, "", error.reason, "YAML that can be read", "error"
    )
    if output:
        print_json(
            {"file": problem.file, "deployments": 0, "ok": False,
             "problems": [problem._asdict()], "note": ""}
        )  # fmt: skip
    else:
        click.echo(f"{problem.file}:{line}:{column}: error: {error.reason}")
    raise click.exceptions.Exit(1)


def _problems(project: Project, chosen: list[Declared]) -> tuple[list[Problem], str]:
    settings = get_current_settings()
    default = settings.deployments.default_work_pool_name
    if not settings.api.url:
        known = Known(schedule_fault, default_pool=default)
        note = "Work pools, blocks and variables were not checked, because no API URL is set."
        return check_project(project, chosen, known), note
    with api() as client:
        try:
            pools = frozenset(_pools(client))
        except PenstockException as error:
            known = Known(schedule_fault, default_pool=default)
            return check_project(project, chosen, known), (
                f"Work pools, blocks and variables were not checked: {error}"
            )
        known = Known(
            schedule_fault,
            pools,
            lambda slug, name: _exists(
                client, "read_block_document_by_name_for_block_type", slug, name
            ),
            lambda name: _exists(client, "read_variable_by_name", name),
            default,
        )
        return check_project(project, chosen, known), ""


def _pools(client: Api) -> list[str]:
    names: list[str] = []
    while True:
        page = client.call("read_work_pools", body=WorkPoolsPage(limit=PAGE, offset=len(names)))
        names += [pool.name for pool in page]
        if len(page) < PAGE:
            return names


def _exists(client: Api, operation: str, *key: str) -> bool:
    try:
        client.call(operation, *key)
    except ObjectNotFound:
        return False
    return True
