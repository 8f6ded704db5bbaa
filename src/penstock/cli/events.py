"""`penstock events`: find events, follow them live, send one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import click
import msgspec

from penstock.base import json
from penstock.cli.audit import when
from penstock.cli.lazy import argument
from penstock.cli.moments import past
from penstock.cli.output import Failure, output_option, print_json, print_table
from penstock.cli.runs import api
from penstock.client.subscriptions import subscribe_events
from penstock.schemas.events import (
    RESOURCE_ID,
    RESOURCE_NAME,
    RESOURCE_ROLE,
    Event,
    EventAnyResourceFilter,
    EventFilter,
    EventIdFilter,
    EventNameFilter,
    EventOccurredFilter,
    EventPage,
    EventRelatedFilter,
    EventResourceFilter,
    EventsFilterBody,
    EventTextFilter,
    ReceivedEvent,
    Resource,
)

PAGE = 50


@click.group()
def events() -> None:
    """Find events, follow them live, send one."""


@events.command()
@click.option("--event", multiple=True, help="A name; with '*' at its end a prefix; repeatable.")
@click.option("--resource", help="The id of what the event is about; '*' at its end for a prefix.")
@click.option("--related", help="The id of a related resource.")
@click.option("--any", "any_", help="The id of a resource in any role.")
@click.option("--text", help="Words in the event.")
@click.option("--since", help="Earliest moment: '2h' (ago), '2026-01-31 09:00'.")
@click.option("--until", help="Latest moment.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Most rows.")
@output_option
def ls(
    event: tuple[str, ...],
    resource: str | None,
    related: str | None,
    any_: str | None,
    text: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    output: str | None,
) -> None:
    """List stored events, newest first."""
    now = datetime.now().astimezone()
    bounds: dict[str, datetime] = {}
    if since:
        bounds["since"] = past(since, now)
    if until:
        bounds["until"] = past(until, now)
    filter = EventFilter(
        event=_names(event),
        resource=EventResourceFilter(**_ids(resource)) if resource else None,
        related=EventRelatedFilter(id=[related]) if related else None,
        any_resource=EventAnyResourceFilter(**_ids(any_)) if any_ else None,
        text=EventTextFilter(query=text) if text else None,
        occurred=EventOccurredFilter(**bounds),
    )
    found = _listed(filter, limit)
    if output:
        print_json(found)
        return
    print_table(
        ("ID", "When", "Event", "Resource", "Actor"),
        (
            (str(one.id), when(one.occurred), one.event, _titled(one.resource), _actor(one))
            for one in found
        ),
        "No event matches.",
    )


def _listed(filter: EventFilter, limit: int) -> list[ReceivedEvent]:
    with api() as client:
        body = EventsFilterBody(filter=filter, limit=min(limit, PAGE))
        page: EventPage = client.call("read_events", body=body)
        found = list(page.events)
        while page.next_page and len(found) < limit:
            [token] = parse_qs(urlsplit(page.next_page).query)["page-token"]
            page = client.call("read_account_events_page", page_token=token)
            found += page.events
    return found[:limit]


def _names(given: tuple[str, ...]) -> EventNameFilter | None:
    if not given:
        return None
    exact = [one for one in given if not one.endswith("*")]
    prefixes = [one[:-1] for one in given if one.endswith("*")]
    if exact and prefixes:
        raise Failure("name events by whole names or by prefixes, not by both in one command")
    return EventNameFilter(name=exact or None, prefix=prefixes or None)


def _ids(given: str) -> dict[str, Any]:
    return {"id_prefix": [given[:-1]]} if given.endswith("*") else {"id": [given]}


@events.command()
@argument("id", type=click.UUID)
@output_option
def inspect(id: UUID, output: str | None) -> None:
    """Show one event."""
    filter = EventFilter(id=EventIdFilter(id=[id]))
    found = _listed(filter, 1)
    if not found:
        raise Failure(f"there is no event {id}; `penstock events ls` lists them")
    event = found[0]
    if output:
        print_json(event)
        return
    for label, text in (
        ("ID", str(event.id)),
        ("Event", event.event),
        ("Occurred", when(event.occurred)),
        ("Received", when(event.received)),
        ("Resource", _titled(event.resource)),
        ("Actor", _actor(event)),
        ("Follows", str(event.follows or "-")),
    ):
        click.echo(f"{label}: {text}")
    for one in event.related:
        click.echo(f"Related: {one.get(RESOURCE_ROLE, '-')}: {_titled(one)}")
    if event.payload:
        click.echo("Payload:")
        print_json(event.payload)


@events.command()
@click.option(
    "--format",
    "format_",
    type=click.Choice(["json", "text"], case_sensitive=False),
    default="json",
    show_default=True,
    help="How an event is printed, a line each.",
)
@click.option("--output-file", type=click.Path(dir_okay=False), help="Append here, not to stdout.")
@click.option("--account/--no-account", default=False, help="Accepted; a server is one account.")
@click.option("--run-once/--no-run-once", default=False, help="End after the first event.")
@click.option("--filter", "filter_", metavar="JSON", help="An event filter as of the API.")
def stream(
    format_: str, output_file: str | None, account: bool, run_once: bool, filter_: str | None
) -> None:
    """Print events as they happen, until Ctrl-C."""
    chosen = _decoded(filter_, EventFilter, "--filter") if filter_ else EventFilter()
    with _output(output_file) as file, subscribe_events(chosen) as subscription:
        click.echo("Waiting for events; Ctrl-C ends.", err=True)
        for event in subscription:
            file.write(_line(event, format_.lower()) + "\n")
            file.flush()
            if run_once:
                return


@contextmanager
def _output(path: str | None) -> Iterator[IO[str]]:
    if path is None:
        with nullcontext(sys.stdout) as file:
            yield file
        return
    with Path(path).open("a", encoding="utf-8") as file:
        yield file


def _line(event: ReceivedEvent, format: str) -> str:
    if format == "json":
        return json.text(event)
    return f"{when(event.occurred)} {event.event} {_titled(event.resource)} {_actor(event)}"


@events.command()
@argument("event")
@click.option("--resource", "-r", help="Labels: key=value, or a JSON object.")
@click.option("--resource-id", help="What the event is about.")
@click.option("--related", help="Related resources: a JSON object or a list of them.")
@click.option("--payload", "-p", help="A JSON object.")
@output_option
def emit(
    event: str,
    resource: str | None,
    resource_id: str | None,
    related: str | None,
    payload: str | None,
    output: str | None,
) -> None:
    """Send an event; returns when it is stored."""
    labels = _labels(resource)
    if resource_id:
        labels[RESOURCE_ID] = resource_id
    if RESOURCE_ID not in labels:
        raise Failure(f"say what the event is about: --resource-id ID, or -r {RESOURCE_ID}=ID")
    made = Event(
        event=event,
        occurred=datetime.now().astimezone(),
        resource=labels,
        related=_related(related),
        payload=_decoded(payload, dict[str, Any], "--payload") if payload else {},
    )
    with api() as client:
        client.call("create_events", body=[made])
    if output:
        print_json(made)
        return
    click.echo(f"The event {made.event!r} is stored: {made.id}")


def _labels(text: str | None) -> Resource:
    if text is None:
        return {}
    if text.lstrip().startswith("{"):
        return _decoded(text, Resource, "--resource")
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise Failure(f"{text!r} is no label; write key=value or a JSON object of texts")
    return {key: value}


def _related(text: str | None) -> list[Resource]:
    if text is None:
        return []
    found = _decoded(text, Resource | list[Resource], "--related")
    return found if isinstance(found, list) else [found]


def _decoded(text: str, type: Any, option: str) -> Any:
    try:
        return json.decode(text, type)
    except msgspec.DecodeError as error:
        raise Failure(f"{option} cannot be read: {error}; quote the JSON for your shell") from None


def _titled(resource: Resource) -> str:
    id, name = resource.get(RESOURCE_ID, "-"), resource.get(RESOURCE_NAME)
    return f"{id} ({name})" if name else id


def _actor(event: ReceivedEvent) -> str:
    if not event.actor:
        return "-"
    name, kind = event.actor.get("name") or "", event.actor.get("type") or ""
    return kind if name in ("", kind) else f"{kind} {name}"
