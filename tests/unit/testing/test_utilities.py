"""The harness and the comparisons for users' tests."""

import asyncio
import threading
import warnings
from pathlib import Path

import pytest

from penstock.client import get_client
from penstock.events import emit_event
from penstock.logging import flow_run_logger
from penstock.settings import get_current_settings
from penstock.testing.utilities import (
    a_test_step,
    assert_does_not_warn,
    b_test_step,
    exceptions_equal,
    get_most_recent_flow_run,
    kubernetes_environments_equal,
    penstock_test_harness,
    prefect_test_harness,
)


def test_each_harness_is_empty_and_leaves_nothing():
    threads = set(threading.enumerate())
    homes: list[Path] = []
    for _ in range(2):
        with penstock_test_harness():
            homes.append(get_current_settings().home)
            client = get_client(sync_client=True)
            assert client.count_flows() == 0
            client.create_flow_from_name("etl")
            emit_event("demo", {"prefect.resource.id": "demo.1"})
            flow_run_logger(flow_run_id=None).info("of no run")
    assert homes[0] != homes[1]
    assert not any(home.exists() for home in homes)
    assert not [one for one in set(threading.enumerate()) - threads if "penstock" in one.name]


def test_the_peers_name_is_the_same_harness():
    assert prefect_test_harness is penstock_test_harness


def test_an_error_of_the_body_comes_out_and_the_server_still_ends():
    homes: list[Path] = []
    with pytest.raises(ZeroDivisionError), penstock_test_harness():
        homes.append(get_current_settings().home)
        raise ZeroDivisionError
    assert not homes[0].exists()


def test_the_newest_run_is_found():
    async def find(name: str | None) -> str:
        return (await get_most_recent_flow_run(flow_name=name)).name

    class Flow:
        name = "etl"

    with penstock_test_harness():
        with pytest.raises(LookupError, match="etl"):
            asyncio.run(find("etl"))
        get_client(sync_client=True).create_flow_run(Flow(), name="first")
        assert asyncio.run(find("etl")) == asyncio.run(find(None)) == "first"


def test_exceptions_are_compared_by_type_and_arguments():
    assert exceptions_equal(ValueError("a"), ValueError("a"))
    assert not exceptions_equal(ValueError("a"), ValueError("b"))
    assert not exceptions_equal(ValueError("a"), TypeError("a"))


def test_environments_are_compared_in_any_order():
    actual = [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]
    assert kubernetes_environments_equal(actual, {"A": "1", "B": "2"})
    assert not kubernetes_environments_equal(actual, {"A": "1"})


def test_a_warning_in_the_block_is_an_error():
    with pytest.raises(AssertionError, match="hm"), assert_does_not_warn():
        warnings.warn("hm", stacklevel=1)
    with assert_does_not_warn([DeprecationWarning]):
        warnings.warn("old", DeprecationWarning, stacklevel=1)


def test_steps_return_what_they_were_given():
    assert a_test_step(x=1) == {"output1": 1, "output2": ["b", 2, 3], "x": 1}
    assert b_test_step() == {"output1": 1}
