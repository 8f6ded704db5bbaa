"""Where the logging configuration comes from."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.logging.configuration import (
    default_config,
    load_logging_config,
    overridden,
    setup_logging,
)
from penstock.logging.handlers import APILogHandler, PenstockConsoleHandler
from penstock.settings import get_current_settings, temporary_settings


def test_the_defaults_leave_the_root_logger_alone():
    root_handlers = list(logging.getLogger().handlers)
    setup_logging(incremental=False)
    package = logging.getLogger("penstock")
    assert [type(handler) for handler in package.handlers] == [PenstockConsoleHandler]
    assert not package.propagate
    for name in ("penstock.flow_runs", "penstock.task_runs"):
        assert [type(one) for one in logging.getLogger(name).handlers] == [APILogHandler]
    assert logging.getLogger().handlers == root_handlers


def test_the_level_is_a_setting():
    with temporary_settings({"logging.level": "WARNING"}):
        setup_logging(incremental=False)
        assert not logging.getLogger("penstock.flow_runs").isEnabledFor(logging.INFO)
    with temporary_settings({"logging.level": "DEBUG"}):
        setup_logging()
        assert logging.getLogger("penstock.flow_runs").isEnabledFor(logging.DEBUG)


def test_a_level_set_in_code_stays_when_levels_are_read_again():
    task_runs = logging.getLogger("penstock.task_runs")
    task_runs.setLevel(logging.ERROR)
    with temporary_settings({"logging.level": "DEBUG"}):
        setup_logging()
    assert task_runs.level == logging.ERROR
    assert logging.getLogger("penstock").level == logging.DEBUG


def test_a_level_set_in_code_before_the_first_run_stays():
    code = """
import logging
from penstock import flow, get_run_logger
from penstock.logging import get_logger
get_logger("flow_runs").setLevel(logging.WARNING)
from penstock.logging import ensure_logging_setup
ensure_logging_setup()
print(get_logger("flow_runs").level, get_logger("task_runs").level)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == [str(logging.WARNING), str(logging.NOTSET)]


def test_single_values_are_replaced_by_their_path():
    config = default_config(get_current_settings())
    changed = overridden(
        config,
        {
            "LOGGERS_PREFECT_FLOW_RUNS_LEVEL": "ERROR",
            "LOGGERS_PENSTOCK_HANDLERS": "console,api",
            "HANDLERS_CONSOLE_LEVEL": "30",
            "LOGGERS_PENSTOCK_PROPAGATE": "true",
            "FORMATTERS_NOTHING_FORMAT": "x",
        },
    )
    assert changed["loggers"]["penstock.flow_runs"]["level"] == "ERROR"
    assert changed["loggers"]["penstock"]["handlers"] == ["console", "api"]
    assert changed["loggers"]["penstock"]["propagate"] is True
    assert changed["handlers"]["console"]["level"] == 30
    assert changed["loggers"]["penstock.task_runs"] == config["loggers"]["penstock.task_runs"]
    assert config["handlers"]["console"]["level"] == 0, "the defaults are not touched"


def test_the_environment_holds_such_paths(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PENSTOCK_LOGGING_LOGGERS_PENSTOCK_TASK_RUNS_LEVEL", "CRITICAL")
    setup_logging(incremental=False)
    assert logging.getLogger("penstock.task_runs").level == logging.CRITICAL


def test_a_file_of_the_user_replaces_the_defaults(tmp_path: Path):
    path = tmp_path / "logging.yml"
    path.write_text(
        "version: 1\n"
        "disable_existing_loggers: false\n"
        "loggers:\n"
        "  penstock:\n"
        "    level: ${PENSTOCK_LOGGING_LEVEL}\n"
    )
    with temporary_settings({"logging.config_path": path, "logging.level": "ERROR"}):
        used = setup_logging(incremental=False)
    assert used["loggers"]["penstock"]["level"] == "ERROR"
    path.write_text("- no mapping\n")
    with pytest.raises(ValueError, match=r"logging\.yml does not hold"):
        load_logging_config(path)


def test_loggers_of_libraries_send_to_the_api():
    with temporary_settings({"logging.extra_loggers": ["some_library"]}):
        setup_logging(incremental=False)
        setup_logging()
    library = logging.getLogger("some_library")
    assert [type(handler) for handler in library.handlers] == [APILogHandler]
    library.handlers.clear()
