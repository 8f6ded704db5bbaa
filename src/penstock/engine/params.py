"""Arguments of flows and tasks: binding, checking, coercion, and their stored form."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock.base.lazy import LazyModule
from penstock.engine.text import readable
from penstock.schemas.errors import ParameterBindError, ParameterTypeError, ReservedArgumentError

if TYPE_CHECKING:
    import inspect

    import msgspec
else:
    inspect = LazyModule("inspect")  # costs as much as all the rest of a declaration
    msgspec = LazyModule("msgspec")  # declaring needs no JSON

RESERVED = frozenset({"return_state", "wait_for"})
_SELF_EVIDENT: tuple[type, ...] = (bool, int, float, str, bytes, list, dict, tuple, set, type(None))


class Signature:
    """The signature of a function, read once and bound many times.

    `skip_first` leaves out the parameter that a bound instance fills. Raises
    `ReservedArgumentError` when a parameter has a name the call itself uses.
    """

    __slots__ = (
        "_adapters",
        "_fn",
        "_hints",
        "_known",
        "defaults",
        "names",
        "positional",
        "required",
        "signature",
        "simple",
        "skip_first",
        "title",
        "variadic",
    )

    def __init__(self, fn: Callable[..., Any], title: str, *, skip_first: bool = False) -> None:
        self._fn = fn
        self.title = title
        signature = inspect.signature(fn)
        self.skip_first = skip_first
        if skip_first:
            parameters = list(signature.parameters.values())[1:]
            signature = signature.replace(parameters=parameters)
        self.signature = signature
        taken = RESERVED.intersection(signature.parameters)
        if taken:
            raise ReservedArgumentError(
                f"{title} has a parameter named {min(taken)!r}, which is reserved for the call of "
                "the flow or task itself; rename the parameter"
            )
        empty = inspect.Parameter.empty
        plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        parameters = list(signature.parameters.values())
        self.simple = all(parameter.kind in plain for parameter in parameters)
        self.names = tuple(signature.parameters)
        self._known = frozenset(self.names)
        self.positional = tuple(
            p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        )
        self.required = frozenset(
            p.name for p in parameters if p.kind in plain and p.default is empty
        )
        self.defaults = {p.name: p.default for p in parameters if p.default is not empty}
        self.variadic = next(
            (p.name for p in parameters if p.kind is inspect.Parameter.VAR_KEYWORD), None
        )
        self._hints: dict[str, Any] | None = None
        self._adapters: dict[str, Any] = {}

    def bind(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, defaults: bool = True
    ) -> dict[str, Any]:
        """Arguments by parameter name, in the order of the signature, defaults filled in.

        Raises `ParameterBindError` when the arguments do not fit.
        """
        if self.simple and len(args) <= len(self.positional):
            if not kwargs and len(args) == len(self.names):
                return dict(zip(self.names, args, strict=True))
            given = dict(zip(self.positional, args, strict=False))
            known = len(given)
            given.update(kwargs)
            if (
                len(given) == known + len(kwargs)
                and self.required <= given.keys()
                and self._known.issuperset(given)
            ):
                if defaults and len(given) < len(self.names):
                    return {
                        name: given[name] if name in given else self.defaults[name]
                        for name in self.names
                    }
                return given
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as exc:
            raise ParameterBindError(
                f"cannot call {self.title}{self.signature}: {exc}; "
                f"given were {len(args)} positional and the keyword arguments {sorted(kwargs)}"
            ) from None
        if defaults:
            bound.apply_defaults()
        return dict(bound.arguments)

    def call_arguments(
        self, parameters: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """`args, kwargs` that call the function with `parameters` (a result of `bind`)."""
        if self.simple:
            return (), dict(parameters)
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for parameter in self.signature.parameters.values():
            if parameter.name not in parameters:
                continue
            value = parameters[parameter.name]
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                args.extend(value)
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
                kwargs.update(value)
            elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                kwargs[parameter.name] = value
            else:
                args.append(value)
        return tuple(args), kwargs

    def accept(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters by name, from outside (a stored run), with defaults filled in.

        Raises `ParameterBindError` for unknown or missing names.
        """
        args, kwargs = self.call_arguments(
            {name: value for name, value in parameters.items() if name in self._known}
        )
        kwargs.update({k: v for k, v in parameters.items() if k not in self._known})
        return self.bind(args, kwargs)

    def hints(self) -> dict[str, Any]:
        """Annotations by parameter, text resolved where it can be."""
        if self._hints is None:
            target = inspect.unwrap(self._fn)
            target = getattr(target, "__func__", target)
            try:
                self._hints = typing.get_type_hints(target, include_extras=True)
            except Exception:  # an annotation that names nothing: those that are text say nothing
                raw = getattr(target, "__annotations__", {})
                self._hints = {k: v for k, v in raw.items() if not isinstance(v, str)}
        return self._hints

    def check(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """`parameters` with each value coerced to its annotation.

        Raises `ParameterTypeError` naming every argument that does not fit. The model library is
        loaded only when a value is not already exactly of a plain annotated type.
        """
        hints = self.hints()
        checked = dict(parameters)
        problems: list[str] = []
        for name, parameter in self.signature.parameters.items():
            hint = hints.get(name, Any)
            if hint is Any or name not in checked or _fits(hint, checked[name]):
                continue
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                pairs = [(f"{name}[{i}]", item) for i, item in enumerate(checked[name])]
                values, found = self._coerce_all(name, hint, pairs)
                checked[name] = tuple(values)
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
                values, found = self._coerce_all(name, hint, list(checked[name].items()))
                checked[name] = dict(zip(checked[name], values, strict=True))
            else:
                values, found = self._coerce_all(name, hint, [(name, checked[name])])
                checked[name] = values[0]
            problems.extend(found)
        if problems:
            raise ParameterTypeError(
                f"parameters of {self.title} failed validation:\n - " + "\n - ".join(problems)
            )
        return checked

    def _coerce_all(
        self, name: str, hint: Any, pairs: list[tuple[str, Any]]
    ) -> tuple[list[Any], list[str]]:
        values: list[Any] = []
        problems: list[str] = []
        for label, value in pairs:
            if _fits(hint, value):
                values.append(value)
                continue
            adapter = self._adapters.get(name)
            if adapter is None:
                adapter = self._adapters[name] = _adapter(hint)
            try:
                values.append(adapter.validate_python(value))
            except ValueError as exc:
                values.append(value)
                problems.extend(_problems(label, exc))
        return values, problems


def _fits(hint: Any, value: Any) -> bool:
    """Whether `value` is exactly of the plain type `hint`, so that no coercion can change it."""
    return type(value) is hint and hint in _SELF_EVIDENT


def _adapter(hint: Any) -> Any:
    # Loaded here: the model library costs far more than the rest of the SDK to import.
    pydantic = import_module("pydantic")
    config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    try:
        return pydantic.TypeAdapter(hint, config=config)
    except pydantic.errors.PydanticUserError:
        return pydantic.TypeAdapter(hint)


def _problems(label: str, exc: ValueError) -> list[str]:
    errors = getattr(exc, "errors", None)
    if errors is None:
        return [f"{label}: {exc}"]
    return [
        ".".join([label, *(str(part) for part in error["loc"])]) + f": {error['msg']}"
        for error in errors(include_url=False)
    ]


def stored_form(parameters: Mapping[str, Any], of_run: Callable[[Any], bool]) -> dict[str, Any]:
    """`parameters` as JSON values.

    What JSON cannot say, and what is a future or state (`of_run`), becomes the text `<TypeName>`.
    """
    return {name: _stored(value, of_run) for name, value in parameters.items()}


def _stored(value: Any, of_run: Callable[[Any], bool]) -> Any:
    if value is None or type(value) in (int, float, bool):
        return value
    if type(value) is str:
        return readable(value)
    if of_run(value):
        return f"<{type(value).__name__}>"
    try:
        return msgspec.json.decode(msgspec.json.encode(value, enc_hook=_encode_other))
    except Exception:  # a value of the user may fail in any way while it is written
        return f"<{type(value).__name__}>"


def _encode_other(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    if isinstance(value, set | frozenset):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def template_name(template: str, parameters: Mapping[str, Any]) -> str:
    """A run name made by `str.format` from `parameters`.

    Raises `ValueError` when the template names something that is not a parameter.
    """
    try:
        return template.format(**parameters)
    except (KeyError, IndexError) as exc:
        raise ValueError(
            f"the run name {template!r} uses {exc.args[0]!r}, which is not a parameter; "
            f"the parameters are {sorted(parameters)}"
        ) from None


def name_arguments(naming: Callable[..., Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What a function that names runs is called with: nothing, or the parameters."""
    try:
        takes = "parameters" in inspect.signature(naming).parameters
    except (TypeError, ValueError):
        return {}
    return {"parameters": dict(parameters)} if takes else {}
