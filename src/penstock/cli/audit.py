"""`penstock audit`: who changed what, and the proof that nobody changed that since."""

import csv
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import click

from penstock.base import json
from penstock.cli.lazy import argument
from penstock.cli.moments import past
from penstock.cli.output import Failure, output_option, print_json, print_table
from penstock.cli.runs import Api, api
from penstock.schemas.audit import (
    MAXIMUM_PAGE,
    AuditActorFilter,
    AuditAnyFilter,
    AuditFilter,
    AuditFilterBody,
    AuditObjectFilter,
    AuditOrder,
    AuditRecord,
    AuditTimeFilter,
)
from penstock.schemas.errors import ObjectNotFound

EXPORTED_AT_ONCE = 5_000
LONGEST_VALUE = 60
SHOWN_CHANGES = 4
COLUMNS = ("ID", "When", "Actor", "Action", "Object", "Changes")


@click.group()
def audit() -> None:
    """Ask the audit trail who changed what, and verify it."""


@audit.command()
@click.option("--kind", multiple=True, help="A kind of object, such as deployment; repeatable.")
@click.option("--action", multiple=True, help="An action, such as updated; repeatable.")
@click.option("--actor", help="Part of the name of who asked for the change.")
@click.option(
    "--object", "object_", metavar="KIND/NAME", help="One object, by a name it had, or id."
)
@click.option("--path", multiple=True, help="What was changed, such as /parameters; repeatable.")
@click.option("--request", "request_id", help="The id of the request of the change.")
@click.option("--text", help="Words in names and values.")
@click.option("--since", help="Earliest moment: '2h' (ago), '2026-01-31 09:00'.")
@click.option("--until", help="Latest moment.")
@click.option("--oldest-first", is_flag=True, help="In the order in which things happened.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Most rows.")
@output_option
def ls(
    kind: tuple[str, ...],
    action: tuple[str, ...],
    actor: str | None,
    object_: str | None,
    path: tuple[str, ...],
    request_id: str | None,
    text: str | None,
    since: str | None,
    until: str | None,
    oldest_first: bool,
    limit: int,
    output: str | None,
) -> None:
    """List changes, newest first."""
    now = datetime.now().astimezone()
    kinds, wanted = list(kind), None
    if object_ is not None:
        only, reference = split(object_)
        kinds = [only]
        wanted = _object(reference)
    filter = AuditFilter(
        at=AuditTimeFilter(
            since=past(since, now) if since else None, until=past(until, now) if until else None
        ),
        actor=AuditActorFilter(like=actor) if actor else None,
        action=AuditAnyFilter(any_=list(action)) if action else None,
        kind=AuditAnyFilter(any_=kinds) if kinds else None,
        object=wanted,
        request_id=request_id,
        text=text,
        changed_path=AuditAnyFilter(any_=list(path)) if path else None,
    )
    order = AuditOrder.ASC if oldest_first else AuditOrder.DESC
    with api() as client:
        found = _listed(client, filter, order, limit)
    _print(found, output, "No change matches.")


def _listed(client: Api, filter: AuditFilter, order: AuditOrder, limit: int) -> list[AuditRecord]:
    found: list[AuditRecord] = []
    after = None
    while len(found) < limit:
        size = min(limit - len(found), MAXIMUM_PAGE)
        body = AuditFilterBody(filter=filter, order=order, limit=size, after=after)
        page = client.call("read_audit", body=body)
        found += page.records
        after = page.next
        if after is None:
            break
    return found


def _object(reference: str) -> AuditObjectFilter:
    try:
        return AuditObjectFilter(id=str(UUID(reference)))
    except ValueError:
        return AuditObjectFilter(name=reference)


@audit.command()
@argument("id", type=click.UUID)
@output_option
def show(id: UUID, output: str | None) -> None:
    """Show one change: who, on which request, before and after."""
    with api() as client:
        record = _record(client, id)
    if output:
        print_json(record)
        return
    request = record.request
    for label, text in (
        ("ID", str(record.id)),
        ("When", when(record.at)),
        ("Actor", f"{record.actor.type} {record.actor.name or '-'} ({record.actor.auth})"),
        ("Action", record.action),
        ("Object", f"{record.kind}/{record.object_name} ({record.object_id})"),
        ("Request", f"{request.route} from {request.ip} ({request.id})" if request else "-"),
        ("Client", (request.user_agent if request else None) or "-"),
        ("Claims", _claims(record) or "-"),
        ("Caused by", record.caused_by or "-"),
    ):
        click.echo(f"{label}: {text}")
    _print_changes(record)


