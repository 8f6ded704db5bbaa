"""What becomes of a record: console lines, API records, masking, truncation."""

import io
import json
import logging
import re
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.run_context import RunContext, running
from penstock.logging import flow_run_logger, get_logger, get_run_logger
from penstock.logging.filters import MASK, ObfuscateApiKeyFilter, redact_substr
from penstock.logging.formatters import JsonFormatter, PenstockFormatter
from penstock.logging.handlers import APILogHandler, PenstockConsoleHandler
from penstock.logging.shipping import TRUNCATED, encoded
from penstock.schemas.errors import MissingContextError
from penstock.schemas.logs import LogCreate
from penstock.settings import temporary_settings

Shipped = list[dict[str, Any]]


def test_console_lines_name_the_run(
    flow_context: RunContext, task_context: RunContext, capsys: pytest.CaptureFixture[str]
):
    with temporary_settings({"logging.to_api.enabled": False}):
        with running(flow_context):
            get_run_logger().info("hello")
        with running(task_context):
            get_run_logger().error("oh")
        get_logger("mine").warning("plain")
    first, second, third = capsys.readouterr().err.splitlines()
    clock = r"^\d\d:\d\d:\d\d\.\d{3} \| "
    assert re.match(clock + r"INFO    \| Flow run 'quick-otter' - hello$", first)
    assert re.match(clock + r"ERROR   \| Task run 'load-1' - oh$", second)
    assert re.match(clock + r"WARNING \| penstock\.mine - plain$", third)


def test_colours_only_on_a_terminal():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    record = logging.LogRecord("penstock", logging.ERROR, "", 0, "bad", None, None)
    for stream, colors, colored in (
        (Terminal(), True, True),
        (Terminal(), False, False),
        (io.StringIO(), True, False),
    ):
        handler = PenstockConsoleHandler(stream)
        with temporary_settings({"logging.colors": colors}):
            handler.emit(record)
        assert ("\x1b[31m" in stream.getvalue()) is colored


def test_credentials_never_leave(
    flow_context: RunContext, shipped: Shipped, capsys: pytest.CaptureFixture[str]
):
    secrets = {"api.key": "pnu_0123456789", "api.auth_string": "admin:open-sesame"}
    with temporary_settings(secrets), running(flow_context):
        get_run_logger().info("using %s and open-sesame", "pnu_0123456789")
        try:
            raise ValueError("admin:open-sesame was refused")
        except ValueError:
            get_run_logger().exception("failed")
    written = capsys.readouterr().err + json.dumps(shipped)
    assert "sesame" not in written
    assert "pnu_0123456789" not in written
    assert written.count(MASK) >= 6


def test_the_filter_masks_message_and_arguments():
    record = logging.LogRecord("x", 20, "", 0, "key is %s", ("my-secret-key",), None)
    with temporary_settings({"api.key": "my-secret-key"}):
        assert ObfuscateApiKeyFilter().filter(record)
    assert record.getMessage() == f"key is {MASK}"


def test_redaction_goes_through_structures():
    value = {"a": ["x SECRET y", ("SECRET",)], "b": 1}
    assert redact_substr(value, "SECRET") == {"a": [f"x {MASK} y", (MASK,)], "b": 1}


def test_exceptions_are_part_of_the_record(flow_context: RunContext, shipped: Shipped):
    with running(flow_context):
        try:
            raise ZeroDivisionError("no")
        except ZeroDivisionError:
            get_run_logger().exception("failed")
    assert shipped[0]["message"].startswith("failed\nTraceback")
    assert shipped[0]["message"].endswith("ZeroDivisionError: no")


def test_records_can_stay_here(flow_context: RunContext, shipped: Shipped):
    with running(flow_context):
        get_run_logger().info("local", extra={"send_to_api": False})
        with temporary_settings({"logging.to_api.enabled": False}):
            get_run_logger().info("local too")
    assert shipped == []


@pytest.mark.parametrize("choice", ["warn", "error", "ignore"])
def test_a_record_of_no_run_is_dropped_as_configured(
    choice: str, shipped: Shipped, capsys: pytest.CaptureFixture[str]
):
    logger = logging.Logger("library")
    logger.addHandler(APILogHandler())
    with temporary_settings({"logging.to_api.when_missing_flow": choice}):
        if choice == "error":
            with pytest.raises(MissingContextError, match="'library'"):
                logger.info("lost")
        else:
            logger.info("lost")
    assert shipped == []
    assert ("'library'" in capsys.readouterr().err) is (choice == "warn")


def test_a_library_logger_inside_a_run_belongs_to_it(flow_context: RunContext, shipped: Shipped):
    logger = logging.Logger("library")
    logger.addHandler(APILogHandler())
    with running(flow_context):
        logger.info("kept")
    logger.info("by hand", extra={"flow_run_id": str(uuid4())})
    assert [record["message"] for record in shipped] == ["kept", "by hand"]


def test_a_record_that_cannot_be_written_does_not_reach_the_caller(
    flow_context: RunContext, shipped: Shipped, capsys: pytest.CaptureFixture[str]
):
    logger = flow_run_logger(flow_context.flow_run)
    with running(flow_context):
        logger.logger.handlers[0].emit(
            logging.LogRecord("penstock.flow_runs", 20, "", 0, "%d", ("x",), None)
        )
    assert shipped == []
    assert "is not sent to the API" in capsys.readouterr().err


@given(
    message=st.text(max_size=400)
    | st.text('\u20ac\n"\\a', max_size=400)
    | st.integers(0, 2000).map(lambda n: "x" * n),
    maximum=st.integers(250, 600),
)
def test_long_records_are_cut_to_the_limit(message: str, maximum: int):
    log = LogCreate(
        level=20,
        message=message,
        name="n",
        timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        flow_run_id=uuid4(),
    )
    data = encoded(log, maximum)
    assert len(data) <= maximum
    kept = json.loads(data)["message"]
    if kept != message:
        assert kept.endswith(TRUNCATED)
        assert message.startswith(kept.removesuffix(TRUNCATED))


def test_json_lines_hold_the_record():
    record = logging.LogRecord("n", 20, "p", 1, "a %s", ("b",), None)
    assert json.loads(JsonFormatter().format(record))["message"] == "a b"
    assert "\n" in JsonFormatter("pretty").format(record)
    with pytest.raises(ValueError, match="pretty"):
        JsonFormatter("other")  # pyright: ignore[reportArgumentType]


def test_a_record_without_the_names_its_format_needs_is_written_plainly():
    formatter = PenstockFormatter("%(message)s", flow_run_fmt="%(flow_run_name)s: %(message)s")
    record = logging.LogRecord("n", 20, "p", 1, "text", None, None)
    record.flow_run_id = "x"
    assert formatter.format(record) == "text"
    record.flow_run_name = "otter"
    assert formatter.format(record) == "otter: text"
