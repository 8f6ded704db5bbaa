"""Types of workers this release comes with, and the base job templates that fit them."""

from typing import Any


def _text(title: str, description: str, default: str | None = None) -> dict[str, Any]:
    return {
        "title": title,
        "description": description,
        "anyOf": [{"type": "string"}, {"type": "null"}],
        "default": default,
    }


def _texts(title: str, description: str) -> dict[str, Any]:
    return {
        "title": title,
        "description": description,
        "type": "object",
        "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    }


_COMMON: dict[str, Any] = {
    "name": _text("Name", "Name of what the worker starts; that of the flow run when empty."),
    "env": _texts("Environment variables", "Variables of the flow run's environment."),
    "labels": _texts("Labels", "Labels of what the worker starts."),
    "command": _text("Command", "What starts the flow run; rarely needed."),
}

_PROCESS: dict[str, Any] = {
    **_COMMON,
    "stream_output": {
        "title": "Stream output",
        "description": "Whether the worker prints what the process prints.",
        "type": "boolean",
        "default": True,
    },
    "working_dir": {
        **_text("Working directory", "Where the process starts; a fresh directory when empty."),
        "anyOf": [{"type": "string", "format": "path"}, {"type": "null"}],
    },
}

BASE_JOB_TEMPLATES: dict[str, dict[str, Any]] = {
    "process": {
        "job_configuration": {name: f"{{{{ {name} }}}}" for name in _PROCESS},
        "variables": {"type": "object", "properties": _PROCESS},
    },
}
"""By the type of the worker."""
