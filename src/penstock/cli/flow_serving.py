"""`penstock flow serve`: serve one flow of a file or module."""

from typing import Any

import click

from penstock.cli.lazy import argument
from penstock.cli.output import Failure


@click.command()
@argument("entrypoint")
@click.option("--name", "-n", required=True, help="Name of the deployment.")
@click.option("--description", "-d", help="Description; by default that of the flow.")
@click.option("--version", "-v", help="Version of the deployment.")
@click.option("--tag", "-t", "tags", multiple=True, help="A tag of its runs; repeatable.")
@click.option("--cron", help="Run at the times of this cron expression.")
@click.option("--interval", type=click.IntRange(1), help="Run every so many seconds.")
@click.option("--anchor-date", help="The date that an interval is counted from.")
@click.option("--rrule", help="Run at the dates of this recurrence rule.")
@click.option("--timezone", help="Time zone of the schedule.")
@click.option(
    "--pause-on-shutdown/--no-pause-on-shutdown",
    default=True,
    show_default=True,
    help="Pause the schedule while nobody serves.",
)
@click.option("--limit", type=click.IntRange(1), help="Most runs of this process at once.")
@click.option("--global-limit", type=click.IntRange(1), help="Most runs of the deployment at once.")
def serve(
    entrypoint: str,
    name: str,
    description: str | None,
    version: str | None,
    tags: tuple[str, ...],
    cron: str | None,
    interval: int | None,
    anchor_date: str | None,
    rrule: str | None,
    timezone: str | None,
    pause_on_shutdown: bool,
    limit: int | None,
    global_limit: int | None,
) -> None:
    """Serve the flow that ENTRYPOINT names (`path/to/file.py:flow`) until Ctrl+C or SIGTERM."""
    from penstock.deployments.runner import RunnerDeployment
    from penstock.runner.serving import serve as serve_deployments
    from penstock.schemas.errors import MissingFlowError, ScriptError

    schedule = _schedule(cron, interval, anchor_date, rrule, timezone)
    try:
        deployment = RunnerDeployment.from_entrypoint(
            entrypoint,
            name,
            description=description,
            version=version,
            tags=list(tags),
            schedule=schedule,
            concurrency_limit=global_limit,
        )
    except ScriptError as error:
        raise Failure(f"{entrypoint} raised {error.user_exc!r} when it was loaded") from error
    except (MissingFlowError, ValueError, ModuleNotFoundError) as error:
        raise Failure(str(error)) from error
    serve_deployments(deployment, pause_on_shutdown=pause_on_shutdown, limit=limit)


def _schedule(
    cron: str | None,
    interval: int | None,
    anchor_date: str | None,
    rrule: str | None,
    timezone: str | None,
) -> Any:
    from datetime import UTC, datetime

    from penstock.schedules import Cron, Interval, RRule

    given = [
        name
        for name, one in (("--cron", cron), ("--interval", interval), ("--rrule", rrule))
        if one
    ]
    if len(given) > 1:
        raise click.UsageError(f"Give one of {' and '.join(given)}.")
    if anchor_date is not None and interval is None:
        raise click.UsageError("--anchor-date goes with --interval.")
    if timezone is not None and not given:
        raise click.UsageError("--timezone goes with a schedule.")
    if cron is not None:
        return Cron(cron, timezone=timezone)
    if rrule is not None:
        return RRule(rrule, timezone=timezone)
    if interval is None:
        return None
    anchor = None
    if anchor_date is not None:
        try:
            anchor = datetime.fromisoformat(anchor_date)
        except ValueError:
            raise click.UsageError(f"{anchor_date!r} is no date in ISO 8601 form.") from None
        anchor = anchor if anchor.tzinfo is not None else anchor.replace(tzinfo=UTC)
    return Interval(interval, anchor_date=anchor, timezone=timezone)
