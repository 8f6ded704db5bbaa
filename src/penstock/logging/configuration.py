"""What loggers and handlers there are: our defaults, a file of the user's, single settings.

`PENSTOCK_LOGGING_<PATH>` replaces one value, where `<PATH>` is the way to it with underscores:
`PENSTOCK_LOGGING_LOGGERS_PENSTOCK_FLOW_RUNS_LEVEL=ERROR`.
"""

import logging
import os
import re
import threading
from pathlib import Path
from string import Template
from typing import Any

from penstock.logging.formatters import FLOW_RUN_FORMAT, FORMAT, TASK_RUN_FORMAT, TIME_FORMAT
from penstock.settings import Settings, get_current_settings

ROOT = "penstock"
_NOT_A_PATH = frozenset({"LEVEL", "CONFIG_PATH", "SETTINGS_PATH", "EXTRA_LOGGERS", "LOG_PRINTS"})
_setting_up = threading.Lock()
_configured: dict[str, Any] | None = None


def default_config(settings: Settings) -> dict[str, Any]:
    """The configuration in force when the user has none, as `logging.config` takes it."""
    level = settings.logging.level
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "standard": {
                "()": "penstock.logging.formatters.PenstockFormatter",
                "format": FORMAT,
                "flow_run_fmt": FLOW_RUN_FORMAT,
                "task_run_fmt": TASK_RUN_FORMAT,
                "datefmt": TIME_FORMAT,
            },
        },
        "handlers": {
            "console": {
                "class": "penstock.logging.handlers.PenstockConsoleHandler",
                "formatter": "standard",
                "level": 0,
            },
            "api": {"class": "penstock.logging.handlers.APILogHandler", "level": 0},
        },
        "loggers": {
            ROOT: {"level": level, "handlers": ["console"], "propagate": False},
            f"{ROOT}.flow_runs": {"level": "NOTSET", "handlers": ["api"]},
            f"{ROOT}.task_runs": {"level": "NOTSET", "handlers": ["api"]},
        },
    }


def load_logging_config(path: Path) -> dict[str, Any]:
    """The configuration in the YAML file `path`; `${NAME}` in it stands for a setting by its
    environment name or for an environment variable. Raises `ValueError` for another content."""
    # Only users with a file of their own pay for the YAML reader.
    from ruamel.yaml import YAML

    text = Template(path.read_text()).safe_substitute(_substitutions())
    config = YAML(typ="safe").load(text)
    if not isinstance(config, dict):
        raise ValueError(
            f"{path} does not hold a logging configuration; see the Python documentation of "
            "logging.config.dictConfig for its form"
        )
    return config


def _substitutions() -> dict[str, str]:
    settings = get_current_settings()
    values = {
        "PENSTOCK_LOGGING_LEVEL": settings.logging.level,
        "PENSTOCK_INTERNAL_LOGGING_LEVEL": settings.internal.logging_level,
        "PENSTOCK_HOME": str(settings.home),
    }
    values |= {name.replace("PENSTOCK_", "PREFECT_", 1): value for name, value in values.items()}
    return values | dict(os.environ)


def setup_logging(incremental: bool | None = None) -> dict[str, Any]:
    """Configure logging and return the configuration used.

    A second call changes levels only, unless `incremental` is False. Handlers of the root logger
    and loggers of other packages stay as they are, and so do levels that code has set on ours.
    """
    global _configured
    # dictConfig pulls in the socket handlers; a process without runs does not need it.
    from logging.config import dictConfig

    with _setting_up:
        settings = get_current_settings()
        path = Path(settings.logging.config_path).expanduser()
        config = load_logging_config(path) if path.is_file() else default_config(settings)
        config = overridden(config, _overrides())
        if incremental is None:
            incremental = _configured is not None
        chosen = _levels_set_in_code(config) if incremental or _configured is None else {}
        if incremental:
            dictConfig({**config, "incremental": True})
        else:
            config["incremental"] = False
            dictConfig(config)
        for logger, level in chosen.items():
            logger.setLevel(level)
        _configured = config
        _attach_extra(settings)
        return config


def ensure_logging_setup() -> None:
    """Configure logging unless that was done; costs a comparison then."""
    if _configured is None:
        setup_logging(incremental=False)


def _levels_set_in_code(config: dict[str, Any]) -> dict[logging.Logger, int]:
    """The levels of our loggers that are not those of the configuration before this one."""
    before = (_configured or {}).get("loggers", {})
    found = {}
    for name in config.get("loggers", {}):
        logger = logging.getLogger(name)
        known = logging._checkLevel(before.get(name, {}).get("level", logging.NOTSET))  # pyright: ignore[reportAttributeAccessIssue]
        if logger.level != known:
            found[logger] = logger.level
    return found


def _attach_extra(settings: Settings) -> None:
    """Loggers of the user's libraries send to the API too."""
    from penstock.logging.handlers import APILogHandler

    extra = settings.logging.extra_loggers or []
    names = extra.split(",") if isinstance(extra, str) else extra
    for name in filter(None, (name.strip() for name in names)):
        logger = logging.getLogger(name)
        if not any(isinstance(handler, APILogHandler) for handler in logger.handlers):
            logger.addHandler(APILogHandler())
        if logger.level == logging.NOTSET:
            logger.setLevel(settings.logging.level)


def _overrides() -> dict[str, str]:
    found: dict[str, str] = {}
    for prefix in ("PREFECT_LOGGING_", "PENSTOCK_LOGGING_"):
        for name, value in os.environ.items():
            path = name.removeprefix(prefix)
            if path != name and path not in _NOT_A_PATH and not path.startswith("TO_API"):
                found[path] = value
    return found


def overridden(config: dict[str, Any], overrides: dict[str, str]) -> dict[str, Any]:
    """`config` with the values replaced whose path is in `overrides`, upper case with
    underscores for every other character. Loggers may be named as the contract names them."""
    if not overrides:
        return config
    return _replaced(config, overrides, "")


def _replaced(node: Any, overrides: dict[str, str], path: str) -> Any:
    if isinstance(node, dict):
        return {
            key: _replaced(value, overrides, f"{path}_{_upper(key)}" if path else _upper(key))
            for key, value in node.items()
        }
    given = overrides.get(path, overrides.get(path.replace("LOGGERS_PENSTOCK", "LOGGERS_PREFECT")))
    if given is None:
        return node
    if isinstance(node, bool):
        return given.strip().lower() in ("1", "true", "yes", "on")
    if isinstance(node, list):
        return [part.strip() for part in given.split(",") if part.strip()]
    if isinstance(node, int) and given.lstrip("-").isdigit():
        return int(given)
    return given


def _upper(key: Any) -> str:
    return re.sub(r"[^0-9A-Za-z]+", "_", str(key)).upper()
