"""`penstock deployment schedule`: when a deployment runs."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import click

from penstock.cli.deployed import by_name, every_deployment
from penstock.cli.lazy import argument
from penstock.cli.output import Failure, confirm, may_ask, output_option, print_json, print_table
from penstock.cli.runs import api
from penstock.schemas.deployments import (
    Deployment,
    DeploymentSchedule,
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
    DeploymentSort,
)
from penstock.schemas.errors import PenstockHTTPStatusError
from penstock.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule


@click.group()
def schedule() -> None:
    """Say when a deployment runs."""


@schedule.command()
@argument("name")
@click.option("--interval", type=click.FloatRange(0, min_open=True), help="Seconds between runs.")
@click.option("--anchor-date", "interval_anchor", help="A moment that the interval counts from.")
@click.option("--cron", "cron_string", help="A cron expression.")
@click.option("--day_or/--no-day_or", "cron_day_or", default=True, help="Day or weekday suffices.")
@click.option("--rrule", "rrule_string", help="A recurrence rule (RFC 5545).")
@click.option("--timezone", help="An IANA name such as Europe/Berlin.")
@click.option("--active/--no-active", default=True, help="Whether runs are planned.")
@click.option("--replace", is_flag=True, help="Remove the other schedules.")
@click.option("--accept-yes", "-y", "yes", is_flag=True, help="Do not ask.")
@click.pass_context
def create(
    ctx: click.Context,
    name: str,
    interval: float | None,
    interval_anchor: str | None,
    cron_string: str | None,
    cron_day_or: bool,
    rrule_string: str | None,
    timezone: str | None,
    active: bool,
    replace: bool,
    yes: bool,
) -> None:
    """Add a schedule to a deployment: exactly one of --interval, --cron and --rrule."""
    if sum(one is not None for one in (interval, cron_string, rrule_string)) != 1:
        raise click.UsageError("Give exactly one of --interval, --cron and --rrule.")
    if interval_anchor is not None and interval is None:
        raise click.UsageError("--anchor-date is for --interval only.")
    if interval is not None:
        made: Any = IntervalSchedule(
            interval=interval, anchor_date=_anchor(interval_anchor), timezone=timezone
        )
    elif cron_string is not None:
        made = CronSchedule(cron=cron_string, day_or=cron_day_or, timezone=timezone)
    else:
        made = RRuleSchedule(rrule=rrule_string or "", timezone=timezone or "UTC")
    with api() as client:
        deployment = by_name(client, name)
        if replace and deployment.schedules:
            count = len(deployment.schedules)
            confirm(ctx, f"Replace {count} schedules of {name!r}?", yes=yes or not may_ask(ctx))
        body = [DeploymentScheduleCreate(schedule=made, active=active)]
        try:
            client.call("create_deployment_schedules", deployment.id, body=body)
        except PenstockHTTPStatusError as error:
            raise Failure(f"no schedule was made: {error.detail or error}") from None
        if replace:
            _clear(client, deployment)
    click.echo(f"Added the schedule {words(made)} to {name!r}.")


@schedule.command()
@argument("deployment_name")
@output_option
def ls(deployment_name: str, output: str | None) -> None:
    """List the schedules of a deployment."""
    with api() as client:
        schedules = by_name(client, deployment_name).schedules
    if output:
        print_json(schedules)
        return
    print_table(
        ("ID", "Schedule", "Slug", "Active"),
        (
            (str(one.id), words(one.schedule), one.slug or "-", "yes" if one.active else "no")
            for one in schedules
        ),
        "The deployment has no schedules.",
    )


@schedule.command()
@argument("deployment_name")
@argument("schedule_id", type=click.UUID)
@click.option("--accept-yes", "-y", "yes", is_flag=True, help="Do not ask.")
@click.pass_context
def delete(ctx: click.Context, deployment_name: str, schedule_id: UUID, yes: bool) -> None:
    """Remove a schedule with the runs planned by it."""
    with api() as client:
        deployment = by_name(client, deployment_name)
        one = _schedule(deployment, schedule_id)
        question = f"Remove the schedule {words(one.schedule)} of {deployment_name!r}?"
        confirm(ctx, question, yes=yes or not may_ask(ctx))
        client.call("delete_deployment_schedule", deployment.id, one.id)
    click.echo(f"Removed the schedule {words(one.schedule)}.")


@schedule.command()
@argument("deployment_name")
@click.option("--accept-yes", "-y", "yes", is_flag=True, help="Do not ask.")
@click.pass_context
def clear(ctx: click.Context, deployment_name: str, yes: bool) -> None:
    """Remove every schedule of a deployment."""
    with api() as client:
        deployment = by_name(client, deployment_name)
        question = f"Remove all {len(deployment.schedules)} schedules of {deployment_name!r}?"
        confirm(ctx, question, yes=yes or not may_ask(ctx))
        _clear(client, deployment)
    click.echo(f"Removed all schedules of {deployment_name!r}.")


@schedule.command()
@argument("deployment_name", required=False)
@argument("schedule_id", type=click.UUID, required=False)
@click.option("--all", "all_", is_flag=True, help="The schedules of all deployments.")
def pause(deployment_name: str | None, schedule_id: UUID | None, all_: bool) -> None:
    """Plan no more runs by a schedule, or by any schedule of all deployments."""
    _set_active(deployment_name, schedule_id, all_, False, "Paused")


@schedule.command()
@argument("deployment_name", required=False)
@argument("schedule_id", type=click.UUID, required=False)
@click.option("--all", "all_", is_flag=True, help="The schedules of all deployments.")
def resume(deployment_name: str | None, schedule_id: UUID | None, all_: bool) -> None:
    """Plan runs by a schedule again, or by all schedules of all deployments."""
    _set_active(deployment_name, schedule_id, all_, True, "Resumed")


def words(one: Any) -> str:
    """A schedule in a few words."""
    zone = f" ({one.timezone})" if one.timezone else ""
    if isinstance(one, IntervalSchedule):
        return f"every {timedelta(seconds=one.interval)}{zone}"
    if isinstance(one, CronSchedule):
        return f"cron {one.cron}{zone}"
    return f"rrule {one.rrule}{zone}"


def _set_active(
    name: str | None, schedule_id: UUID | None, all_: bool, active: bool, done: str
) -> None:
    if all_ == (name is not None and schedule_id is not None) or (all_ and name is not None):
        raise click.UsageError("Give a deployment's name and a schedule's id, or --all.")
    with api() as client:
        if all_:
            deployments = list(every_deployment(client, None, DeploymentSort.NAME_ASC))
            chosen = [(one, entry) for one in deployments for entry in one.schedules]
        else:
            deployment = by_name(client, name or "")
            chosen = [(deployment, _schedule(deployment, schedule_id))]
        changed = [(one, entry) for one, entry in chosen if entry.active is not active]
        for one, entry in changed:
            body = DeploymentScheduleUpdate(active=active)
            client.call("update_deployment_schedule", one.id, entry.id, body=body)
    click.echo(f"{done} {len(changed)} schedule{'' if len(changed) == 1 else 's'}.")


def _clear(client: Any, deployment: Deployment) -> None:
    for one in deployment.schedules:
        client.call("delete_deployment_schedule", deployment.id, one.id)


def _schedule(deployment: Deployment, id: UUID | None) -> DeploymentSchedule:
    for one in deployment.schedules:
        if one.id == id:
            return one
    raise Failure(
        f"the deployment {deployment.name!r} has no schedule {id}; "
        "`penstock deployment schedule ls` lists them"
    )


def _anchor(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Failure(
            f"{text!r} is no moment; write it as ISO 8601, for example 2026-01-31T09:00"
        ) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
