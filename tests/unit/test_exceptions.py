"""The errors users meet."""

import pydantic
import pytest

from penstock import exceptions
from penstock.exceptions import (
    Abort,
    ParameterBindError,
    ParameterTypeError,
    Pause,
    PausedRun,
    PenstockException,
    ProfileSettingsValidationError,
    SignatureMismatchError,
    exception_traceback,
)
from penstock.states import Paused


def test_every_error_is_caught_by_the_root_and_every_signal_is_not():
    for name in exceptions.__all__:
        kind = getattr(exceptions, name)
        if name.endswith(("Signal", "Abort", "Pause")):
            assert issubclass(kind, BaseException)
            assert not issubclass(kind, Exception)
        elif isinstance(kind, type):
            assert issubclass(kind, PenstockException), name


def test_codes_are_their_own():
    codes = {}
    for name in exceptions.__all__:
        kind = getattr(exceptions, name)
        if isinstance(kind, type) and "code" in vars(kind):
            assert kind.code not in codes, f"{name} and {codes.get(kind.code)}"
            codes[kind.code] = name


def test_a_failed_binding_names_function_and_reason():
    def target(x):
        pass

    error = ParameterBindError.from_bind_failure(
        target, TypeError("missing a required argument: 'x'"), (), {"y": 1}
    )
    assert isinstance(error, TypeError)
    assert "'target'" in str(error)
    assert "missing a required argument: 'x'" in str(error)
    assert "['y']" in str(error)


def test_a_failed_validation_lists_each_argument():
    class Model(pydantic.BaseModel):
        x: int
        y: list[int]

    with pytest.raises(pydantic.ValidationError) as caught:
        Model.model_validate({"x": "a", "y": ["b"]})
    text = str(ParameterTypeError.from_validation_error(caught.value))
    assert " - x: " in text
    assert " - y.0: " in text


def test_other_errors_say_what_they_are_about():
    assert "['a']" in str(SignatureMismatchError.from_bad_params(["a"], ["b"]))
    assert "['b']" in str(SignatureMismatchError.from_bad_params(["a"], ["b"]))
    error = ProfileSettingsValidationError([("PENSTOCK_API_URL", "is no URL")])
    assert "PENSTOCK_API_URL: is no URL" in str(error)


def test_pauses_carry_their_state():
    state = Paused()
    assert Pause(state=state).state is state
    assert PausedRun(state=state).state is state
    assert not isinstance(Abort(), Exception)


def test_a_traceback_is_text():
    try:
        raise ValueError("x")
    except ValueError as error:
        text = exception_traceback(error)
    assert text.startswith("Traceback")
    assert text.endswith("ValueError: x\n")
