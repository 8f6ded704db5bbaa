"""Templates in project files, steps and job configurations: `{{ name }}`.

A placeholder stands for an output of a step or a variable of a job (`{{ image }}`,
`{{ build.tag }}`, `{{ items[0] }}`), a saved block (`{{ prefect.blocks.<type>.<name> }}`), a
Penstock variable (`{{ prefect.variables.<name> }}`) or an environment variable (`{{ $NAME }}`);
`penstock.blocks.` and `penstock.variables.` mean the same. A value put in is never looked at for
placeholders again.
"""

import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from penstock.annotations import NotSet
from penstock.base import json
from penstock.base.dual import Steps, run_aio
from penstock.schemas.errors import ObjectNotFound
from penstock.steps import Request

PLACEHOLDER_CAPTURE_REGEX = re.compile(r"({{\s*([\w.\-\[\]$]+)\s*}})")
BLOCK_PREFIXES = ("prefect.blocks.", "penstock.blocks.")
VARIABLE_PREFIXES = ("prefect.variables.", "penstock.variables.")
ENV_VAR_PLACEHOLDER_PREFIX = "$"

Transform = Callable[[str, Any], Any]

logger = logging.getLogger("penstock.deployments")


class PlaceholderType(Enum):
    STANDARD = "standard"
    BLOCK_DOCUMENT = "block_document"
    VARIABLE = "variable"
    ENV_VAR = "env_var"


class Placeholder(NamedTuple):
    full_match: str
    name: str
    type: PlaceholderType


def determine_placeholder_type(name: str) -> PlaceholderType:
    """What a placeholder of that name stands for."""
    if name.startswith(BLOCK_PREFIXES):
        return PlaceholderType.BLOCK_DOCUMENT
    if name.startswith(VARIABLE_PREFIXES):
        return PlaceholderType.VARIABLE
    if name.startswith(ENV_VAR_PLACEHOLDER_PREFIX):
        return PlaceholderType.ENV_VAR
    return PlaceholderType.STANDARD


def find_placeholders(template: Any) -> set[Placeholder]:
    """The placeholders at any depth of mappings (their values) and lists."""
    if isinstance(template, str):
        return {
            Placeholder(full, name, determine_placeholder_type(name))
            for full, name in PLACEHOLDER_CAPTURE_REGEX.findall(template)
        }
    if isinstance(template, Mapping):
        return find_placeholders(list(template.values()))
    if isinstance(template, list | tuple | set):
        return set().union(*(find_placeholders(item) for item in template))
    return set()


# --- values that are at hand ---------------------------------------------------------------------


def apply_values(
    template: Any,
    values: Mapping[str, Any],
    remove_notset: bool = True,
    warn_on_notset: bool = False,
    skip_prefixes: list[str] | None = None,
) -> Any:
    """`template` with `values` and the environment put in; blocks and variables are left alone.

    Text that is one placeholder and nothing else becomes the value, of whatever type. Where there
    is no value, the member is dropped (inside longer text: nothing is put in), or the placeholder
    is kept when `remove_notset` is false; the top level then is `NotSet`.
    """
    skipped = tuple(skip_prefixes or ())
    return _applied(template, values, remove_notset, warn_on_notset, skipped)


def _applied(
    template: Any, values: Mapping[str, Any], remove: bool, warn: bool, skipped: tuple[str, ...]
) -> Any:
    if isinstance(template, str):

        def value_of(found: Placeholder) -> Any:
            if skipped and found.name.startswith(skipped):
                return found.full_match
            if found.type is PlaceholderType.ENV_VAR:
                value: Any = os.environ.get(found.name.removeprefix("$"), NotSet)
            elif found.type is PlaceholderType.STANDARD:
                value = value_at(values, found.name)
            else:
                return found.full_match
            if value is NotSet:
                if warn:
                    logger.warning(
                        "nothing is known under %r; the placeholder %s is %s",
                        found.name,
                        found.full_match,
                        "left out" if remove else "kept as it is",
                    )
                return NotSet if remove else found.full_match
            return value

        return _substituted(template, value_of)
    if isinstance(template, Mapping):
        members = {
            key: _applied(item, values, remove, warn, skipped) for key, item in template.items()
        }
        return {key: item for key, item in members.items() if item is not NotSet}
    if isinstance(template, list | tuple):
        items = [_applied(item, values, remove, warn, skipped) for item in template]
        return [item for item in items if item is not NotSet]
    return template


def value_at(values: Any, path: str) -> Any:
    """What lies at `a.b[0].c`; `NotSet` where nothing does."""
    for part in re.findall(r"[^.\[\]]+", path):
        if isinstance(values, Mapping) and part in values:
            values = values[part]
        elif isinstance(values, list | tuple) and part.isdigit() and int(part) < len(values):
            values = values[int(part)]
        else:
            return NotSet
    return values


def _substituted(text: str, value_of: Callable[[Placeholder], Any]) -> Any:
    """`text` with what `value_of` gives; its type survives when it is all of the text."""
    alone = PLACEHOLDER_CAPTURE_REGEX.fullmatch(text)
    if alone is not None:
        return value_of(_placeholder(alone))

    def as_text(match: re.Match[str]) -> str:
        value = value_of(_placeholder(match))
        if value is NotSet:
            return ""
        return json.text(value) if isinstance(value, dict | list) else str(value)

    return PLACEHOLDER_CAPTURE_REGEX.sub(as_text, text)


