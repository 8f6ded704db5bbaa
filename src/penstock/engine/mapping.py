"""What one `map` call means: the parameters of each run."""

from collections.abc import Iterator, Mapping
from typing import Any

from penstock.annotations import BaseAnnotation, allow_failure, opaque, quote, unmapped
from penstock.engine.params import Signature
from penstock.futures import PenstockFuture, PenstockFutureList, result_of
from penstock.schemas.errors import MappingLengthMismatch, MappingMissingIterable
from penstock.schemas.states import State

_WRAPPERS = (allow_failure, quote, opaque)


def elements(signature: Signature, parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The parameters of each run.

    Iterables are taken side by side; text, bytes, mappings marked `unmapped` and values that
    cannot be iterated are the same in every run; defaults are never iterated. Futures and states
    at the top are waited for. `allow_failure`, `quote` and `opaque` are put around each element.
    Raises `MappingMissingIterable` and `MappingLengthMismatch`.
    """
    given = _spread(signature, parameters)
    iterables: dict[str, tuple[list[Any], type[BaseAnnotation[Any]] | None]] = {}
    same: dict[str, Any] = {}
    for name, value in given.items():
        wrapper = None
        inner = value
        if isinstance(value, _WRAPPERS):
            wrapper = type(value)
            inner = value.unwrap()
        if isinstance(inner, unmapped):
            same[name] = wrapper(inner.unwrap()) if wrapper is not None else inner.unwrap()
            continue
        inner = _awaited(inner)
        if _is_iterable(inner):
            iterables[name] = (list(inner), wrapper)
        else:
            same[name] = wrapper(inner) if wrapper is not None else inner
    if not iterables:
        raise MappingMissingIterable(
            f"`map` of {signature.title} needs at least one iterable argument; the arguments are "
            f"{sorted(given)}. Call `submit` to run it once."
        )
    lengths = {name: len(values) for name, (values, _) in iterables.items()}
    if len(set(lengths.values())) > 1:
        raise MappingLengthMismatch(
            f"the iterables given to `map` of {signature.title} differ in length: {lengths}; make "
            "them equally long, or wrap those that every run gets whole in `unmapped`"
        )
    return _rows(signature, given, iterables, same)


def _rows(
    signature: Signature,
    given: Mapping[str, Any],
    iterables: Mapping[str, tuple[list[Any], type[BaseAnnotation[Any]] | None]],
    same: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    length = len(next(iter(iterables.values()))[0])
    for index in range(length):
        row: dict[str, Any] = {}
        for name in given:
            if name in iterables:
                values, wrapper = iterables[name]
                value = values[index]
                row[name] = wrapper(value) if wrapper is not None else value
            else:
                row[name] = same[name]
        yield _gathered(signature, row)


def _spread(signature: Signature, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """`parameters` with those of `**kwargs` among the others."""
    spread = dict(parameters)
    if signature.variadic is not None and signature.variadic in spread:
        spread.update(spread.pop(signature.variadic))
    return spread


def _gathered(signature: Signature, row: dict[str, Any]) -> dict[str, Any]:
    """The opposite of `_spread`, with the defaults filled in."""
    known = {name: value for name, value in row.items() if name in signature.names}
    for name, default in signature.defaults.items():
        known.setdefault(name, default)
    if signature.variadic is not None:
        known[signature.variadic] = {k: v for k, v in row.items() if k not in signature.names}
    return {name: known[name] for name in signature.names if name in known}


def _awaited(value: Any) -> Any:
    if isinstance(value, PenstockFutureList):
        return value
    if isinstance(value, PenstockFuture):
        return value.result()
    if isinstance(value, State):
        return result_of(value)
    return value


def _is_iterable(value: Any) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, str | bytes | bytearray)
