"""What a run depends on: futures, states and results found in its arguments."""

import copy
import weakref
from collections.abc import Callable, Iterable, Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any
from uuid import UUID

from penstock.annotations import BaseAnnotation, allow_failure, opaque, quote
from penstock.futures import PenstockFuture, result_of
from penstock.schemas.states import State

_SCALARS = frozenset(
    {
        type(None),
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        type,
        ModuleType,
        FunctionType,
        BuiltinFunctionType,
    }
)

TASK_RUN = "task_run"
FLOW_RUN = "flow_run"
Origin = tuple[str, UUID]
"""Which run something comes from: the kind of run and its id."""


class Results:
    """Which run of this flow run made which object, by identity.

    Objects are held weakly where Python allows it; others are kept alive with their entry, so
    that an identity is never taken for that of a later object. What is shared by the whole
    process (None, booleans, small numbers, Ellipsis) has no origin.
    """

    __slots__ = ("_origins",)

    def __init__(self) -> None:
        self._origins: dict[int, tuple[Origin, Any]] = {}

    def __len__(self) -> int:
        return len(self._origins)

    def link(self, value: Any, origin: Origin) -> None:
        """Remember that `value`, and what it directly contains, was made by `origin`."""
        if value is None or value is True or value is False:
            return
        kind = type(value)
        if kind in (list, tuple, set, frozenset):
            for item in value:
                self._link_one(item, origin)
        elif kind is dict:
            for item in value.values():
                self._link_one(item, origin)
        self._link_one(value, origin)

    def _link_one(self, value: Any, origin: Origin) -> None:
        if value is None or value is True or value is False or value is Ellipsis:
            return
        if type(value) is int and -5 <= value <= 256:
            return
        key = id(value)
        origins = self._origins
        try:
            held: Any = weakref.ref(value, lambda _: origins.pop(key, None))
        except TypeError:
            held = value
        origins[key] = (origin, held)

    def origin(self, value: Any) -> Origin | None:
        """The run that made `value`, or None."""
        entry = self._origins.get(id(value))
        return None if entry is None else entry[0]


class Inputs:
    """What was found in the arguments of one run."""

    __slots__ = ("futures", "nested", "origins", "states")

    def __init__(self) -> None:
        self.futures: list[PenstockFuture[Any]] = []
        self.states: list[State] = []
        self.origins: dict[str, list[Origin]] = {}
        self.nested = False
        """Whether an argument must be rebuilt before the call (see `resolve`)."""

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        # Futures and states belong to the process that looked for them; origins travel.
        return None, {"futures": [], "states": [], "origins": self.origins, "nested": False}

    def note(self, name: str, origin: Origin) -> None:
        origins = self.origins.setdefault(name, [])
        if origin not in origins:
            origins.append(origin)


def find_inputs(
    parameters: Mapping[str, Any], wait_for: Any = None, results: Results | None = None
) -> Inputs:
    """Futures, states and results in `parameters` and `wait_for`, however deep."""
    inputs = Inputs()
    for name, value in parameters.items():
        kind = type(value)
        if kind in _SCALARS and (results is None or not results._origins):
            continue
        _search(inputs, name, value, results, set())
    if wait_for is not None:
        nested = inputs.nested
        _search(inputs, "wait_for", as_items(wait_for), results, set())
        inputs.nested = nested
    return inputs


def as_items(wait_for: Any) -> list[Any]:
    """`wait_for` as a list, one future alone included."""
    if isinstance(wait_for, PenstockFuture | State | BaseAnnotation):
        return [wait_for]
    return list(wait_for)


def _search(inputs: Inputs, name: str, value: Any, results: Results | None, seen: set[int]) -> None:
    kind = type(value)
    if results is not None:
        origin = results.origin(value)
        if origin is not None:
            inputs.note(name, origin)
    if kind in _SCALARS:
        return
    if isinstance(value, PenstockFuture):
        inputs.nested = True
        inputs.futures.append(value)
        inputs.note(name, value.origin)
        return
    if isinstance(value, State):
        inputs.nested = True
        inputs.states.append(value)
        details = value.state_details
        if details.task_run_id is not None:
            inputs.note(name, (TASK_RUN, details.task_run_id))
        elif details.flow_run_id is not None:
            inputs.note(name, (FLOW_RUN, details.flow_run_id))
        return
    if isinstance(value, BaseAnnotation):
        inputs.nested = True
        if isinstance(value, quote):
            return
        inner = value.unwrap()
        if isinstance(value, opaque) and not isinstance(inner, PenstockFuture | State):
            return
        _search(inputs, name, inner, results, seen)
        return
    if id(value) in seen:
        return
    for item in _contents(value):
        seen.add(id(value))
        _search(inputs, name, item, results, seen)


