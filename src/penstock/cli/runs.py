"""What commands on flow runs and on task runs have in common."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import click
from msgspec import Struct, structs

from penstock.base import json
from penstock.cli.output import STATE_COLOURS, Failure, ago, console, print_json, waiting
from penstock.client import get_client
from penstock.schemas.errors import ObjectNotFound
from penstock.schemas.logs import LogFilter, LogsFilterPage, LogSort
from penstock.schemas.states import State, StateType
from penstock.settings import get_current_settings

PAGE = 200
DEFAULT_TAIL = 20
LEVELS = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
LEVEL_COLOURS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}


class Api:
    """Operations by name; one that takes long is said to."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def call(self, operation: str, *params: Any, body: Any = None, **query: Any) -> Any:
        """The answer to one operation. Raises what the client raises."""
        target = get_current_settings().api.url or "the embedded server"
        with waiting(f"Waiting for {target} ..."):
            return self._client.call(operation, *params, body=body, **query)


@contextmanager
def api() -> Iterator[Api]:
    """The configured API, or the embedded server when none is configured."""
    with get_client(sync_client=True) as client:
        yield Api(client)


def found(client: Api, operation: str, kind: str, id: UUID) -> Any:
    """The object with `id`. Raises `Failure` that names it when there is none."""
    try:
        return client.call(operation, id)
    except ObjectNotFound:
        raise Failure(
            f"there is no {kind} {id}; `penstock {kind.replace(' ', '-')} ls` lists them"
        ) from None


def state_types(names: Iterable[str]) -> list[StateType]:
    """State types by name, any case. Raises `Failure` for an unknown one."""
    types = []
    for name in names:
        try:
            types.append(StateType(name.upper()))
        except ValueError:
            known = ", ".join(member.value for member in StateType)
            raise Failure(f"{name!r} is no state type; there are: {known}") from None
    return types


def state_cell(run: Any) -> tuple[str, str]:
    """The state of a run as a table cell."""
    kind = run.state_type.value if run.state_type else ""
    return run.state_name or "-", STATE_COLOURS.get(kind, "")


def moment_of(run: Any) -> str:
    """When a run began, or is expected to, in words."""
    return ago(run.start_time or run.expected_start_time or run.created)


def inspect(run: Any, output: str | None, page: str, web: bool) -> None:
    """Show one run: all its fields, or its page in a browser."""
    if web:
        _open_page(page)
    elif output:
        print_json(run)
    else:
        _print_fields(run)


def _open_page(page: str) -> None:
    base = get_current_settings().ui_url
    if not base:
        raise Failure("no UI is known; set PENSTOCK_API_URL or PENSTOCK_UI_URL")
    address = f"{base}/{page}"
    if not click.launch(address):
        click.echo(f"Opened {address}.")
        return
    raise Failure(f"no browser could be started; open {address}")


def _print_fields(run: Any) -> None:
    for field in structs.fields(run):
        value = getattr(run, field.name)
        if (
            value in (None, "", [], {})
            or value == field.default
            or field.name.startswith("estimated")
        ):
            continue
        text = _text(value)
        if text != "{}":
            click.echo(f"{field.name + ':':<22} {text}")


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone().isoformat(sep=" ", timespec="milliseconds")
    if isinstance(value, State):
        return repr(value)
    if isinstance(value, Struct):
        given = {
            field.name: inner
            for field in structs.fields(value)
            if (inner := getattr(value, field.name)) not in (None, field.default)
        }
        return json.text(given)
    return json.text(value) if isinstance(value, dict | list) else str(value)


def print_logs(
    kind: str,
    id: UUID,
    *,
    filter: LogFilter,
    head: bool,
    tail: bool,
    count: int | None,
    reverse: bool,
    output: str | None,
) -> None:
    """Print log records of a run, oldest first unless `reverse`.

    All of them, or the first or last `count`; reads page by page, so any number will do.
    """
    if head and tail:
        raise click.UsageError("--head and --tail exclude each other; choose one.")
    if count is None and (head or tail):
        count = DEFAULT_TAIL
    with api() as client:
        found(client, f"read_{kind}_run", f"{kind} run", id)
        from_end = tail or (reverse and not head)
        records = _read_logs(client, filter, from_end=from_end, count=count)
        if output:
            print_json(list(_ordered(records, from_end, reverse)))
            return
        printer = console()
        lines = 0
        for record in _ordered(records, from_end, reverse):
            _print_log(printer, record)
            lines += 1
        if not lines:
            click.echo(f"The {kind} run {id} has no log records.", err=True)


def _ordered(records: Iterator[Any], from_end: bool, reverse: bool) -> Iterable[Any]:
    # Only a change of direction needs the records in memory; otherwise pages are streamed.
    return reversed(list(records)) if from_end != reverse else records


def _read_logs(
    client: Api, filter: LogFilter, *, from_end: bool, count: int | None
) -> Iterator[Any]:
    sort = LogSort.TIMESTAMP_DESC if from_end else LogSort.TIMESTAMP_ASC
    offset = 0
    while count is None or offset < count:
        limit = PAGE if count is None else min(PAGE, count - offset)
        body = LogsFilterPage(logs=filter, sort=sort, offset=offset, limit=limit)
        page = client.call("read_logs", body=body)
        yield from page
        offset += len(page)
        if len(page) < limit:
            return


def _print_log(printer: Any, record: Any) -> None:
    level = LEVELS.get(record.level, str(record.level))
    moment = record.timestamp.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    printer.print(
        f"{moment} | {level:<8} | {record.name} - {record.message}",
        style=LEVEL_COLOURS.get(level, ""),
        markup=False,
    )
