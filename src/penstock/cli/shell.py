"""`penstock shell`: a shell command as a flow, once or as a deployment."""

from typing import Any

import click

from penstock.cli.lazy import argument
from penstock.cli.output import Failure


@click.group()
def shell() -> None:
    """Run shell commands as flows."""


@shell.command()
@argument("command")
@click.option(
    "--log-output/--no-log-output", default=True, show_default=True, help="Log the output."
)
@click.option("--flow-run-name", help="Name of the run.")
@click.option("--flow-name", default="Shell Command", show_default=True, help="Name of the flow.")
@click.option(
    "--stream-stdout/--no-stream-stdout",
    default=True,
    show_default=True,
    help="Print the output as it comes.",
)
@click.option("--tag", "tags", multiple=True, help="A tag of the run; repeatable.")
def watch(
    command: str,
    log_output: bool,
    flow_run_name: str | None,
    flow_name: str,
    stream_stdout: bool,
    tags: tuple[str, ...],
) -> None:
    """Run COMMAND as a flow run here. Exit status 1 when it fails."""
    from penstock.context import tags as tagged
    from penstock.shell import run_shell_command

    flow = run_shell_command.with_options(name=flow_name, flow_run_name=flow_run_name)
    with tagged(*tags):
        state: Any = flow(
            command, log_output=log_output, stream_stdout=stream_stdout, return_state=True
        )
    if not state.is_completed():
        raise Failure(state.message or "the command failed")


@shell.command()
@argument("command")
@click.option("--flow-name", required=True, help="Name of the flow.")
@click.option(
    "--deployment-name",
    default="CLI Runner Deployment",
    show_default=True,
    help="Name of the deployment.",
)
@click.option("--tag", "tags", multiple=True, help="A tag of the deployment; repeatable.")
@click.option("--log-output/--no-log-output", default=True, hidden=True)
@click.option(
    "--stream-stdout/--no-stream-stdout",
    default=True,
    show_default=True,
    help="Print the output as it comes.",
)
@click.option("--cron-schedule", help="Run at the times of this cron expression.")
@click.option("--timezone", help="Time zone of the schedule.")
@click.option("--concurrency-limit", type=click.IntRange(1), help="Most runs at once.")
@click.option("--run-once", is_flag=True, help="Run what is due now, then stop.")
def serve(
    command: str,
    flow_name: str,
    deployment_name: str,
    tags: tuple[str, ...],
    log_output: bool,
    stream_stdout: bool,
    cron_schedule: str | None,
    timezone: str | None,
    concurrency_limit: int | None,
    run_once: bool,
) -> None:
    """Serve COMMAND as a deployment until Ctrl+C or SIGTERM."""
    import asyncio

    from penstock.runner.runner import Runner
    from penstock.runner.serving import serve as serve_deployments
    from penstock.schedules import Cron
    from penstock.shell import run_shell_command

    deployment: Any = run_shell_command.with_options(name=flow_name).to_deployment(
        name=deployment_name,
        parameters={"command": command, "log_output": log_output, "stream_stdout": stream_stdout},
        schedule=Cron(cron_schedule, timezone=timezone) if cron_schedule else None,
        tags=list(tags) or None,
        concurrency_limit=concurrency_limit,
    )
    if not run_once:
        serve_deployments(deployment)
        return
    runner = Runner()
    runner.prepare(deployment)

    async def once() -> None:
        await runner.aadd_deployment(deployment)
        await runner.start(run_once=True)

    asyncio.run(once())
