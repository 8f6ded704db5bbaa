"""Finding deployments for commands: by name, by id, or all of them."""

from collections.abc import Iterator
from uuid import UUID

import click

from penstock.cli.output import Failure
from penstock.cli.runs import PAGE, Api, found
from penstock.schemas.deployments import Deployment, DeploymentsFilterPage, DeploymentSort
from penstock.schemas.errors import ObjectNotFound
from penstock.schemas.filters import FlowFilter, IdFilter
from penstock.schemas.flows import FlowsFilterPage


def by_name(client: Api, name: str) -> Deployment:
    """The deployment named `<flow>/<deployment>`. Raises `Failure`."""
    flow_name, slash, deployment_name = name.partition("/")
    if not (flow_name and slash and deployment_name):
        raise Failure(f"{name!r} names no deployment; write it as <flow>/<deployment>")
    try:
        return client.call("read_deployment_by_name", flow_name, deployment_name)
    except ObjectNotFound:
        raise Failure(
            f"there is no deployment {name!r}; `penstock deployment ls` lists them"
        ) from None


def every_deployment(
    client: Api, flows: FlowFilter | None, sort: DeploymentSort
) -> Iterator[Deployment]:
    """All deployments that match, read page by page."""
    offset = 0
    while True:
        body = DeploymentsFilterPage(flows=flows, sort=sort, limit=PAGE, offset=offset)
        page = client.call("read_deployments", body=body)
        yield from page
        offset += len(page)
        if len(page) < PAGE:
            return


def flow_names(client: Api, deployments: list[Deployment]) -> dict[UUID, str]:
    """The names of the deployments' flows by their ids."""
    ids = list(dict.fromkeys(one.flow_id for one in deployments))
    names: dict[UUID, str] = {}
    for begin in range(0, len(ids), PAGE):
        part = ids[begin : begin + PAGE]
        body = FlowsFilterPage(flows=FlowFilter(id=IdFilter(any_=part)), limit=PAGE)
        names |= {flow.id: flow.name for flow in client.call("read_flows", body=body)}
    return names


def chosen_deployment(client: Api, name: str | None, id: UUID | None) -> Deployment:
    """The deployment of that name or that id; exactly one of them is given."""
    if (name is None) == (id is None):
        raise click.UsageError("Give the deployment as <flow>/<deployment>, or --id; one of them.")
    if id is not None:
        return found(client, "read_deployment", "deployment", id)
    return by_name(client, name or "")
