"""Binding, coercing and storing arguments."""

import dataclasses
import sys
from functools import partial
from typing import Annotated, Any

import pydantic
import pytest

from penstock.engine.params import Signature, name_arguments, stored_form, template_name
from penstock.schemas.errors import ParameterBindError, ParameterTypeError, ReservedArgumentError


def bind(fn, *args, **kwargs):
    return Signature(fn, "flow 'f'").bind(args, kwargs)


def call(fn, *args, **kwargs):
    """What `fn` gets when its bound parameters are turned into a call again."""
    signature = Signature(fn, "flow 'f'")
    args, kwargs = signature.call_arguments(signature.bind(args, kwargs))
    return fn(*args, **kwargs)


def test_defaults_are_filled_in_the_order_of_the_signature():
    assert list(bind(lambda a, b=2, *, c=3: 0, 1).items()) == [("a", 1), ("b", 2), ("c", 3)]
    assert bind(lambda a, b=2: 0, b=5, a=1) == {"a": 1, "b": 5}


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1, 2, 3), {}), ((1,), {"a": 1}), ((1,), {"z": 1}), ((), {"b": 1})],
)
def test_arguments_that_do_not_fit_are_refused_with_the_signature(args, kwargs):
    with pytest.raises(ParameterBindError, match=r"flow 'f'\(a, b=2\)"):
        Signature(lambda a, b=2: 0, "flow 'f'").bind(args, kwargs)


@pytest.mark.parametrize(
    ("fn", "args", "kwargs"),
    [
        (lambda a, /, b, *c, d, **e: (a, b, c, d, e), (1, 2, 3, 4), {"d": 5, "x": 6}),
        (lambda *args: args, (1, 2), {}),
        (lambda **kwargs: kwargs, (), {"self": 1, "args": 2}),
        (lambda a, b=3, /: (a, b), (1,), {}),
    ],
)
def test_every_kind_of_parameter_survives_binding(fn, args, kwargs):
    assert call(fn, *args, **kwargs) == fn(*args, **kwargs)


@pytest.mark.parametrize("name", ["return_state", "wait_for"])
def test_names_of_the_call_itself_are_reserved(name):
    scope: dict[str, Any] = {}
    exec(f"def fn({name}): pass", scope)
    with pytest.raises(ReservedArgumentError, match=name):
        Signature(scope["fn"], "flow 'f'")


class Point(pydantic.BaseModel):
    x: int
    y: int = 0


@dataclasses.dataclass
class Pair:
    a: int


def check(fn, **parameters):
    return Signature(fn, "flow 'f'").check(parameters)


def test_values_are_coerced_to_their_annotations():
    def fn(
        n: int, items: list[int], point: Point, pair: Pair, free, named: Annotated[str, "x"]
    ): ...

    checked = check(fn, n="5", items=(1, "2"), point={"x": "1"}, pair={"a": 3}, free="5", named="s")
    assert checked["n"] == 5
    assert checked["items"] == [1, 2]
    assert checked["point"] == Point(x=1)
    assert checked["pair"] == Pair(3)
    assert checked["free"] == "5"


def test_text_annotations_are_resolved_and_unknown_ones_say_nothing():
    def fn(n: "int", other: "NoSuchName"): ...  # noqa: F821 # pyright: ignore[reportUndefinedVariable]

    assert check(fn, n=5, other="x") == {"n": 5, "other": "x"}


def test_every_problem_is_named():
    def fn(n: int, point: Point): ...

    with pytest.raises(ParameterTypeError) as caught:
        check(fn, n="five", point={"x": "one"})
    message = str(caught.value)
    assert "n: " in message
    assert "point.x: " in message


def test_variadic_annotations_apply_to_each_value():
    def fn(*numbers: int, **named: int): ...

    assert check(fn, numbers=("1", 2), named={"a": "3"}) == {"numbers": (1, 2), "named": {"a": 3}}
    with pytest.raises(ParameterTypeError, match=r"numbers\[1\]"):
        check(fn, numbers=(1, "x"), named={})


def test_types_unknown_to_the_model_library_are_checked_by_class():
    class Own:
        pass

    def fn(own: Own): ...

    own = Own()
    assert check(fn, own=own)["own"] is own
    with pytest.raises(ParameterTypeError, match="own"):
        check(fn, own=3)


def test_plain_values_need_no_model_library(monkeypatch):
    def fn(n: int, s: str, d: dict, anything: Any, free=3): ...

    monkeypatch.setitem(sys.modules, "pydantic", None)
    given = {"n": 1, "s": "a", "d": {}, "anything": object(), "free": ()}
    assert check(fn, **given) == given


def test_stored_parameters_name_the_type_of_what_json_cannot_say():
    class Own:
        pass

    stored = stored_form(
        {"n": 1, "own": Own(), "point": Point(x=1), "set": {1}, "list": [Own()], "future": "f"},
        lambda value: value == "f",
    )
    assert stored == {
        "n": 1,
        "own": "<Own>",
        "point": {"x": 1, "y": 0},
        "set": [1],
        "list": "<list>",
        "future": "f",
    }


def test_parameters_from_outside_are_matched_by_name():
    signature = Signature(lambda a, b=2, **rest: 0, "flow 'f'")
    assert signature.accept({"a": 1, "z": 3}) == {"a": 1, "b": 2, "rest": {"z": 3}}
    with pytest.raises(ParameterBindError):
        Signature(lambda a: 0, "flow 'f'").accept({"a": 1, "z": 3})


def test_names_by_template_and_function():
    assert template_name("{a}-{b[0]}", {"a": 1, "b": [2]}) == "1-2"
    with pytest.raises(ValueError, match=r"'c'.*parameters are"):
        template_name("{c}", {"a": 1})
    assert name_arguments(lambda: "x", {"a": 1}) == {}
    assert name_arguments(lambda parameters: "x", {"a": 1}) == {"parameters": {"a": 1}}
    assert name_arguments(partial(lambda x, parameters: x, 1), {}) == {"parameters": {}}
