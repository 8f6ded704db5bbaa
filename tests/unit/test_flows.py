"""Declaring flows."""

import copy
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock import flow
from penstock.annotations import NotSet
from penstock.flows import Flow, load_flow_from_entrypoint, select_flow
from penstock.schemas.errors import (
    InvalidNameError,
    MissingFlowError,
    ReservedArgumentError,
    ScriptError,
    UnspecifiedFlowError,
)
from penstock.settings import temporary_settings
from penstock.task_runners import ThreadPoolTaskRunner


def plain_function(n: int = 1) -> int:
    """
    Adds one.

    In two lines.
    """
    return n + 1


def test_defaults_come_from_the_function():
    declared = flow(plain_function)
    assert declared.name == "plain-function"
    assert declared.description == "Adds one.\n\nIn two lines."
    assert declared.version is not None
    assert declared.version == flow(test_defaults_come_from_the_function).version
    assert getattr(declared, "__name__", None) == "plain_function"
    assert not declared.isasync
    assert not declared.isgenerator
    assert declared.persist_result is None
    assert isinstance(declared.task_runner, ThreadPoolTaskRunner)
    assert flow(lambda: 0).name == "unknown-lambda"


def test_kinds_of_functions():
    async def coroutine(): ...

    def generator():
        yield

    async def async_generator():
        yield

    kinds = [(flow(fn).isasync, flow(fn).isgenerator) for fn in (coroutine, generator)]
    assert kinds == [(True, False), (False, True)]
    assert (flow(async_generator).isasync, flow(async_generator).isgenerator) == (True, True)


@pytest.mark.parametrize("character", list("/%&><"))
def test_names_with_banned_characters_are_refused(character: str):
    with pytest.raises(InvalidNameError):
        flow(name=f"a{character}b")(plain_function)


def test_wrong_types_are_refused_when_the_flow_is_declared():
    for options in (
        {"name": 3},
        {"on_failure": [3]},
        {"on_failure": plain_function},
        {"flow_run_name": 3},
        {"task_runner": object()},
    ):
        with pytest.raises(TypeError):
            flow(**options)(plain_function)
    with pytest.raises(TypeError):
        flow(3)  # type: ignore[arg-type]
    with pytest.raises(ReservedArgumentError):
        flow(lambda return_state: 0)


def test_retries_default_to_the_settings():
    with temporary_settings({"PENSTOCK_FLOWS_DEFAULT_RETRIES": "4"}):
        assert flow(plain_function).retries == 4
        assert flow(retries=0)(plain_function).retries == 0


def test_a_timeout_of_zero_is_none():
    assert flow(timeout_seconds=0)(plain_function).timeout_seconds is None
    assert flow(timeout_seconds=3)(plain_function).timeout_seconds == 3.0


def test_storage_turns_persistence_on(tmp_path: Path):
    assert flow(result_storage=tmp_path)(plain_function).persist_result is True
    assert (
        flow(result_storage=tmp_path, persist_result=False)(plain_function).persist_result is False
    )


def test_options_left_out_stay():
    def hook(*_: Any) -> None: ...

    first = flow(
        name="one", retries=2, timeout_seconds=3, on_failure=[hook], log_prints=True, version="v"
    )(plain_function)
    second = first.with_options(name="two", retries=0, log_prints=None, version="")
    assert (second.name, second.retries, second.timeout_seconds) == ("two", 0, 3)
    assert second.on_failure_hooks == [hook]
    assert second.log_prints is None
    assert second.version == "v"
    assert (first.name, first.log_prints) == ("one", True)
    assert first.with_options(log_prints=NotSet).log_prints is True
    assert first.with_options(retries=None).retries == 2
    with pytest.raises(TypeError, match="wrong"):
        first.with_options(wrong=1)


def test_hooks_are_also_decorators():
    declared = flow(plain_function)
    for kind in ("completion", "failure", "cancellation", "crashed", "running"):

        def hook(*_: Any) -> None: ...

        assert getattr(declared, f"on_{kind}")(hook) is hook
        assert getattr(declared, f"on_{kind}_hooks") == [hook]
    assert declared.with_options().on_crashed_hooks == declared.on_crashed_hooks


class Falsy:
    def __len__(self) -> int:
        return 0

    @flow
    def method(self, n: int) -> Any:
        return self, n

    @flow
    @classmethod
    def of_class(cls, n: int) -> Any:
        return cls, n

    @flow
    @staticmethod
    def free(n: int) -> int:
        return n


def test_methods_bind_to_their_own_instance():
    one, two = Falsy(), Falsy()
    first, second = one.method, two.method
    assert first.target(1) == (one, 1)
    assert second.target(1) == (two, 1)
    assert first.signature.names == ("n",)
    assert first.ismethod
    assert not Falsy.method.ismethod
    assert first.with_options(name="x").target(1) == (one, 1)
    assert Falsy.of_class.target(1) == (Falsy, 1)
    assert one.free.target(1) == 1


def test_parameters_are_checked_and_stored_by_the_flow():
    declared = flow(plain_function)
    assert declared.validate_parameters({"n": "3"}) == {"n": 3}
    assert declared.serialize_parameters({"n": object()}) == {"n": "<object>"}


def test_flows_can_be_copied_and_pickled():
    declared = flow(plain_function)
    assert copy.copy(declared).name == declared.name
    import cloudpickle

    again = pickle.loads(cloudpickle.dumps(Falsy().method))
    assert again.target(1)[1] == 1
    assert again.signature.names == ("n",)


class TestLoading:
    def write(self, tmp_path: Path, text: str) -> Path:
        path = tmp_path / "script.py"
        path.write_text(text)
        return path

    def test_a_flow_is_found_in_a_file(self, tmp_path: Path):
        (tmp_path / "beside.py").write_text("NAME = 'from beside'")
        path = self.write(
            tmp_path,
            "import beside\nfrom penstock import flow\n"
            "@flow(name=beside.NAME)\ndef my_flow(): ...\n"
            "class Holder:\n    @flow\n    @staticmethod\n    def inner(): ...\n",
        )
        before = list(sys.path)
        assert load_flow_from_entrypoint(f"{path}:my_flow").name == "from beside"
        assert load_flow_from_entrypoint(f"{path}:Holder.inner").name == "inner"
        assert sys.path == before

    def test_what_the_file_raises_is_told(self, tmp_path: Path):
        path = self.write(tmp_path, "raise ValueError('in script')")
        with pytest.raises(ScriptError, match="in script"):
            load_flow_from_entrypoint(f"{path}:x")

    @pytest.mark.parametrize("entrypoint", ["missing.py:x", "os.path:join"])
    def test_what_is_no_flow_is_refused(self, entrypoint: str):
        with pytest.raises(MissingFlowError):
            load_flow_from_entrypoint(entrypoint)

    def test_an_entrypoint_has_two_parts(self):
        with pytest.raises(ValueError, match="entrypoint"):
            load_flow_from_entrypoint("flow.py")


def test_selecting_a_flow():
    one: Flow[..., Any] = flow(name="one")(plain_function)
    two: Flow[..., Any] = flow(name="two")(plain_function)
    assert select_flow([one]) is one
    assert select_flow([one, two], "two") is two
    with pytest.raises(UnspecifiedFlowError):
        select_flow([one, two])
    with pytest.raises(MissingFlowError):
        select_flow([])
    with pytest.raises(MissingFlowError):
        select_flow([one], "three")