@audit.command()
@argument("id", type=click.UUID)
@output_option
def diff(id: UUID, output: str | None) -> None:
    """Show what a change changed, a line for each value."""
    with api() as client:
        record = _record(client, id)
    if output:
        print_json(record.changes)
        return
    _print_changes(record)


@audit.command()
@argument("object", metavar="KIND/NAME_OR_ID")
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="Most rows.")
@output_option
def history(object: str, limit: int, output: str | None) -> None:
    """All that happened to an object, also under other names and after its deletion."""
    kind, reference = split(object)
    found: list[AuditRecord] = []
    after = None
    with api() as client:
        while len(found) < limit:
            size = min(limit - len(found), MAXIMUM_PAGE)
            try:
                page = client.call("read_audit_history", kind, reference, after=after, limit=size)
            except ObjectNotFound as error:
                raise Failure(error.detail or str(error)) from None
            found += page.records
            after = page.next
            if after is None:
                break
    _print(found, output, "Nothing is recorded of it.")


@audit.command()
@argument("object", metavar="KIND/NAME_OR_ID")
@click.option("--at", default="now", show_default=True, help="When: '2h' (ago), or a moment.")
def state(object: str, at: str) -> None:
    """Print what an object was at a time, as JSON."""
    kind, reference = split(object)
    time = past(at, datetime.now().astimezone())
    with api() as client:
        try:
            found = client.call("read_audit_state", kind, reference, time=time)
        except ObjectNotFound as error:
            raise Failure(error.detail or str(error)) from None
    print_json(found)


@audit.command()
@click.option("--expect", metavar="SEGMENT:HEAD", help="A seal that was noted earlier.")
@output_option
def verify(expect: str | None, output: str | None) -> None:
    """Check that no row was altered, removed or put in since it was sealed.

    Ends with status 1 when something was. Note the last line somewhere else: given as --expect
    later, it proves that the whole trail was not replaced either.
    """
    segment, _, head = (expect or "").partition(":")
    if expect and not (segment.isdigit() and head):
        raise click.UsageError("--expect takes what an earlier `audit verify` printed as its seal")
    with api() as client:
        pages = [client.call("verify_audit")]
        if expect:
            pages = _stopping_at(client, int(segment), pages)
        while pages[-1].next is not None:
            pages.append(client.call("verify_audit", after=pages[-1].next))
    problems = [problem for page in pages for problem in page.problems]
    texts = [problem.message for problem in problems]
    if expect and not any((str(page.segment), page.head) == (segment, head) for page in pages):
        texts.append(f"the seal of segment {segment} is not the one that was expected")
    last = pages[-1]
    found = {
        "intact": not texts,
        "problems": texts,
        "segments": sum(page.segments for page in pages),
        "rows": sum(page.rows for page in pages),
        "deleted_rows": sum(page.deleted_rows for page in pages),
        "unsealed_rows": last.unsealed_rows,
        "database_key_segments": sum(page.database_key for page in pages),
        "seal": f"{last.segment}:{last.head}" if last.head else None,
    }
    if output:
        print_json(found)
    else:
        _print_verification(found)
    if texts:
        raise click.exceptions.Exit(1)


def _stopping_at(client: Api, segment: int, pages: list[Any]) -> list[Any]:
    """The pages up to a segment, so that its head is among what they say."""
    if segment < 1:
        return pages
    pages, after = [], 0
    while after < segment:
        page = client.call("verify_audit", after=after, limit=min(20, segment - after))
        pages.append(page)
        if page.next is None:
            break
        after = page.next
    return pages


def _print_verification(found: dict[str, Any]) -> None:
    for text in found["problems"]:
        click.echo(f"Problem: {text}")
    click.echo(
        f"{found['rows']} rows in {found['segments']} sealed segments were compared; "
        f"{found['unsealed_rows']} are not sealed yet, {found['deleted_rows']} were deleted by age."
    )
    if found["database_key_segments"]:
        click.echo(
            f"Sealed with a key that is kept in the database itself: "
            f"{found['database_key_segments']} of them; set PENSTOCK_API_ENCRYPTION_KEY on the "
            "server for one that is not."
        )
    click.echo(f"The trail is {'intact' if found['intact'] else 'NOT intact'}.")
    if found["seal"]:
        click.echo(f"Seal: {found['seal']}")