def _contents(value: Any) -> Iterable[Any]:
    if isinstance(value, list | tuple | set | frozenset):
        return value
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    fields = getattr(type(value), "__dataclass_fields__", None)
    if fields is not None:
        return [getattr(value, field, None) for field in fields]
    if hasattr(type(value), "model_fields"):
        return list(vars(value).values())
    return ()


class Blocked(Exception):
    """A future or state in the arguments is done and not completed."""

    def __init__(self, origin: str, state: State) -> None:
        super().__init__(origin)
        self.origin = origin
        self.state = state


def resolve(value: Any, *, failures: bool = False, _within: tuple[int, ...] = ()) -> Any:
    """`value` with futures and states replaced by their results, annotations removed.

    Containers are rebuilt only where something in them changed; a container inside itself is
    left as it is. `failures` says that the value stands under `allow_failure`: what failed gives
    its exception. Raises `Blocked` for an upstream that did not complete.
    """
    kind = type(value)
    if kind in _SCALARS:
        return value
    if isinstance(value, PenstockFuture):
        return _result(value.state, _label(value.origin), failures)
    if isinstance(value, State):
        return _result(value, _state_label(value), failures)
    if isinstance(value, BaseAnnotation):
        inner = value.unwrap()
        if isinstance(value, quote):
            return inner
        if isinstance(value, opaque) and not isinstance(inner, PenstockFuture | State):
            return inner
        failures = failures or isinstance(value, allow_failure)
        return resolve(inner, failures=failures, _within=_within)
    if id(value) in _within:
        return value
    within = (*_within, id(value))

    def inside(item: Any) -> Any:
        return resolve(item, failures=failures, _within=within)

    if isinstance(value, dict):
        pairs = [(inside(key), inside(item)) for key, item in value.items()]
        if all(a is c and b is d for (a, b), (c, d) in zip(pairs, value.items(), strict=True)):
            return value
        return dict(pairs) if kind is dict else kind(pairs)
    if isinstance(value, list | tuple | set | frozenset):
        items = [inside(item) for item in value]
        if all(a is b for a, b in zip(items, value, strict=True)):
            return value
        return kind(*items) if hasattr(kind, "_fields") else kind(items)
    return _resolve_object(value, inside)


def _resolve_object(value: Any, inside: Callable[[Any], Any]) -> Any:
    fields = getattr(type(value), "__dataclass_fields__", None)
    if fields is None and hasattr(type(value), "model_fields"):
        fields = vars(value)
    if fields is None or isinstance(value, type):
        return value
    changed = {}
    for name in fields:
        old = getattr(value, name, None)
        new = inside(old)
        if new is not old:
            changed[name] = new
    if not changed:
        return value
    if hasattr(value, "model_copy"):
        return value.model_copy(update=changed)
    new_object = copy.copy(value)
    for name, new in changed.items():
        object.__setattr__(new_object, name, new)
    return new_object


def _label(origin: Origin) -> str:
    return f"{origin[0].replace('_', ' ')} {origin[1]}"


def _state_label(state: State) -> str:
    run = state.state_details.task_run_id or state.state_details.flow_run_id
    return f"run {run}" if run is not None else "state"


def _result(state: State, label: str, failures: bool) -> Any:
    if state.is_completed():
        return result_of(state, raise_on_failure=False)
    if failures and (state.is_failed() or state.name == "NotReady"):
        return failure_of(state)
    raise Blocked(label, state)


def failure_of(state: State) -> Any:
    """What `allow_failure` hands over for a state that is not completed."""
    return result_of(state, raise_on_failure=False)


def check_upstream(value: Any, failures: bool = False) -> None:
    """Raise `Blocked` if a future or state in `value` did not complete (see `resolve`)."""
    if isinstance(value, PenstockFuture):
        _check(value.state, _label(value.origin), failures)
    elif isinstance(value, State):
        _check(value, _state_label(value), failures)
    elif isinstance(value, BaseAnnotation):
        if not isinstance(value, quote):
            check_upstream(value.unwrap(), failures or isinstance(value, allow_failure))
    elif isinstance(value, list | tuple | set | frozenset | dict):
        for item in _contents(value):
            check_upstream(item, failures)


def _check(state: State, label: str, failures: bool) -> None:
    if state.is_completed():
        return
    if failures and (state.is_failed() or state.name == "NotReady"):
        return
    raise Blocked(label, state)