def _placeholder(match: re.Match[str]) -> Placeholder:
    return Placeholder(match[1], match[2], determine_placeholder_type(match[2]))


# --- values the server keeps ---------------------------------------------------------------------


async def resolve_block_document_references(
    template: Any, client: Any = None, value_transformer: Transform | None = None
) -> Any:
    """`template` with the data of saved blocks in the place of their placeholders.

    Raises `ObjectNotFound` for a block that does not exist and `ValueError` for one that is no
    text inside longer text. `value_transformer(placeholder, value)` may change each value.
    """
    return await run_aio(resolved_blocks(template, client, value_transformer))


async def resolve_variables(template: Any, client: Any = None) -> Any:
    """`template` with the values of variables; one that does not exist is empty text."""
    return await run_aio(resolved_variables(template, client))


def resolved_blocks(
    template: Any, client: Any = None, transform: Transform | None = None
) -> Steps[Any]:
    """The steps of `resolve_block_document_references`; every block is asked for once."""
    documents: dict[tuple[str, ...], Any] = {}
    for found in sorted(find_placeholders(template)):
        if found.type is PlaceholderType.BLOCK_DOCUMENT:
            key = _block_key(found)
            if key not in documents:
                documents[key] = yield from _document_data(found, key, client)
    for id in sorted(set(_references(template))):
        document = yield Request(
            "read_block_document_by_id", id, query={"include_secrets": True}, client=client
        )
        documents[(id,)] = document.data
    if not documents:
        return template
    return _with_blocks(template, documents, transform)


def _block_key(found: Placeholder) -> tuple[str, str]:
    slug, _, rest = found.name.partition(".blocks.")[2].partition(".")
    name = rest.partition(".")[0]
    if not (slug and name):
        raise ValueError(
            f"{found.full_match} names no block; write {{{{ prefect.blocks.<type>.<name> }}}}"
        )
    return slug, name


def _document_data(found: Placeholder, key: tuple[str, str], client: Any) -> Steps[Any]:
    slug, name = key
    try:
        document = yield Request(
            "read_block_document_by_name_for_block_type",
            slug,
            name,
            query={"include_secrets": True},
            client=client,
        )
    except ObjectNotFound as error:
        raise ObjectNotFound(
            f"{found.full_match} names the block {slug}/{name}, which does not exist; save it "
            "under this name, or correct the placeholder",
            status_code=error.status_code,
            request=error.request,
        ) from None
    return document.data


def _references(template: Any) -> Iterable[str]:
    if isinstance(template, Mapping):
        id = _referred(template)
        if id is not None:
            yield id
            return
        template = list(template.values())
    if isinstance(template, list | tuple):
        for item in template:
            yield from _references(item)


def _referred(value: Mapping[str, Any]) -> str | None:
    reference = value.get("$ref")
    if len(value) == 1 and isinstance(reference, Mapping):
        id = reference.get("block_document_id")
        return str(id) if id is not None else None
    return None


def _with_blocks(
    template: Any, documents: Mapping[tuple[str, ...], Any], transform: Transform | None
) -> Any:
    if isinstance(template, str):
        whole = PLACEHOLDER_CAPTURE_REGEX.fullmatch(template) is not None

        def value_of(found: Placeholder) -> Any:
            if found.type is not PlaceholderType.BLOCK_DOCUMENT:
                return found.full_match
            value = _member(documents[_block_key(found)], found)
            if not whole and isinstance(value, dict | list):
                raise ValueError(
                    f"{found.full_match} is a {type(value).__name__} and stands inside the text "
                    f"{template!r}; name one of its members, or let it stand alone"
                )
            return transform(found.name, value) if transform is not None else value

        return _substituted(template, value_of)
    if isinstance(template, Mapping):
        id = _referred(template)
        if id is not None:
            return documents[(id,)]
        return {key: _with_blocks(item, documents, transform) for key, item in template.items()}
    if isinstance(template, list | tuple):
        return [_with_blocks(item, documents, transform) for item in template]
    return template


def _member(data: Any, found: Placeholder) -> Any:
    """The document, the value that is its only field, or the member the placeholder names."""
    only = isinstance(data, Mapping) and data.keys() == {"value"}
    path = ".".join(found.name.partition(".blocks.")[2].split(".")[2:])
    if not path:
        return data["value"] if only else data
    value = value_at(data, path)
    if value is NotSet and only:
        value = value_at(data["value"], path)
    if value is NotSet:
        raise ValueError(f"{found.full_match}: the block has no member {path!r}")
    return value


def resolved_variables(template: Any, client: Any = None) -> Steps[Any]:
    """The steps of `resolve_variables`; every variable is asked for once."""
    values: dict[str, Any] = {}
    for found in sorted(find_placeholders(template)):
        if found.type is PlaceholderType.VARIABLE:
            name = found.name.partition(".variables.")[2]
            try:
                variable = yield Request("read_variable_by_name", name, client=client)
                values[found.name] = variable.value
            except ObjectNotFound:
                values[found.name] = ""
    return _with_variables(template, values) if values else template


def _with_variables(template: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(template, str):
        return _substituted(template, lambda found: values.get(found.name, found.full_match))
    if isinstance(template, Mapping):
        return {key: _with_variables(item, values) for key, item in template.items()}
    if isinstance(template, list | tuple):
        return [_with_variables(item, values) for item in template]
    return template
