"""Rendering templates of automations in a sandbox, with limits on time, size and output.

Templates are written by users and see data from events, so nothing they do may reach the
process, run for long, or fill the memory. What is undefined renders as nothing.
"""

import json as plain_json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Any, ClassVar
from uuid import UUID

from jinja2 import ChainableUndefined, Template, TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from penstock.server.domain.humanized import filters
from penstock.server.domain.templates import FILTERS, MAXIMUM_RANGE

SECONDS = 1.0
"""How long one template may take."""
MAXIMUM_OUTPUT = 200_000
"""Characters of a rendered text."""
MAXIMUM_STEPS = 20_000
"""Rounds of all loops of one template together."""
_WIDEST = 10_000
_DENIED_METHODS = frozenset(
    {"center", "expandtabs", "format", "format_map", "ljust", "replace", "rjust", "zfill"}
)
"""Methods of texts that make large ones of small ones; filters do the same with limits."""


class RenderingFailed(ValueError):
    """A template that cannot be rendered with these values; the text says why."""

    def __init__(self, message: str, source: str) -> None:
        super().__init__(message)
        self.source = source


def is_template(text: str) -> bool:
    return "{{" in text or "{%" in text


def names_in(texts: Iterable[str]) -> set[str]:
    """The values that templates ask for."""
    found: set[str] = set()
    for text in texts:
        if is_template(text):
            try:
                found |= find_undeclared_variables(_ENVIRONMENT.parse(text))
            except TemplateError:
                continue
    return found


class Renderer:
    """Renders texts with one set of values; `now` is what times are told from."""

    def __init__(self, values: Mapping[str, Any], now: datetime, ui: "Links") -> None:
        self._values = dict(values)
        self._now = now
        self._ui = ui

    def text(self, source: str) -> str:
        """The rendered text. Raises `RenderingFailed`."""
        if not is_template(source):
            return source
        try:
            return self._rendered(source)
        except RecursionError:
            raise RenderingFailed("it is nested too deeply", source) from None
        except (TemplateError, SecurityError, ArithmeticError) as error:
            raise RenderingFailed(str(error) or type(error).__name__, source) from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise RenderingFailed(f"{type(error).__name__}: {error}", source) from error

    def value(self, given: Any) -> Any:
        """A plain JSON value with all templates in it rendered.

        A text that is a single expression keeps the type of its value; the three explicit forms
        (`jinja`, `json`, `workspace_variable`) are resolved.
        """
        if isinstance(given, list):
            return [self.value(one) for one in given]
        if isinstance(given, str):
            return self._typed(given)
        if not isinstance(given, dict):
            return given
        kind = given.get("__prefect_kind")
        if kind == "jinja":
            return self.text(str(given.get("template", "")))
        if kind == "json":
            inner = self.value(given.get("value"))
            return plain_json.loads(inner) if isinstance(inner, str) else inner
        if kind == "workspace_variable":
            return dict(self._values.get("variables") or {}).get(given.get("variable_name"))
        return {name: self.value(one) for name, one in given.items()}

    def _typed(self, source: str) -> Any:
        if not is_template(source):
            return source
        single = _SINGLE.fullmatch(source.strip())
        if single is None:
            return self.text(source)
        text = self.text("{{ (" + single[1] + ") | tojson }}")
        return plain_json.loads(text) if text else None

    def _rendered(self, source: str) -> str:
        watch = _Watch()
        bound: dict[str, Any] = {
            **filters(self._now),
            "ui_url": self._ui.of,
            "ui_resource_events_url": self._ui.events_of,
            "flow_run_id": _flow_run_id,
        }
        functions = {f"_{name}": function for name, function in bound.items()}
        template = _compiled(source)
        parts: list[str] = []
        size = 0
        for part in template.generate(**self._values, **functions, _watch=watch):
            size += len(part)
            if size > MAXIMUM_OUTPUT:
                raise RenderingFailed(f"it is longer than {MAXIMUM_OUTPUT} characters", source)
            watch.check()
            parts.append(part)
        return "".join(parts)


_SINGLE = re.compile(r"\{\{((?:(?!\{\{|\}\}|\{%).)*)\}\}", re.DOTALL)


class Links:
    """Addresses of objects in the user interface at `base`."""

    _PATHS: ClassVar[dict[str, str]] = {
        "flow-run": "runs/flow-run",
        "task-run": "runs/task-run",
        "flow": "flows/flow",
        "deployment": "deployments/deployment",
        "work-pool": "work-pools/work-pool",
        "work-queue": "work-queues/work-queue",
        "automation": "automations/automation",
        "concurrency-limit": "concurrency-limits/concurrency-limit",
        "block-document": "blocks/block",
    }

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")

    def event(self, id: Any, occurred: datetime) -> str:
        return f"{self._base}/events/event/{occurred:%Y-%m-%d}/{id}"

    def of(self, value: Any) -> str:
        """The page of an object, or of the object that a resource stands for."""
        id = _resource_id(value)
        for kind, path in self._PATHS.items():
            prefix = f"prefect.{kind}."
            if id is not None and id.startswith(prefix):
                return f"{self._base}/{path}/{id.removeprefix(prefix)}"
        url = getattr(value, "url", None)
        return url if isinstance(url, str) else ""

    def events_of(self, value: Any) -> str:
        """The feed of events about an object."""
        id = _resource_id(value)
        return f"{self._base}/events?resource={id}" if id is not None else ""


