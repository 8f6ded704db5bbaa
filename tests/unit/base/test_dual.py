"""One body, two colours."""

import asyncio
import threading
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.base.dual import (
    Blocking,
    Call,
    Invoke,
    coroutine,
    dual,
    in_async_context,
    plain,
    run_aio,
    run_coroutine,
    run_sync,
)
from penstock.base.run_context import RunContext, running


async def adouble(x):
    await asyncio.sleep(0)
    return 2 * x


def double(x):
    return 2 * x


def _quadruple(x):
    """Four times x."""
    once = yield Call(double, adouble, x)
    return (yield Call(double, adouble, once))


quadruple: Any
quadruple, aquadruple = dual(_quadruple)


def test_both_colours_give_the_same():
    assert quadruple(3) == 12
    assert asyncio.run(aquadruple(3)) == 12


def test_names_and_documentation_come_from_the_body():
    assert (quadruple.__name__, aquadruple.__name__) == ("quadruple", "aquadruple")
    assert quadruple.__doc__ == aquadruple.__doc__ == "Four times x."
    assert quadruple.aio is aquadruple


def test_the_plain_name_gives_a_coroutine_in_an_async_context():
    async def main():
        return await quadruple(1), quadruple(1, _sync=True)

    assert asyncio.run(main()) == (4, 4)


@pytest.mark.parametrize(("isasync", "expected"), [(True, True), (False, False)])
def test_a_plain_flow_on_a_loops_thread_is_not_an_async_context(isasync, expected):
    async def main():
        with running(RunContext(flow=SimpleNamespace(isasync=isasync))):
            return in_async_context()

    assert asyncio.run(main()) is expected


def test_no_loop_is_no_async_context():
    assert not in_async_context()


def _guarded(error):
    def fail():
        raise error

    async def afail():
        raise error

    try:
        yield Call(fail, afail)
    except ValueError as caught:
        return f"caught {caught}"


@pytest.mark.parametrize("run", [run_sync, lambda steps: asyncio.run(run_aio(steps))])
def test_the_error_of_a_step_is_raised_at_its_yield(run):
    assert run(_guarded(ValueError("it"))) == "caught it"
    with pytest.raises(KeyError):
        run(_guarded(KeyError("other")))


@pytest.mark.parametrize("run", [run_sync, lambda steps: asyncio.run(run_aio(steps))])
def test_an_invoked_function_may_be_of_either_colour(run):
    def steps():
        return (yield Invoke(double, 1)), (yield Invoke(adouble, 2))

    assert run(steps()) == (2, 4)


def test_a_blocking_step_leaves_the_loops_thread():
    def steps():
        return (yield Blocking(threading.get_ident))

    assert run_sync(steps()) == threading.get_ident()
    assert asyncio.run(run_aio(steps())) != threading.get_ident()


def test_plain_and_coroutine_are_of_one_colour_only():
    async def main():
        return plain(_quadruple)(1)

    assert asyncio.run(main()) == 4
    assert asyncio.run(coroutine(_quadruple)(1)) == 4


variable: ContextVar[str] = ContextVar("variable", default="unset")


def test_a_coroutine_can_be_run_inside_a_running_loop_with_its_context():
    async def read():
        return variable.get()

    async def main():
        variable.set("set")
        return run_coroutine(read())

    assert run_coroutine(read()) == "unset"
    assert asyncio.run(main()) == "set"


def test_a_dual_body_can_be_a_method():
    class Holder:
        def __init__(self, base):
            self.base = base

        def _add(self, x):
            return self.base + (yield Call(double, adouble, x))

        add, aadd = dual(_add)

    assert Holder(1).add(2) == 5
    assert asyncio.run(Holder(1).aadd(2)) == 5
    assert Holder.add.__qualname__.endswith("Holder.add")
