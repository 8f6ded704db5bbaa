"""`penstock automation`: rules that act on events, what they did and would do."""

from pathlib import Path
from typing import Any
from uuid import UUID

import click
import msgspec

from penstock.base import json
from penstock.base.clock import utc_now
from penstock.cli.lazy import argument
from penstock.cli.moments import past
from penstock.cli.output import Failure, ago, ask_before, output_option, print_json, print_table
from penstock.cli.runs import PAGE, Api, api
from penstock.schemas.automations import (
    Automation,
    AutomationCreate,
    AutomationFilter,
    AutomationPartialUpdate,
    AutomationsFilterPage,
    AutomationSort,
    AutomationUpdate,
)
from penstock.schemas.errors import ObjectNotFound
from penstock.schemas.filters import AnyTextFilter
from penstock.schemas.firings import (
    ActionRun,
    AutomationFiring,
    AutomationTestBody,
    AutomationTestResult,
    DeadActionsBody,
    FiringEvent,
    FiringsBody,
)


@click.group()
def automation() -> None:
    """Make, look at and try automations: rules that act on events."""


@automation.command("ls")
@output_option
def ls(output: str | None) -> None:
    """List automations by name."""
    found: list[Automation] = []
    with api() as client:
        while True:
            body = AutomationsFilterPage(limit=PAGE, offset=len(found))
            page = client.call("read_automations", body=body)
            found += page
            if len(page) < PAGE:
                break
    if output:
        print_json(found)
        return
    print_table(
        ("Name", "Enabled", "Trigger", "Actions", "ID"),
        (
            (
                one.name,
                "yes" if one.enabled else "no",
                _tag(one.trigger),
                ", ".join(map(_tag, one.actions)) or "-",
                str(one.id),
            )
            for one in found
        ),
        "There are no automations; `penstock automation create --from-file FILE` makes some.",
    )


