"""Values that are written as templates in a request: `{"__prefect_kind": ..., ...}`.

A mapping with that member stands for the value it describes: kind `json` for the document in
`value`, kind `jinja` for the rendered text of `template`, kind `workspace_variable` for the value
of the variable in `variable_name`, kind `none` (or null) for `value` itself. Where a text is
wanted, another template may stand for it. Every other mapping and list is walked.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

KIND = "__prefect_kind"


class HydrationError(ValueError):
    """A template that does not describe a value; the message names where and why."""


class Sources(msgspec.Struct, frozen=True):
    """What templates may draw on; None: not here."""

    variables: Mapping[str, Any] | None = None
    render: Callable[[str], str] | None = None
    """Renders a template's text. Raises `ValueError`."""


_NO_SOURCES = Sources()


def hydrate(value: Any, path: str = "$", sources: Sources = _NO_SOURCES) -> Any:
    """`value` with every template in it replaced. Raises `HydrationError`."""
    if isinstance(value, list):
        return [hydrate(item, f"{path}[{index}]", sources) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if KIND not in value:
        return {key: hydrate(item, f"{path}.{key}", sources) for key, item in value.items()}
    kind = value[KIND]
    if kind is None or kind == "none":
        return hydrate(value.get("value"), path, sources)
    if kind == "json":
        return _json(hydrate(value.get("value"), path, sources), path)
    if kind == "workspace_variable" and sources.variables is not None:
        return _variable(hydrate(value.get("variable_name"), path, sources), path, sources)
    if kind == "jinja" and sources.render is not None:
        return _rendered(hydrate(value.get("template"), path, sources), path, sources.render)
    raise HydrationError(f"{path}: values of kind {kind!r} cannot be given here; send the value")


def variable_names(value: Any) -> Iterator[str]:
    """The names of the variables that templates in `value` ask for, as far as they are written."""
    if isinstance(value, list):
        for item in value:
            yield from variable_names(item)
    elif isinstance(value, dict):
        name = value.get("variable_name")
        if value.get(KIND) == "workspace_variable" and isinstance(name, str):
            yield name
        for item in value.values():
            yield from variable_names(item)


def _json(text: Any, path: str) -> Any:
    if not isinstance(text, str):
        raise HydrationError(f"{path}: a value of kind 'json' needs its document as text")
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise HydrationError(f"{path}: {error}; send a valid JSON document") from None


def _variable(name: Any, path: str, sources: Sources) -> Any:
    if not isinstance(name, str):
        raise HydrationError(f"{path}: a value of kind 'workspace_variable' needs variable_name")
    variables = sources.variables or {}
    if name not in variables:
        raise HydrationError(f"{path}: there is no variable {name!r}; set it first")
    return variables[name]


def _rendered(template: Any, path: str, render: Callable[[str], str]) -> str:
    if not isinstance(template, str):
        raise HydrationError(f"{path}: a value of kind 'jinja' needs its template as text")
    try:
        return render(template)
    except ValueError as error:
        raise HydrationError(f"{path}: {error}") from None