@audit.command()
@click.option(
    "--format",
    "format_",
    type=click.Choice(["ndjson", "csv"]),
    default="ndjson",
    show_default=True,
    help="A JSON object or a CSV row for each change.",
)
@click.option("--after-seq", type=int, default=-1, help="Continue behind this `seq`.")
@click.option("--output-file", type=click.Path(dir_okay=False), help="Write here, not to stdout.")
def export(format_: str, after_seq: int, output_file: str | None) -> None:
    """Write the whole trail, oldest first. The last `seq` continues it later."""
    with api() as client:
        if output_file is None:
            _export(client, sys.stdout, format_, after_seq)
            return
        with Path(output_file).open("w", encoding="utf-8", newline="") as file:
            count = _export(client, file, format_, after_seq)
    click.echo(f"{count} changes were written to {output_file}.", err=True)


def _export(client: Api, file: IO[str], format: str, after: int) -> int:
    writer = _CsvWriter(file) if format == "csv" else None
    count = 0
    while True:
        text = client.call("export_audit", after_seq=after, limit=EXPORTED_AT_ONCE) or ""
        lines = text.splitlines()
        if not lines:
            return count
        count += len(lines)
        after = json.decode(lines[-1])["seq"]
        if writer is None:
            file.write(text)
        else:
            writer.write(map(json.decode, lines))


class _CsvWriter:
    """Changes as flat rows; documents are JSON in their cell."""

    COLUMNS = (
        "seq", "id", "at", "actor_type", "actor_id", "actor_name", "request_id", "request_route",
        "request_ip", "action", "kind", "object_id", "object_name", "changes", "before", "after",
        "caused_by",
    )  # fmt: skip

    def __init__(self, file: IO[str]) -> None:
        self._writer = csv.writer(file)
        self._writer.writerow(self.COLUMNS)

    def write(self, records: Iterable[dict[str, Any]]) -> None:
        for record in records:
            flat = dict(record)
            for group in ("actor", "request"):
                flat |= {f"{group}_{name}": value for name, value in (record[group] or {}).items()}
            self._writer.writerow([_cell(flat.get(name)) for name in self.COLUMNS])


def _cell(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return json.text(value)
    # A spreadsheet must not take a name for a formula.
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value


# --- what is printed -----------------------------------------------------------------------------


def split(reference: str) -> tuple[str, str]:
    """The kind and the name or id of an object. Raises `Failure` without a slash."""
    kind, slash, rest = reference.partition("/")
    if not slash or not kind or not rest:
        raise Failure(
            f"{reference!r} names no object; write its kind and its name or id, for example "
            "deployment/nightly"
        )
    return kind, rest


def when(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def _record(client: Api, id: UUID) -> AuditRecord:
    try:
        return client.call("read_audit_record", id)
    except ObjectNotFound as error:
        raise Failure(error.detail or str(error)) from None


def _print(records: list[AuditRecord], output: str | None, empty: str) -> None:
    if output:
        print_json(records)
        return
    print_table(
        COLUMNS,
        (
            (
                str(record.id),
                when(record.at),
                _actor(record),
                record.action,
                f"{record.kind}/{record.object_name}",
                _summary(record),
            )
            for record in records
        ),
        empty,
    )


def _actor(record: AuditRecord) -> str:
    actor = record.actor
    return actor.type if actor.name in (None, "", actor.type) else f"{actor.type} {actor.name}"


def _claims(record: AuditRecord) -> str:
    return ", ".join(f"{kind} {value}" for kind, value in (record.claims or {}).items())


def _summary(record: AuditRecord) -> str:
    texts = [_line(change) for change in record.changes[:SHOWN_CHANGES]]
    if len(record.changes) > SHOWN_CHANGES:
        texts.append(f"and {len(record.changes) - SHOWN_CHANGES} more")
    return "; ".join(texts) or "-"


def _line(change: dict[str, Any]) -> str:
    before = _short(change["from"]) if "from" in change else "nothing"
    after = _short(change["to"]) if "to" in change else "nothing"
    return f"{change['path'].lstrip('/')}: {before} -> {after}"


def _short(value: Any) -> str:
    text = json.text(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def _print_changes(record: AuditRecord) -> None:
    if record.changes:
        for change in record.changes:
            click.echo(f"{change['path']}")
            if "from" in change:
                click.echo(f"  - {json.text(change['from'])}")
            if "to" in change:
                click.echo(f"  + {json.text(change['to'])}")
    elif record.before is None and record.after is not None:
        _print_document("+", record.after)
    elif record.after is None and record.before is not None:
        _print_document("-", record.before)


def _print_document(sign: str, document: dict[str, Any]) -> None:
    for name, value in document.items():
        click.echo(f"{sign} /{name}: {json.text(value)}")
