"""`penstock artifact`: look at artifacts of runs."""

from typing import Any
from uuid import UUID

import click

from penstock.cli.lazy import argument
from penstock.cli.output import Failure, ago, ask_before, output_option, print_json, print_table
from penstock.cli.runs import PAGE, Api, api
from penstock.schemas.artifacts import (
    Artifact,
    ArtifactFilter,
    ArtifactFilterKey,
    ArtifactsFilterPage,
    LatestArtifactsFilterPage,
)
from penstock.schemas.errors import ObjectNotFound
from penstock.schemas.filters import TextFilter


@click.group()
def artifact() -> None:
    """Look at artifacts of runs."""


@artifact.command()
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Most rows.")
@click.option("--all/--no-all", "-a", "all_", default=False, help="Every version of each key.")
@output_option
def ls(limit: int, all_: bool, output: str | None) -> None:
    """List the newest artifact of each key, or all artifacts that are no results of runs."""
    with api() as client:
        if all_:
            without_results = ArtifactFilter(type=TextFilter(not_any_=["result"]))
            body: Any = ArtifactsFilterPage(artifacts=without_results)
            found = _pages(client, "read_artifacts", body, limit)
        else:
            body = LatestArtifactsFilterPage()
            found = _pages(client, "read_latest_artifacts", body, limit)
    if output:
        print_json(found)
        return
    print_table(
        ("ID", "Key", "Type", "Updated"),
        (
            (
                str(getattr(one, "latest_id", one.id)),
                one.key or "-",
                one.type or "-",
                ago(one.updated),
            )
            for one in found
        ),
        "There are no artifacts.",
    )


@artifact.command()
@argument("key")
@click.option("--limit", type=click.IntRange(1), default=10, show_default=True, help="Most rows.")
@output_option
def inspect(key: str, limit: int, output: str | None) -> None:
    """Show the versions of a key, the newest first."""
    with api() as client:
        found = _versions(client, key, limit)
    if not found:
        raise Failure(f"no artifact has the key {key!r}; `penstock artifact ls` lists the keys")
    if output:
        print_json(found)
        return
    for number, one in enumerate(found):
        if number:
            click.echo()
        for name in ("id", "type", "description", "data", "flow_run_id", "task_run_id"):
            value = getattr(one, name)
            if value is not None:
                click.echo(f"{name}: {value}")
        click.echo(f"created: {ago(one.created)}")


@artifact.command()
@argument("key", required=False)
@click.option("--id", "artifact_id", type=click.UUID, help="Only this artifact.")
@click.pass_context
def delete(ctx: click.Context, key: str | None, artifact_id: UUID | None) -> None:
    """Delete all versions of a key, or one artifact by its id."""
    if (key is None) == (artifact_id is None):
        raise click.UsageError("give either a key or --id")
    with api() as client:
        if artifact_id is not None:
            try:
                client.call("delete_artifact", artifact_id)
            except ObjectNotFound:
                raise Failure(
                    f"there is no artifact {artifact_id}; `penstock artifact ls --all` lists them"
                ) from None
            click.echo(f"The artifact {artifact_id} is deleted.")
            return
        assert key is not None
        _delete_key(ctx, client, key)


def _delete_key(ctx: click.Context, client: Api, key: str) -> None:
    found = _versions(client, key, PAGE)
    if not found:
        raise Failure(f"no artifact has the key {key!r}; `penstock artifact ls` lists the keys")
    ask_before(ctx, f"Delete all versions of {key!r}?")
    count = 0
    while found:
        # The newest last, so that the key does not go from version to version.
        for one in reversed(found):
            client.call("delete_artifact", one.id)
        count += len(found)
        found = _versions(client, key, PAGE)
    click.echo(f"{count} artifacts of the key {key!r} are deleted.")


def _versions(client: Api, key: str, limit: int) -> list[Artifact]:
    only = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
    return _pages(client, "read_artifacts", ArtifactsFilterPage(artifacts=only), limit)


def _pages(client: Api, operation: str, body: Any, limit: int) -> list[Any]:
    """Up to `limit` objects, in as many requests as that takes."""
    found: list[Any] = []
    while len(found) < limit:
        size = min(limit - len(found), PAGE)
        page = client.call(
            operation, body=type(body)(artifacts=body.artifacts, limit=size, offset=len(found))
        )
        found += page
        if len(page) < size:
            break
    return found
