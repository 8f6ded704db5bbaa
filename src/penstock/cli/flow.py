"""`penstock flow`: look at flows, serve one."""

import click

from penstock.cli.flow_serving import serve
from penstock.cli.output import ago, output_option, print_json, print_table
from penstock.cli.runs import api
from penstock.schemas.flows import FlowsFilterPage, FlowSort


@click.group()
def flow() -> None:
    """Look at flows, and serve one."""


flow.add_command(serve)


@flow.command()
@click.option("--limit", type=click.IntRange(1), default=15, show_default=True, help="Most rows.")
@output_option
def ls(limit: int, output: str | None) -> None:
    """List flows, the newest first."""
    with api() as client:
        flows = client.call(
            "read_flows", body=FlowsFilterPage(sort=FlowSort.CREATED_DESC, limit=limit)
        )
    if output:
        print_json(flows)
        return
    print_table(
        ("ID", "Name", "Created"),
        ((str(entry.id), entry.name, ago(entry.created)) for entry in flows),
        "There are no flows yet; run one.",
    )