@automation.command()
@argument("name", required=False)
@click.option("--id", "id_", type=click.UUID, help="The automation of this id.")
@click.option("--yaml", "as_yaml", is_flag=True, help="Print it as YAML.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@output_option
def inspect(
    name: str | None, id_: UUID | None, as_yaml: bool, as_json: bool, output: str | None
) -> None:
    """Show an automation, or all of a name."""
    with api() as client:
        found = _named(client, name, id_)
    shown: Any = found[0] if len(found) == 1 else found
    if as_yaml:
        click.echo(_yaml_text(json.decode(json.encode(shown))))
        return
    print_json(shown)


@automation.command()
@click.option("--from-file", "-f", type=click.Path(path_type=Path), help="A YAML or JSON file.")
@click.option("--from-json", "-j", help="JSON text.")
def create(from_file: Path | None, from_json: str | None) -> None:
    """Make automations: one, a list of them, or the list under `automations`."""
    bodies = [_body(one, AutomationCreate) for one in _given(from_file, from_json)]
    with api() as client:
        for body in bodies:
            made = client.call("create_automation", body=body)
            click.echo(f"The automation {made.name!r} has the id {made.id}.")


@automation.command()
@click.option("--id", "id_", type=click.UUID, required=True, help="Which automation to replace.")
@click.option("--from-file", "-f", type=click.Path(path_type=Path), help="A YAML or JSON file.")
@click.option("--from-json", "-j", help="JSON text.")
def update(id_: UUID, from_file: Path | None, from_json: str | None) -> None:
    """Replace an automation."""
    given = _given(from_file, from_json)
    if len(given) != 1:
        raise Failure(f"{len(given)} automations are given and one is replaced; give one")
    with api() as client:
        client.call("update_automation", id_, body=_body(given[0], AutomationUpdate))
    click.echo(f"The automation {id_} is changed.")


@automation.command()
@argument("name", required=False)
@click.option("--id", "id_", type=click.UUID, help="The automation of this id.")
def pause(name: str | None, id_: UUID | None) -> None:
    """Keep an automation from firing."""
    _enable(name, id_, False)


@automation.command()
@argument("name", required=False)
@click.option("--id", "id_", type=click.UUID, help="The automation of this id.")
def resume(name: str | None, id_: UUID | None) -> None:
    """Let an automation fire again."""
    _enable(name, id_, True)


@automation.command()
@argument("name", required=False)
@click.option("--id", "id_", type=click.UUID, help="The automation of this id.")
@click.option("--all", "all_", is_flag=True, help="All automations.")
@click.pass_context
def delete(ctx: click.Context, name: str | None, id_: UUID | None, all_: bool) -> None:
    """Delete an automation."""
    with api() as client:
        if all_:
            found = client.call("read_automations", body=AutomationsFilterPage())
        else:
            found = [_single(client, name, id_)]
        names = ", ".join(repr(one.name) for one in found)
        if not found:
            click.echo("There are no automations.")
            return
        ask_before(ctx, f"Delete {names}?")
        for one in found:
            client.call("delete_automation", one.id)
    click.echo(f"Deleted: {names}.")


@automation.command()
@argument("name", required=False)
@click.option("--id", "id_", type=click.UUID, help="The automation of this id.")
@click.option(
    "--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="Most rows."
)
@output_option
def history(name: str | None, id_: UUID | None, limit: int, output: str | None) -> None:
    """Show when an automation fired, because of which events, and what came of it."""
    with api() as client:
        id = id_ or _single(client, name, None).id
        found: list[AutomationFiring] = client.call(
            "read_automation_firings", id, body=FiringsBody(limit=limit)
        )
    if output:
        print_json(found)
        return
    print_table(
        ("Fired", "Because of", "Actions"),
        (
            (
                ago(one.fired),
                _events(one.events),
                "stopped: it goes in circles" if one.suppressed else _outcomes(one.actions),
            )
            for one in found
        ),
        "It has not fired yet.",
    )


@automation.command("test")
@argument("name", required=False)
@click.option("--id", "id_", type=click.UUID, help="The automation of this id.")
@click.option("--since", default="7d", show_default=True, help="'2h' (ago), '2026-01-31 09:00'.")
@click.option("--until", help="Latest moment; now by default.")
@click.option(
    "--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="Most rows."
)
@output_option
def test(
    name: str | None,
    id_: UUID | None,
    since: str,
    until: str | None,
    limit: int,
    output: str | None,
) -> None:
    """Play stored events through an automation: when would it have fired? Nothing is done."""
    now = utc_now()
    body = AutomationTestBody(
        since=past(since, now), until=past(until, now) if until else None, limit=limit
    )
    with api() as client:
        id = id_ or _single(client, name, None).id
        result: AutomationTestResult = client.call("test_automation", id, body=body)
    if output:
        print_json(result)
        return
    actions = ", ".join(result.actions) or "nothing"
    print_table(
        ("Would have fired", "Because of", "And done"),
        ((f"{one.at:%Y-%m-%d %H:%M:%S}", _events(one.events), actions) for one in result.firings),
        "It would not have fired.",
    )
    more = "; there is more, narrow the time" if result.truncated else ""
    click.echo(f"{result.events} events looked at{more}. Nothing was done.")


@automation.group()
def actions() -> None:
    """Look after actions that were given up."""


@actions.command("ls")
@click.option(
    "--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="Most rows."
)
@output_option
def actions_ls(limit: int, output: str | None) -> None:
    """List actions that failed in every try."""
    with api() as client:
        found: list[ActionRun] = client.call("read_dead_actions", body=DeadActionsBody(limit=limit))
    if output:
        print_json(found)
        return
    print_table(
        ("Automation", "Action", "Given up", "Tries", "Why", "Firing", "No."),
        (
            (
                one.automation_name or "-",
                one.type,
                ago(one.finished),
                str(one.attempts),
                one.reason or "-",
                str(one.firing_id),
                str(one.position),
            )
            for one in found
        ),
        "No action was given up.",
    )


@actions.command("retry")
@click.argument("firing", type=click.UUID)
@click.argument("number", type=int)
def actions_retry(firing: UUID, number: int) -> None:
    """Try an action again that was given up."""
    with api() as client:
        client.call("requeue_action", firing, number)
    click.echo("It will be tried again.")


@actions.command("discard")
@click.argument("firing", type=click.UUID)
@click.argument("number", type=int)
def actions_discard(firing: UUID, number: int) -> None:
    """Take an action off the list that was given up."""
    with api() as client:
        client.call("discard_action", firing, number)
    click.echo("It is discarded.")


# --- parts ---------------------------------------------------------------------------------------


def _enable(name: str | None, id: UUID | None, enabled: bool) -> None:
    with api() as client:
        found = _single(client, name, id)
        body = AutomationPartialUpdate(enabled=enabled)
        client.call("patch_automation", found.id, body=body)
    click.echo(f"The automation {found.name!r} is {'resumed' if enabled else 'paused'}.")


def _named(client: Api, name: str | None, id: UUID | None) -> list[Automation]:
    if (name is None) == (id is None):
        raise Failure("give either the name of an automation or --id")
    if id is not None:
        try:
            return [client.call("read_automation", id)]
        except ObjectNotFound:
            raise Failure(f"there is no automation with the id {id}") from None
    wanted = AutomationFilter(name=AnyTextFilter(any_=[str(name)]))
    body = AutomationsFilterPage(automations=wanted, sort=AutomationSort.UPDATED_DESC)
    found = client.call("read_automations", body=body)
    if not found:
        raise Failure(f"there is no automation {name!r}; `penstock automation ls` lists them")
    return found


def _single(client: Api, name: str | None, id: UUID | None) -> Automation:
    found = _named(client, name, id)
    if len(found) > 1:
        ids = ", ".join(str(one.id) for one in found)
        raise Failure(f"{len(found)} automations are named {name!r}; choose one with --id: {ids}")
    return found[0]


def _given(file: Path | None, text: str | None) -> list[Any]:
    if (file is None) == (text is None):
        raise Failure("give either --from-file or --from-json")
    given = _read(file) if file is not None else _json(text or "", "--from-json")
    if isinstance(given, dict) and isinstance(given.get("automations"), list):
        given = given["automations"]
    return given if isinstance(given, list) else [given]


def _read(file: Path) -> Any:
    try:
        text = file.read_text()
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}") from None
    if file.suffix == ".json":
        return _json(text, str(file))
    if file.suffix not in (".yaml", ".yml"):
        raise Failure(f"{file}: give a file that ends with .yaml, .yml or .json")
    from ruamel.yaml import YAML, YAMLError

    try:
        return json.decode(json.encode(YAML(typ="safe").load(text)))
    except YAMLError as error:
        raise Failure(f"{file} is no YAML: {error}") from None


