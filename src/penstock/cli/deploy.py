"""`penstock deploy`: make the deployments of a project file, or one described by options."""

import sys
from pathlib import Path
from typing import Any

import click

from penstock.cli.deploy_options import entry_option_names, options_of
from penstock.cli.init import init
from penstock.cli.lazy import argument
from penstock.cli.output import Failure, may_ask, output_option
from penstock.cli.runs import Api, api
from penstock.deployments.project.applying import (
    STEP_KINDS,
    Deployed,
    InvalidEntry,
    NotDeployed,
    deploy_entry,
)
from penstock.deployments.project.project import Declared, Project, ProjectFileError, shown
from penstock.deployments.project.resolve import Options, merged
from penstock.deployments.steps.core import StepExecutionError
from penstock.schemas.errors import APIUnreachable, PenstockException, PenstockHTTPStatusError
from penstock.settings import get_current_settings


class DeployCommand(click.Command):
    """A command with one subcommand, `init`, beside its positional argument."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        if args[:1] == ["init"]:
            return init.make_context("init", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        return super().invoke(ctx) if ctx.command is self else ctx.command.invoke(ctx)


@click.command(cls=DeployCommand)
@argument("entrypoint", required=False)
@click.option(
    "--name", "-n", "names", multiple=True, help="Which deployments; repeatable, * matches."
)
@click.option("--all", "all_", is_flag=True, help="Every deployment of the project file.")
@click.option(
    "--penstock-file",
    "--prefect-file",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The project file, instead of penstock.yaml or prefect.yaml.",
)
@click.option("--check", is_flag=True, help="Only say what is wrong with the file; run nothing.")
@click.option("--description", "-d", help="A description, instead of the flow's.")
@click.option("--version", "version", help="A version, instead of the flow's.")
@click.option("--version-type", help="What kind of version it is, such as vcs:git.")
@click.option("--tag", "-t", "tags", multiple=True, help="A tag of its runs; repeatable.")
@click.option(
    "--concurrency-limit", type=click.IntRange(1), help="How many of its runs may be at once."
)
@click.option(
    "--collision-strategy",
    type=click.Choice(["ENQUEUE", "CANCEL_NEW"], case_sensitive=False),
    help="What becomes of a run above the limit.",
)
@click.option("--pool", "-p", "work_pool_name", help="The work pool its runs go to.")
@click.option("--work-queue", "-q", "work_queue_name", help="The queue of that pool.")
@click.option(
    "--job-variable", "job_variables", multiple=True, help="KEY=VALUE or a JSON object; repeatable."
)
@click.option("--cron", multiple=True, help="A cron schedule; repeatable.")
@click.option(
    "--interval", multiple=True, type=click.IntRange(1), help="Every so many seconds; repeatable."
)
@click.option("--anchor-date", help="From when intervals count, such as 2026-01-31T09:00.")
@click.option("--rrule", multiple=True, help="A recurrence rule; repeatable.")
@click.option("--timezone", help="The time zone of its schedules, such as Europe/Berlin.")
@click.option(
    "--trigger", "triggers", multiple=True, help="A trigger as JSON, or a file with triggers."
)
@click.option(
    "--param", "param", multiple=True, help="KEY=VALUE; the value is JSON, or text; repeatable."
)
@click.option("--params", help="All parameters as a JSON object.")
@click.option(
    "--enforce-parameter-schema/--no-enforce-parameter-schema",
    default=None,
    help="Whether parameters of runs are checked against the flow's.",
)
@click.option("--sla", multiple=True, hidden=True)
@output_option
@click.pass_context
def deploy(
    ctx: click.Context,
    entrypoint: str | None,
    names: tuple[str, ...],
    all_: bool,
    file: Path | None,
    check: bool,
    output: str | None,
    **given: Any,
) -> None:
    """Make deployments: those of the project file, or one of a flow at ENTRYPOINT.

    `penstock deploy --all` makes every deployment of penstock.yaml or prefect.yaml,
    `-n NAME` those of that name. `penstock deploy init` is `penstock init`.
    """
    if all_ and names:
        raise click.UsageError("--all and --name exclude each other; choose one.")
    if given.pop("sla"):
        raise Failure("--sla: agreements on service levels exist in Prefect Cloud only")
    if check:
        # Only this pays for the server's own rules of schedules.
        from penstock.cli.deploy_check import report, unreadable

        try:
            report(Project.find(Path.cwd(), file), names, output)
        except ProjectFileError as error:
            unreadable(error, output)
        return
    if output:
        raise click.UsageError("--output belongs to --check.")
    project = Project.find(Path.cwd(), file)
    if file is not None and not project.exists:
        click.echo(f"There is no file {shown(file)}; going on without one.", err=True)
    _check_shape(project)
    options = options_of({"entrypoint": entrypoint, **given})
    asks = may_ask(ctx)
    chosen = _chosen(project, names, all_, options, asks)
    if len(chosen) > 1 and options != Options():
        used = ", ".join(entry_option_names({"entrypoint": entrypoint, **given}))
        click.echo(f"More than one deployment was chosen, so {used} has no effect.", err=True)
        options = Options(work_pool_name=options.work_pool_name)
    with api() as client:
        failures = 0
        for declared in chosen:
            failures += not _deployed(client, project, declared, options, asks and len(chosen) == 1)
    if failures:
        raise click.exceptions.Exit(1)


# --- which ---------------------------------------------------------------------------------------


def _check_shape(project: Project) -> None:
    """Says what is wrong with the file and ends the command when it cannot be used."""
    problems = project.problems()
    for problem in problems:
        click.echo(str(problem), err=True)
    wrong = [problem for problem in problems if problem.level == "error"]
    if wrong:
        raise Failure(
            f"{shown(project.path)} is not right in {len(wrong)} "
            f"place{'s' if len(wrong) > 1 else ''}; nothing was deployed"
        )


def _chosen(
    project: Project, names: tuple[str, ...], all_: bool, options: Options, asks: bool
) -> list[Declared]:
    """The deployments that are meant. One that is in no file has the number -1."""
    there = project.deployments
    if all_:
        if not there:
            raise Failure(
                f"{shown(project.path)} declares no deployments; `penstock init` begins one"
            )
        unnamed = [one for one in there if one.name is None]
        for one in unnamed:
            line = project.position(one.path).line
            click.echo(f"Left out: the deployment at line {line} has no name.", err=True)
        return [one for one in there if one.name is not None]
    if names:
        chosen, unknown = project.select(names)
        if options.entrypoint and unknown and len(names) == 1 and "*" not in names[0]:
            return [Declared(-1, {"name": names[0].rpartition("/")[2]})]
        for name in unknown:
            click.echo(f"There is no deployment {name!r} in {shown(project.path)}.", err=True)
        if unknown and not (chosen and asks):
            known = ", ".join(str(one.name) for one in there if one.name) or "none"
            raise Failure(f"nothing was deployed; the file declares: {known}")
        return chosen
    if options.entrypoint or not there:
        return [Declared(-1, {})]
    if asks:
        from penstock.cli.deploy_wizard import pick

        return pick(project)
    if len(there) == 1:
        return there
    known = ", ".join(str(one.name) for one in there if one.name)
    raise Failure(f"there are several deployments ({known}); give --name or --all")


# --- one -----------------------------------------------------------------------------------------


def _deployed(
    client: Api, project: Project, declared: Declared, options: Options, asks: bool
) -> bool:
    """Deploys one entry and says how it went; whether it went well."""
    entry = _with_default_pool(merged(declared.data, options))
    try:
        if asks:
            from penstock.cli.deploy_wizard import complete

            entry = complete(client, project, entry)
        _insist(entry, declared)
        steps = {kind: project.steps(kind, entry) for kind in STEP_KINDS}
        # The flow is found from the project's directory, as it is when it runs.
        sys.path.insert(0, str(Path.cwd()))
        try:
            done = deploy_entry(client, entry, steps, click.echo)
        finally:
            sys.path.remove(str(Path.cwd()))
    except InvalidEntry as error:
        for fault in error.faults:
            problem = project.problem(fault._replace(path=(*declared.path, *fault.path)))
            click.echo(str(problem), err=True)
        return _failed(declared, "its entry is not right")
    except APIUnreachable:
        raise  # the others would fail in the same way
    except (NotDeployed, StepExecutionError) as error:
        return _failed(declared, str(error), project)
    except PenstockHTTPStatusError as error:
        refused = f"the server refused it: {error.detail}" if error.detail else str(error)
        return _failed(declared, refused, project)
    except (PenstockException, ValueError, ImportError) as error:
        return _failed(declared, str(error), project)
    _tell(done)
    if asks:
        from penstock.cli.deploy_wizard import offer_to_save

        offer_to_save(project, entry)
    for warning in done.warnings:
        click.echo(f"Error: {warning}", err=True)
    return not done.warnings


def _with_default_pool(entry: dict[str, Any]) -> dict[str, Any]:
    pool = dict(entry.get("work_pool") or {})
    default = get_current_settings().deployments.default_work_pool_name
    if not pool.get("name") and default:
        pool["name"] = default
    return {**entry, "work_pool": pool} if pool else entry


def _insist(entry: dict[str, Any], declared: Declared) -> None:
    missing = [key for key in ("entrypoint", "name") if not entry.get(key)]
    if not missing:
        return
    if declared.number < 0:
        raise NotDeployed(
            "give the entrypoint of a flow as path/to/file.py:flow and a name with --name, or "
            "write both into penstock.yaml (`penstock init` begins one)"
        )
    raise NotDeployed(f"the deployment has no {missing[0]}; add `{missing[0]}` to its entry")


def _failed(declared: Declared, why: str, project: Project | None = None) -> bool:
    place = ""
    if project is not None and declared.number >= 0:
        line, column = project.position(declared.path)
        place = f"{shown(project.path)}:{line}:{column}: "
    name = declared.name or "a deployment"
    click.echo(f"Error: {place}{name} was not deployed: {why}", err=True)
    return False


def _tell(done: Deployed) -> None:
    word = "Created" if done.created else "Updated"
    click.echo(f"{word} the deployment {done.full_name!r} with the id {done.id}.")
    click.echo(f"  Run it now:      penstock deployment run {done.full_name!r}")
    if done.pool:
        click.echo(f"  Start a worker:  penstock worker start --pool {done.pool!r}")
