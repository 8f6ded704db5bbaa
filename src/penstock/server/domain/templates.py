"""Whether a template can be rendered: its syntax, the names it uses, and what it may cost.

Nothing is rendered here. A text without marks is no template and always fits.
"""

from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from jinja2 import Environment

MAXIMUM_LOOPS = 10
MAXIMUM_NESTING = 2
MAXIMUM_RANGE = 100
FILTERS = frozenset(
    {
        "flow_run_id",
        "humanize_apnumber",
        "humanize_clamp",
        "humanize_fractional",
        "humanize_gnusize",
        "humanize_intcomma",
        "humanize_intword",
        "humanize_metric",
        "humanize_naturaldate",
        "humanize_naturalday",
        "humanize_naturaldelta",
        "humanize_naturalsize",
        "humanize_naturaltime",
        "humanize_ordinal",
        "humanize_precisedelta",
        "humanize_scientific",
        "ui_resource_events_url",
        "ui_url",
    }
)
"""What templates of automations have beside the filters of the language."""


class TemplateProblem(Struct, frozen=True):
    """What is wrong with a template, and where: the line counts from 1."""

    line: int
    message: str
    source: str


def template_problem(text: str) -> TemplateProblem | None:
    """What keeps `text` from being rendered, None when nothing does.

    The first template in a process costs 30 ms of CPU, every further one its parsing.
    """
    if "{{" not in text and "{%" not in text:
        return None
    from jinja2 import TemplateSyntaxError

    environment = _environment()
    try:
        tree = environment.parse(text)
    except TemplateSyntaxError as error:
        return TemplateProblem(error.lineno, error.message or "It cannot be read", text)
    except RecursionError:
        return TemplateProblem(1, "It is nested too deeply", text)
    found = _unknown_name(tree, environment) or _excess(tree)
    return None if found is None else TemplateProblem(found[0], found[1], text)


def first_problem(value: Any) -> TemplateProblem | None:
    """The first problem among all texts in a plain JSON value."""
    if isinstance(value, str):
        return template_problem(value)
    members = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list):
        return None
    return next((found for one in members if (found := first_problem(one)) is not None), None)


_environments: list[Any] = []


def _environment() -> "Environment":
    if not _environments:
        # Only requests that hold a template pay for this library.
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        _environments.append(ImmutableSandboxedEnvironment())
    return _environments[0]


def _unknown_name(tree: Any, environment: "Environment") -> tuple[int, str] | None:
    from jinja2 import nodes

    for node in tree.find_all(nodes.Filter):
        if node.name not in environment.filters and node.name not in FILTERS:
            return node.lineno, f"No filter named {node.name!r}."
    for node in tree.find_all(nodes.Test):
        if node.name not in environment.tests:
            return node.lineno, f"No test named {node.name!r}."
    return None


def _excess(tree: Any) -> tuple[int, str] | None:
    """More loops than a template may have, or a longer one."""
    from jinja2 import nodes

    loops = list(tree.find_all(nodes.For))
    if len(loops) > MAXIMUM_LOOPS:
        return loops[MAXIMUM_LOOPS].lineno, f"Contains more than {MAXIMUM_LOOPS} for loops."
    for loop in loops:
        if _depth(loop) > MAXIMUM_NESTING:
            return loop.lineno, f"Contains for loops nested deeper than {MAXIMUM_NESTING} levels."
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name == "range":
            bounds = [arg.value for arg in call.args if isinstance(arg, nodes.Const)]
            if len(bounds) == len(call.args) and _length(bounds) > MAXIMUM_RANGE:
                return call.lineno, f"Contains a range of more than {MAXIMUM_RANGE} elements."
    return None


def _depth(loop: Any) -> int:
    """How many loops lie in each other here, `loop` counted."""
    from jinja2 import nodes

    return 1 + max((_depth(inner) for inner in loop.find_all(nodes.For)), default=0)


def _length(bounds: list[Any]) -> int:
    try:
        # The range is not walked through; a length beyond the machine's integers is an error.
        return len(range(*bounds))
    except OverflowError:
        return MAXIMUM_RANGE + 1
    except (TypeError, ValueError):
        return 0
