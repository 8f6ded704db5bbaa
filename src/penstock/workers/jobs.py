"""From a base job template and job variables to the values of a job configuration."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from penstock.deployments.templating import (
    apply_values,
    resolve_block_document_references,
    resolve_variables,
)


async def resolved_configuration(
    template: Mapping[str, Any],
    *layers: Mapping[str, Any] | None,
    client: Any = None,
    keep: tuple[str, ...] = ("ctx.",),
) -> dict[str, Any]:
    """The template's job configuration with the variables put in, then blocks, then variables.

    Later layers win over earlier ones, and all over the defaults of the template. Placeholders
    that begin with one of `keep` stay, for the run is not known yet.
    """
    values = merged_variables(template, *layers)
    filled = apply_values(
        deepcopy(dict(template.get("job_configuration") or {})), values, skip_prefixes=list(keep)
    )
    blocks = await resolve_block_document_references(filled, client=client)
    return await resolve_variables(blocks, client=client)


def merged_variables(
    template: Mapping[str, Any], *layers: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The variables of all layers, the later ones first, on top of the template's defaults.

    `env` is merged name by name. `a.b` sets member `b` of the variable `a`.
    """
    values = variable_defaults(template)
    for layer in layers:
        for name, value in (layer or {}).items():
            _put(values, name, value)
    return values


def variable_defaults(template: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that the template's schema of variables states; null is none."""
    properties = (template.get("variables") or {}).get("properties") or {}
    return {
        name: deepcopy(schema["default"])
        for name, schema in properties.items()
        if isinstance(schema, Mapping) and schema.get("default") is not None
    }


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    root, dotted, rest = name.partition(".")
    if dotted:
        nested: Any = value
        for part in reversed(rest.split(".")):
            nested = {part: nested}
        values[root] = _merged(values.get(root), nested)
    elif name == "env" and isinstance(value, Mapping) and isinstance(values.get("env"), Mapping):
        values["env"] = {**values["env"], **value}
    else:
        values[name] = deepcopy(value)


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}
