"""The root command: global options, and the table of command groups."""

import os
import sys

import click

from penstock.base.version import VERSION
from penstock.cli.lazy import Entry, LazyGroup
from penstock.schemas.errors import PenstockException

ENTRIES = {
    "api": Entry("penstock.cli.api:api", "Send one request to the API."),
    "artifact": Entry("penstock.cli.artifact:artifact", "Look at artifacts of runs."),
    "audit": Entry(
        "penstock.cli.audit:audit", "Ask the audit trail who changed what, and verify it."
    ),
    "automation": Entry("penstock.cli.automation:automation", "Make, look at and try automations."),
    "block": Entry("penstock.cli.block:block", "Look after blocks: typed configuration."),
    "cleanup": Entry(
        "penstock.cli.cleanup:cleanup",
        "Look at owed teardowns; find, explain and requeue dead letters.",
    ),
    "concurrency-limit": Entry(
        "penstock.cli.concurrency_limit:concurrency_limit",
        "Limit how many task runs of a tag run at once.",
    ),
    "config": Entry("penstock.cli.config:config", "View and change settings of the profile."),
    "dashboard": Entry("penstock.cli.dashboard:dashboard", "Open the UI."),
    "deploy": Entry(
        "penstock.cli.deploy:deploy", "Make the deployments of a project file, or one of a flow."
    ),
    "deployment": Entry(
        "penstock.cli.deployment:deployment",
        "Look at deployments, run and pause them, keep their schedules.",
    ),
    "events": Entry(
        "penstock.cli.events:events",
        "Find events, follow them live, send one.",
        aliases=("event",),
    ),
    "flow": Entry("penstock.cli.flow:flow", "Look at flows, and serve one."),
    "flow-run": Entry("penstock.cli.flow_run:flow_run", "Look at flow runs and control them."),
    "global-concurrency-limit": Entry(
        "penstock.cli.global_concurrency_limit:global_concurrency_limit",
        "Limit how many holders of slots there are at once.",
        aliases=("gcl",),
    ),
    "init": Entry("penstock.cli.init:init", "Begin a project: write its project file."),
    "profile": Entry("penstock.cli.profile:profile", "Choose and edit profiles."),
    "server": Entry("penstock.cli.server:server", "Start, stop and look after a server."),
    "shell": Entry("penstock.cli.shell:shell", "Run shell commands as flows."),
    "task": Entry("penstock.cli.task:task", "Serve tasks to run in the background."),
    "task-run": Entry("penstock.cli.task_run:task_run", "Look at task runs."),
    "token": Entry("penstock.cli.token:token", "Make, list and revoke named API tokens."),
    "variable": Entry("penstock.cli.variable:variable", "Read and set variables."),
    "version": Entry("penstock.cli.version:version", "Say which versions are in use."),
    "work-pool": Entry(
        "penstock.cli.work_pool:work_pool",
        "Look after work pools: what workers take runs from.",
    ),
    "work-queue": Entry(
        "penstock.cli.work_queue:work_queue",
        "Look after work queues: in which order a pool's runs are started.",
    ),
    "worker": Entry("penstock.cli.worker:worker", "Start workers."),
}


@click.command(cls=LazyGroup, entries=ENTRIES, context_settings={"help_option_names": ["--help"]})
@click.option("--profile", "-p", metavar="NAME", help="Use this profile for the command.")
@click.option("--prompt/--no-prompt", default=None, help="Whether the command may ask questions.")
@click.version_option(VERSION, "--version", "-v", message="%(version)s")
@click.pass_context
def cli(ctx: click.Context, profile: str | None, prompt: bool | None) -> None:
    """Penstock runs, retries, records and observes workflows written in Python."""
    ctx.obj = prompt
    if profile is not None:
        # Child processes (a server in the background, say) follow the choice as well.
        os.environ["PENSTOCK_PROFILE"] = profile


def main() -> None:
    """Run a command; errors go to stderr and end with status 1, wrong usage with status 2."""
    try:
        status = cli.main(standalone_mode=False, prog_name="penstock")
    except click.exceptions.Exit as leave:
        status = leave.exit_code
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Aborted.", err=True)
        status = 130
    except (PenstockException, OSError) as error:
        click.echo(f"Error: {error}", err=True)
        status = 1
    sys.exit(status if isinstance(status, int) else 0)