def _json(text: str, where: str) -> Any:
    try:
        return json.decode(text)
    except msgspec.DecodeError as error:
        raise Failure(f"{where} is no JSON: {error}") from None


def _body(given: Any, kind: Any) -> Any:
    if not isinstance(given, dict):
        raise Failure("an automation is a mapping with name, trigger and actions")
    members = {name: one for name, one in given.items() if name in kind.__struct_fields__}
    if "trigger" in members:
        members["trigger"] = _posed(members["trigger"])
    try:
        return msgspec.convert(kind.completed(members), kind, strict=False)
    except msgspec.ValidationError as error:
        raise Failure(f"the automation {given.get('name')!r} is not complete: {error}") from None


def _posed(trigger: Any) -> Any:
    """Triggers are Reactive unless they say otherwise."""
    if not isinstance(trigger, dict):
        return trigger
    if isinstance(trigger.get("triggers"), list):
        children = [_posed(child) for child in trigger["triggers"]]
        return {"within": None, **trigger, "triggers": children}
    return {"posture": "Reactive", **trigger}


def _yaml_text(value: Any) -> str:
    from io import StringIO

    from ruamel.yaml import YAML

    stream = StringIO()
    writer = YAML(typ="safe")
    writer.default_flow_style = False
    writer.dump(value, stream)
    return stream.getvalue().rstrip()


def _tag(value: Any) -> str:
    return str(type(value).__struct_config__.tag)


def _events(events: list[FiringEvent]) -> str:
    return ", ".join(f"{one.event} of {one.resource_id}" for one in events) or "no event"


def _outcomes(found: list[ActionRun]) -> str:
    return (
        ", ".join(
            f"{one.type}: {one.status}{f' ({one.reason})' if one.reason else ''}" for one in found
        )
        or "none"
    )
