"""Whether values fit a JSON schema that a user wrote: of parameters, of job variables, of input.

A member that is not required may always be null. References lead nowhere outside of the schema:
the server never asks another address for a part of one.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from penstock.base import json


class SchemaInvalid(ValueError):
    """A schema that is none, refers to nothing, or to itself without end."""


def misfit(value: Any, schema: bytes | str, *, required: bool = True) -> str | None:
    """How `value` fails to fit the JSON text `schema`, None when it fits.

    With `required` false nothing is missing, as for defaults that are completed later. Raises
    `SchemaInvalid`. The first use in a process costs 60 ms of CPU, a known schema microseconds.
    """
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable

    validator, optional = _validator(schema, required)
    if isinstance(value, dict):
        value = {
            name: item for name, item in value.items() if item is not None or name not in optional
        }
    try:
        problem = best_match(validator.iter_errors(value))
    except Unresolvable as error:
        raise SchemaInvalid(f"it refers to nothing: {error}") from None
    except RecursionError:
        raise SchemaInvalid("it refers to itself without end") from None
    return None if problem is None else f"{problem.json_path}: {problem.message}"


def misfits(value: Any, schema: bytes | str) -> Iterator[tuple[list[str | int], str]]:
    """Everything in `value` that does not fit the JSON text `schema`: its path, and what is wrong.

    A missing member is told at its own path. Null fits a member of the outermost object that is
    not required. Raises `SchemaInvalid`.
    """
    from referencing.exceptions import Unresolvable

    validator, optional = _validator(schema, True)
    missing: set[tuple[str | int, ...]] = set()
    if isinstance(value, dict):
        value = {
            name: item for name, item in value.items() if item is not None or name not in optional
        }
    try:
        for problem in validator.iter_errors(value):
            path = list(problem.absolute_path)
            if problem.validator != "required":
                yield path, problem.message
                continue
            # There is one problem for each missing member, and it does not say which one.
            for name in problem.validator_value:
                place = (*path, name)
                if name not in problem.instance and place not in missing:
                    missing.add(place)
                    yield list(place), f"{name!r} is a required property"
    except Unresolvable as error:
        raise SchemaInvalid(f"it refers to nothing: {error}") from None
    except RecursionError:
        raise SchemaInvalid("it refers to itself without end") from None


@lru_cache(maxsize=256)
def _validator(schema: bytes | str, required: bool) -> tuple[Any, frozenset[str]]:
    """The validator of a schema, and the members that may be null for being optional."""
    # Only requests with something to check pay for this library.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from referencing import Registry

    try:
        document = json.decode(schema)
        if not isinstance(document, dict | bool):
            raise SchemaInvalid("a schema is an object")
        Draft202012Validator.check_schema(document)
    except SchemaError as error:
        raise SchemaInvalid(f"{error.json_path}: {error.message}") from None
    except RecursionError:
        raise SchemaInvalid("it is nested too deeply") from None
    except msgspec.DecodeError as error:
        raise SchemaInvalid(str(error)) from None
    optional: frozenset[str] = frozenset()
    if isinstance(document, dict):
        needed = document.get("required", []) if required else []
        document = {**document, "required": needed}
        optional = frozenset(document.get("properties", {})) - frozenset(needed)
    return Draft202012Validator(document, registry=Registry()), optional
