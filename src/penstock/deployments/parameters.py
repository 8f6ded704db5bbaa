"""The JSON schema of a flow's parameters, which forms, checks and clients of a deployment use."""

import contextlib
import inspect
import re
import typing
from collections.abc import Callable
from typing import Any

from pydantic import ConfigDict, Field, create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue


def parameter_schema(fn: Any) -> dict[str, Any]:
    """The schema of the parameters of a function or flow, in their order.

    A parameter whose type has no JSON form may be anything. A function that takes any keyword
    accepts additional properties. Descriptions come from the docstring.
    """
    function = getattr(fn, "fn", fn)
    signature = inspect.signature(getattr(fn, "target", function))
    hints = _hints(function)
    described = _descriptions(inspect.getdoc(function) or "")
    fields: dict[str, Any] = {}
    for position, parameter in enumerate(_named(signature)):
        annotation = hints.get(parameter.name, Any)
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[f"field{position}"] = (
            annotation,
            Field(
                default,
                alias=parameter.name,
                title=parameter.name,
                description=described.get(parameter.name),
                json_schema_extra={"position": position},
            ),
        )
    schema = _schema(fields)
    made: dict[str, Any] = {
        "title": "Parameters",
        "type": "object",
        "properties": schema.get("properties", {}),
        "required": schema.get("required", []),
        "definitions": schema.get("$defs", {}),
    }
    if any(one.kind is one.VAR_KEYWORD for one in signature.parameters.values()):
        made["additionalProperties"] = True
    return made


def _named(signature: inspect.Signature) -> list[inspect.Parameter]:
    return [
        one
        for one in signature.parameters.values()
        if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
    ]


def _schema(fields: dict[str, Any]) -> dict[str, Any]:
    model = _model(fields)
    return model.model_json_schema(
        by_alias=True, ref_template="#/definitions/{model}", schema_generator=_Lenient
    )


def _model(fields: dict[str, Any]) -> Any:
    config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())
    try:
        return create_model("Parameters", __config__=config, **fields)
    except Exception:
        # Annotations are the user's code, and types of theirs may raise anything. One is no type
        # at all; find out which, and let that one be anything.
        for name, (_, field) in fields.items():
            try:
                create_model("One", __config__=config, **{name: fields[name]})
            except Exception:
                fields[name] = (Any, field)
        return create_model("Parameters", __config__=config, **fields)


class _Lenient(GenerateJsonSchema):
    """Says nothing about types and defaults that JSON cannot express, instead of refusing."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        return {}

    def emit_warning(self, kind: Any, detail: str) -> None:
        """A default without a JSON form is left out of the schema; nobody needs to hear it."""


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations that can be resolved; a name that is nowhere means anything."""
    with contextlib.suppress(Exception):  # any code may stand in an annotation
        return typing.get_type_hints(function, include_extras=True)
    space = getattr(inspect.unwrap(function), "__globals__", {})
    found: dict[str, Any] = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        if not isinstance(annotation, str):
            found[name] = annotation
            continue
        try:
            found[name] = eval(annotation, space)  # noqa: S307 (the flow's own annotation)
        except Exception:  # any code may stand in an annotation
            found[name] = Any
    return found


_SECTION = re.compile(r"^(?:args|arguments|parameters|params):\s*$", re.IGNORECASE)
_ENTRY = re.compile(r"^(\s+)\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_FIELD = re.compile(r"^\s*:param\s+(?:[\w\[\], .|]+\s+)?(\w+):\s*(.*)$")


def _descriptions(doc: str) -> dict[str, str]:
    """What a docstring says of parameters, in an `Args:` section or in `:param name:` lines."""
    found: dict[str, list[str]] = {}
    name = ""
    inside, indent = False, 0
    for line in doc.splitlines():
        field = _FIELD.match(line)
        if field:
            name, inside = field[1] or "", False
            found[name] = [field[2].strip()]
            continue
        if _SECTION.match(line.strip()) and not line.startswith(" "):
            inside, name = True, ""
            continue
        if inside and line.strip() and not line.startswith((" ", "\t")):
            inside = False
        entry = _ENTRY.match(line) if inside else None
        if entry and (not name or len(entry[1]) <= indent):
            name, indent = entry[2] or "", len(entry[1])
            found[name] = [entry[3].strip()]
        elif inside and name and line.strip():
            found[name].append(line.strip())
        elif not inside:
            name = ""
    return {key: "\n".join(line for line in lines if line) for key, lines in found.items()}
