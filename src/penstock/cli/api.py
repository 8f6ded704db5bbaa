"""`penstock api`: one request to the API, with the settings and credentials of the profile."""

import sys
from pathlib import Path
from typing import Any

import click

from penstock.base import json
from penstock.cli.lazy import argument

REFUSED, WRONG, BROKEN, UNREACHABLE = 3, 4, 5, 7
"""Exit codes: 401 and 403, other 4xx, 5xx, no answer."""
_HIDDEN = frozenset({"authorization", "cookie", "prefect-csrf-token", "proxy-authorization"})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


@click.command()
@argument("method")
@argument("path")
@click.option("--data", help="The body: JSON, `@file`, or `-` for standard input.")
@click.option("-H", "--header", "headers", multiple=True, help="`Name: value`; repeatable.")
@click.option("-v", "--verbose", is_flag=True, help="Show the request and the answer's head.")
@click.option("--root", is_flag=True, help="PATH is below the server, not below its API.")
@click.option("--account", is_flag=True, hidden=True)
def api(
    method: str,
    path: str,
    data: str | None,
    headers: tuple[str, ...],
    verbose: bool,
    root: bool,
    account: bool,
) -> None:
    """Send one request: `penstock api POST /flows/filter --data '{"limit": 3}'`.

    A POST, PUT or PATCH without a body sends `{}`. Exit status: 3 for 401 and 403, 4 for another
    4xx, 5 for 5xx, 7 when there is no answer.
    """
    from penstock.client.endpoint import endpoint
    from penstock.client.exchange import Request
    from penstock.client.target import current_target
    from penstock.schemas.errors import APIUnreachable

    if account:
        raise click.UsageError("--account is for a hosted service; there are no accounts here.")
    method = method.upper()
    request = Request(
        method, f"/{path.lstrip('/')}", _body(method, data), headers=_headers(headers)
    )
    target = _at_root(current_target()) if root else current_target()
    if verbose:
        _show_request(target, request)
    try:
        answer = endpoint(target).perform(request)
    except APIUnreachable as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(UNREACHABLE)
    if verbose:
        click.echo(f"< {answer.status}", err=True)
        for name, value in answer.headers.items():
            click.echo(f"< {name}: {_shown(name, value)}", err=True)
    _print(answer.body)
    sys.exit(_status(answer.status))


def _body(method: str, data: str | None) -> bytes | None:
    if data is None and method in _WITH_BODY and not sys.stdin.isatty():
        data = sys.stdin.read().strip() or None
    elif data == "-":
        data = sys.stdin.read()
    elif data is not None and data.startswith("@"):
        path = Path(data[1:])
        if not path.is_file():
            raise click.UsageError(f"There is no file {path}.")
        data = path.read_text()
    if data is None:
        return b"{}" if method in _WITH_BODY else None
    try:
        json.decode(data)
    except ValueError as error:
        raise click.UsageError(f"--data is no JSON: {error}") from None
    return data.encode()


def _headers(given: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    found = []
    for line in given:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise click.UsageError(f"{line!r} is no header; write `Name: value`.")
        found.append((name.strip(), value.strip()))
    return tuple(found)


def _at_root(target: Any) -> Any:
    from msgspec.structs import replace

    if target.url is None:
        raise click.UsageError("--root needs a server; set PENSTOCK_API_URL.")
    return replace(target, url=target.url.removesuffix("/api"), version_check=False)


def _show_request(target: Any, request: Any) -> None:
    click.echo(f"> {request.method} {target.url or ''}{request.path}", err=True)
    for name, value in (*target.headers(), *request.headers):
        click.echo(f"> {name}: {_shown(name, value)}", err=True)


def _shown(name: str, value: str) -> str:
    return "********" if name.lower() in _HIDDEN else value


def _print(content: bytes) -> None:
    """JSON in lines on a terminal, as it came elsewhere."""
    text = content.decode(errors="replace")
    if sys.stdout.isatty():
        try:
            from penstock.cli.output import print_json

            print_json(json.decode(content))
            return
        except ValueError:
            pass
    if text:
        click.echo(text)


def _status(status: int) -> int:
    if status in (401, 403):
        return REFUSED
    if 400 <= status < 500:
        return WRONG
    return BROKEN if status >= 500 else 0
