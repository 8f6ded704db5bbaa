"""Base job templates of work pools: which are accepted.

A template is empty, or it has a `job_configuration`, in which `{{ name }}` stands for a value,
and `variables`, a JSON schema whose properties declare these names.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_PLACEHOLDER = re.compile(r"{{\s*([^{}]+?)\s*}}")
_FOREIGN = ("prefect.", "penstock.", "ctx.", "$")
"""What the worker fills in from elsewhere: blocks, variables, the run at hand, the environment."""


class TemplateInvalid(ValueError):
    """A template that no worker could use; the message says what is wrong with it."""


def check_template(template: Mapping[str, Any]) -> None:
    """Raises `TemplateInvalid` unless every placeholder has its variable."""
    if not template:
        return
    missing = [name for name in ("job_configuration", "variables") if name not in template]
    if missing:
        raise TemplateInvalid(f"a base job template with members needs {' and '.join(missing)}")
    declared = _declared(template["variables"])
    undeclared = sorted(
        {
            name
            for name in placeholders(template["job_configuration"])
            if not name.startswith(_FOREIGN)
            and name not in declared
            and name.partition(".")[0] not in declared
        }
    )
    if undeclared:
        raise TemplateInvalid(
            "the job configuration uses variables that `variables.properties` does not declare: "
            + ", ".join(undeclared)
        )


def placeholders(value: Any) -> Iterator[str]:
    """The names in `{{ }}`, at any depth of lists and mappings, in keys and values."""
    if isinstance(value, str):
        yield from _PLACEHOLDER.findall(value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from placeholders(key)
            yield from placeholders(item)
    elif isinstance(value, list):
        for item in value:
            yield from placeholders(item)


def _declared(variables: Any) -> Mapping[str, Any]:
    if not isinstance(variables, Mapping):
        raise TemplateInvalid("`variables` is not a JSON schema of an object")
    properties = variables.get("properties", {})
    if not isinstance(properties, Mapping):
        raise TemplateInvalid("`variables.properties` is not a mapping of names to schemas")
    return properties
