"""`penstock block`: block documents and their types."""

import importlib
import importlib.util
import inspect as python_inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import click

from penstock.cli.lazy import argument
from penstock.cli.output import Failure, ago, ask_before, output_option, print_json, print_table
from penstock.cli.runs import PAGE, Api, api
from penstock.schemas.blocks import BlockDocument, BlockDocumentsFilterPage, BlockTypesFilterPage
from penstock.schemas.errors import (
    ObjectAlreadyExists,
    ObjectNotFound,
    PenstockHTTPStatusError,
)
from penstock.settings import get_current_settings


class _WithPlural(click.Group):
    """Takes the plural of a command's name, too."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        return found or super().get_command(ctx, cmd_name.removesuffix("s"))


@click.group(cls=_WithPlural)
def block() -> None:
    """Look after blocks: typed configuration under a name."""


@block.group("type")
def type_() -> None:
    """Look after types of blocks."""


@block.command()
@output_option
def ls(output: str | None) -> None:
    """List blocks by type and name."""
    with api() as client:
        found = _all_documents(client)
    if output:
        print_json(found)
        return
    print_table(
        ("ID", "Type", "Name", "Slug"),
        ((str(one.id), one.block_type_name, one.name, _slug(one)) for one in found),
        "There are no blocks yet; save one.",
    )


def _all_documents(client: Api) -> list[BlockDocument]:
    found: list[BlockDocument] = []
    while True:
        body = BlockDocumentsFilterPage(offset=len(found), limit=PAGE)
        page = client.call("read_block_documents", body=body)
        found += page
        if len(page) < PAGE:
            return sorted(found, key=lambda one: (one.block_type_name or "", one.name or ""))


def _slug(document: BlockDocument) -> str:
    return f"{document.block_type.slug if document.block_type else '?'}/{document.name}"


@block.command()
@argument("slug", required=False)
@click.option("--id", "block_id", type=click.UUID, help="The block's id, in place of its name.")
@output_option
def inspect(slug: str | None, block_id: UUID | None, output: str | None) -> None:
    """Show a block, TYPE-SLUG/NAME, with its secrets masked."""
    with api() as client:
        document = _document(client, slug, block_id)
    if output:
        print_json(document)
        return
    rows = [("ID", str(document.id)), ("Type", document.block_type_name), ("Slug", _slug(document))]
    rows.append(("Updated", ago(document.updated)))
    rows += [(f"data.{name}", str(value)) for name, value in document.data.items()]
    print_table(("Field", "Value"), rows, "")


@block.command()
@argument("slug", required=False)
@click.option("--id", "block_id", type=click.UUID, help="The block's id, in place of its name.")
@click.pass_context
def delete(ctx: click.Context, slug: str | None, block_id: UUID | None) -> None:
    """Delete a block, TYPE-SLUG/NAME, that nothing refers to."""
    with api() as client:
        document = _document(client, slug, block_id)
        ask_before(ctx, f"Delete the block {_slug(document)!r}?")
        try:
            client.call("delete_block_document", document.id)
        except ObjectAlreadyExists as error:  # status 409: it is in use
            raise Failure(_reason(error)) from None
    click.echo(f"Deleted the block {_slug(document)!r}.")


def _document(client: Api, slug: str | None, id: UUID | None) -> BlockDocument:
    try:
        if id is not None:
            return client.call("read_block_document_by_id", id)
        type_slug, slash, name = (slug or "").partition("/")
        if not slash:
            raise click.UsageError("name a block as TYPE-SLUG/NAME, or by --id")
        return client.call("read_block_document_by_name_for_block_type", type_slug, name)
    except ObjectNotFound:
        raise Failure(f"there is no block {str(id or slug)!r}; list them with `block ls`") from None


@block.command()
@argument("block_type_slug")
def create(block_type_slug: str) -> None:
    """Say where to create a block of a type."""
    with api() as client:
        found = _type(client, block_type_slug)
    url = get_current_settings().ui_url
    if url is None:
        raise Failure("there is no user interface to create it in; save it from Python")
    click.echo(f"Create a {found.name} block: {url}/blocks/catalog/{found.slug}/create")


@block.command()
@click.option("--module", "-m", "module_name", help="Importable module with block classes.")
@click.option(
    "--file",
    "-f",
    "file_path",
    type=click.Path(exists=True, dir_okay=False),
    help="Python file with block classes.",
)
def register(module_name: str | None, file_path: str | None) -> None:
    """Register the types of the block classes in a module or file."""
    if (module_name is None) == (file_path is None):
        raise click.UsageError("give either --module or --file")
    module = _imported(module_name) if module_name else _loaded(Path(str(file_path)))
    # Registering needs pydantic; the other commands do without it.
    from penstock.blocks.core import Block

    classes = [
        one
        for _, one in python_inspect.getmembers(module, python_inspect.isclass)
        if issubclass(one, Block) and one.__module__ == module.__name__
    ]
    if not classes:
        raise Failure(f"{module_name or file_path} defines no block class")
    for one in classes:
        one.register_type_and_schema()
    names = ", ".join(one.get_block_type_slug() for one in classes)
    click.echo(f"Registered {len(classes)} block type{'s' if len(classes) != 1 else ''}: {names}.")


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Failure(f"the module {name!r} cannot be imported: {error}") from None


def _loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_penstock_blocks_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise Failure(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        # A user's file may raise anything when it runs.
        raise Failure(f"{path} cannot be loaded: {type(error).__name__}: {error}") from None
    return module


# --- types ----------------------------------------------------------------------------------------


@type_.command("ls")
@output_option
def ls_types(output: str | None) -> None:
    """List types of blocks."""
    with api() as client:
        found = client.call("read_block_types", body=BlockTypesFilterPage())
    if output:
        print_json(found)
        return
    print_table(
        ("Slug", "Name", "Description"),
        ((one.slug, one.name, one.description or "") for one in found),
        "There are no types; start the server once.",
    )


@type_.command("inspect")
@argument("slug")
@output_option
def inspect_type(slug: str, output: str | None) -> None:
    """Show a type of blocks."""
    with api() as client:
        found = _type(client, slug)
    if output:
        print_json(found)
        return
    rows = [
        ("ID", str(found.id)),
        ("Slug", found.slug),
        ("Name", found.name),
        ("Description", found.description or ""),
        ("Protected", "yes" if found.is_protected else "no"),
    ]
    print_table(("Field", "Value"), rows, "")


@type_.command("delete")
@argument("slug")
@click.pass_context
def delete_type(ctx: click.Context, slug: str) -> None:
    """Delete a type with all its blocks."""
    with api() as client:
        found = _type(client, slug)
        ask_before(ctx, f"Delete the type {slug!r} with all its blocks?")
        try:
            client.call("delete_block_type", found.id)
        except PenstockHTTPStatusError as error:  # protected, or its blocks are in use
            raise Failure(_reason(error)) from None
    click.echo(f"Deleted the block type {slug!r}.")


def _type(client: Api, slug: str) -> Any:
    try:
        return client.call("read_block_type_by_slug", slug)
    except ObjectNotFound:
        raise Failure(f"there is no block type {slug!r}; list them with `block type ls`") from None


def _reason(error: PenstockHTTPStatusError) -> str:
    """The server's own words."""
    return error.detail if isinstance(error.detail, str) else str(error)
