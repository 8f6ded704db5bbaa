"""Loggers of runs, and print."""

import asyncio
import logging
import sys
from io import StringIO
from typing import Any

import pytest

from penstock.base.run_context import RunContext, running
from penstock.logging import (
    LogEavesdropper,
    disable_run_logger,
    flow_run_logger,
    get_logger,
    get_run_logger,
    patch_print,
    task_run_logger,
)
from penstock.schemas.errors import MissingContextError

Shipped = list[dict[str, Any]]


def test_names_are_below_the_package():
    assert get_logger().name == "penstock"
    assert get_logger("mine").name == "penstock.mine"
    assert get_logger("penstock.flow_runs").name == "penstock.flow_runs"


def test_a_flow_logger_says_which_run(flow_context: RunContext, shipped: Shipped):
    with running(flow_context):
        get_run_logger().info("loaded %d rows", 3)
    (record,) = shipped
    assert record["message"] == "loaded 3 rows"
    assert record["name"] == "penstock.flow_runs"
    assert record["level"] == logging.INFO
    assert record["flow_run_id"] == str(flow_context.flow_run.id)
    assert record["task_run_id"] is None


def test_a_task_logger_says_both(task_context: RunContext, shipped: Shipped):
    with running(task_context):
        get_run_logger().warning("slow")
    (record,) = shipped
    assert record["name"] == "penstock.task_runs"
    assert record["task_run_id"] == str(task_context.task_run.id)
    assert record["flow_run_id"] == str(task_context.flow_run.id)


def test_a_task_outside_a_flow_has_no_flow_run(task_context: RunContext, shipped: Shipped):
    task_context.task_run.flow_run_id = None
    task_run_logger(task_context.task_run, task_context.task).info("alone")
    assert shipped[0]["flow_run_id"] is None
    assert shipped[0]["task_run_id"] == str(task_context.task_run.id)


def test_extra_of_the_call_wins(flow_context: RunContext):
    logger = flow_run_logger(flow_context.flow_run, flow_context.flow, color="red")
    _, kwargs = logger.process("x", {"extra": {"flow_run_name": "other", "more": 1}})
    assert kwargs["extra"]["flow_run_name"] == "other"
    assert (kwargs["extra"]["color"], kwargs["extra"]["more"]) == ("red", 1)
    child = logger.getChild("sub", {"more": 2})
    assert (child.logger.name, child.extra["more"]) == ("penstock.flow_runs.sub", 2)


def test_outside_a_run_there_is_no_run_logger():
    with pytest.raises(MissingContextError, match="get_logger"):
        get_run_logger()


def test_disabled_run_loggers_work_anywhere_and_are_silent(
    flow_context: RunContext, shipped: Shipped, capsys: pytest.CaptureFixture[str]
):
    with disable_run_logger():
        get_run_logger().info("nothing")
        with running(flow_context):
            get_run_logger().info("nothing")
    assert (shipped, capsys.readouterr().err) == ([], "")
    with running(flow_context):
        get_run_logger().info("something")
    assert len(shipped) == 1


def test_the_logger_a_run_brought_along_is_used(flow_context: RunContext):
    flow_context.logger = flow_run_logger(flow_context.flow_run)
    with running(flow_context):
        assert get_run_logger() is flow_context.logger
        assert get_run_logger(extra_field=1) is not flow_context.logger


# --- print ---------------------------------------------------------------------------------------


def test_print_logs_inside_a_run_that_asked_for_it(
    flow_context: RunContext, shipped: Shipped, capsys: pytest.CaptureFixture[str]
):
    flow_context.log_prints = True
    with patch_print(), running(flow_context):
        print("a", 1, sep="-")
        print("no line end", end="")
        print("to stderr", file=sys.stderr)
        print("100%")
    assert [record["message"] for record in shipped] == [
        "a-1",
        "no line end",
        "to stderr",
        "100%",
    ]
    assert capsys.readouterr().out == ""


def test_print_into_another_file_is_left_alone(flow_context: RunContext, shipped: Shipped):
    flow_context.log_prints = True
    file = StringIO()
    with patch_print(), running(flow_context):
        print("into a file", file=file)
    assert (file.getvalue(), shipped) == ("into a file\n", [])


def test_other_runs_and_code_outside_print_as_ever(
    flow_context: RunContext, shipped: Shipped, capsys: pytest.CaptureFixture[str]
):
    loud = RunContext(flow=flow_context.flow, flow_run=flow_context.flow_run, log_prints=True)

    async def speak(context: RunContext | None, text: str) -> None:
        with running(context):
            await asyncio.sleep(0)
            print(text)

    async def together() -> None:
        await asyncio.gather(
            speak(loud, "logged"), speak(flow_context, "printed"), speak(None, "outside")
        )

    with patch_print():
        asyncio.run(together())
    assert [record["message"] for record in shipped] == ["logged"]
    assert sorted(capsys.readouterr().out.split()) == ["outside", "printed"]


def test_print_is_itself_again_after_the_last_run():
    original = print
    with patch_print():
        with patch_print():
            pass
        assert print is not original
    assert print is original


def test_an_eavesdropper_hears_a_logger():
    with LogEavesdropper("penstock.mine", level=logging.DEBUG) as ear:
        get_logger("mine").warning("heard")
    get_logger("mine").warning("not heard")
    assert ear.text() == "heard"