def _resource_id(value: Any) -> str | None:
    if isinstance(value, Mapping) and isinstance(value.get("_resource"), str):
        return value["_resource"]
    id = getattr(value, "id", None)
    return id if isinstance(id, str) and id.startswith("prefect.") else None


def _flow_run_id(text: Any) -> str:
    found = re.search(r"flow-run/([0-9a-fA-F-]{36})", str(text))
    return found[1] if found else ""


# --- the sandbox ---------------------------------------------------------------------------------


class _Watch:
    """How much a rendering has done."""

    def __init__(self) -> None:
        self._steps = 0
        self._until = time.monotonic() + SECONDS

    def check(self) -> None:
        if time.monotonic() > self._until:
            raise SecurityError(f"it takes longer than {SECONDS:g} s")

    def over(self, values: Any) -> Iterator[Any]:
        for value in values:
            self._steps += 1
            if self._steps > MAXIMUM_STEPS:
                raise SecurityError(f"its loops have more than {MAXIMUM_STEPS} rounds")
            self.check()
            yield value


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "*":
            _check_product(left, right)
            _check_product(right, left)
        elif operator == "**":
            if abs(right) * max(int(abs(left)).bit_length(), 1) > _WIDEST:
                raise SecurityError("the power is too large")
        elif isinstance(left, str) and re.search(r"%[-+ #0]*(\*|\d{4,}|\d*\.\d{4,})", left):
            raise SecurityError("the format is too wide")
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str | bytes) and attr in _DENIED_METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)


def _check_product(left: Any, right: Any) -> None:
    if isinstance(left, str | bytes | list | tuple) and isinstance(right, int):
        if len(left) * right > _WIDEST:
            raise SecurityError("the repetition is too long")
    elif isinstance(left, int) and abs(left).bit_length() > _WIDEST:
        raise SecurityError("the number is too large")


def _range(*bounds: int) -> range:
    made = range(*bounds)
    if len(made) > MAXIMUM_RANGE:
        raise SecurityError(f"a range has at most {MAXIMUM_RANGE} elements")
    return made


def _limited(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose numbers (widths, counts) are bounded."""

    def bounded(value: Any, *arguments: Any, **named: Any) -> Any:
        for one in (*arguments, *named.values()):
            if isinstance(one, int) and abs(one) > 1_000:
                raise SecurityError("the number given to a filter is too large")
            if isinstance(one, str) and len(one) > 1_000:
                raise SecurityError("the text given to a filter is too long")
        return function(value, *arguments, **named)

    return bounded


def _tojson(value: Any) -> str:
    text = plain_json.dumps(value, default=_plain)
    for sign in "<>&'":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, ChainableUndefined):
        return None
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    document = getattr(value, "document", None)
    return document if document is not None else str(value)


def _environment() -> _Sandbox:
    made = _Sandbox(undefined=ChainableUndefined, autoescape=False)
    made.globals = {"range": _range}
    made.filters["tojson"] = _tojson
    for name in ("center", "indent", "wordwrap", "truncate", "batch", "slice", "round"):
        made.filters[name] = _limited(made.filters[name])
    made.filters["replace"] = _limited(lambda value, *given: str(value).replace(*given))
    made.filters["format"] = lambda value, *given: made.call_binop(None, "%", str(value), given)
    for name in FILTERS:
        made.filters[name] = str  # a name to be known while it is parsed; see `_bind`
    return made


_ENVIRONMENT = _environment()


@lru_cache(maxsize=256)
def _compiled(source: str) -> Template:
    tree = _ENVIRONMENT.parse(source)
    for kind in (nodes.Macro, nodes.CallBlock, nodes.Include, nodes.Import, nodes.FromImport):
        if tree.find(kind) is not None:
            raise SecurityError(f"a template cannot have a {kind.__name__.lower()}")
    _bind(tree)
    return _ENVIRONMENT.from_string(tree)


def _bind(tree: nodes.Template) -> None:
    """Loops go through the watch; filters that depend on the rendering are its values."""
    for loop in tree.find_all(nodes.For):
        over = nodes.Getattr(nodes.Name("_watch", "load"), "over", "load")
        loop.iter = nodes.Call(over, [loop.iter], [], None, None)
    _replace_filters(tree)


def _replace_filters(node: nodes.Node) -> None:
    for name, child in list(node.iter_fields()):
        if isinstance(child, list):
            setattr(node, name, [_unfiltered(one) for one in child])
        elif isinstance(child, nodes.Node):
            setattr(node, name, _unfiltered(child))


def _unfiltered(node: Any) -> Any:
    if isinstance(node, nodes.Node):
        _replace_filters(node)
        if isinstance(node, nodes.Filter) and node.name in FILTERS and node.node is not None:
            function = nodes.Name(f"_{node.name}", "load")
            return nodes.Call(
                function, [node.node, *node.args], node.kwargs, node.dyn_args, node.dyn_kwargs
            )
    return node
