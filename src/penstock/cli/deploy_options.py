"""The options of `penstock deploy` as values."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penstock.base import json
from penstock.cli.output import Failure
from penstock.deployments.project.document import Document, ProjectFileError
from penstock.deployments.project.resolve import Options


def options_of(given: Mapping[str, Any]) -> Options:
    """What the command line says, its JSON read. Raises `Failure`."""
    if given["param"] and given["params"]:
        raise Failure("--param and --params exclude each other; choose one")
    parameters = (
        _object(given["params"], "--params")
        if given["params"] is not None
        else pairs(given["param"], "--param")
    )
    return Options(
        entrypoint=given["entrypoint"],
        description=given["description"],
        version=given["version"],
        version_type=given["version_type"],
        tags=given["tags"],
        concurrency_limit=given["concurrency_limit"],
        collision_strategy=(given["collision_strategy"] or "").upper() or None,
        work_pool_name=given["work_pool_name"],
        work_queue_name=given["work_queue_name"],
        job_variables=_job_variables(given["job_variables"]),
        cron=given["cron"],
        interval=given["interval"],
        anchor_date=given["anchor_date"],
        rrule=given["rrule"],
        timezone=given["timezone"],
        parameters=parameters,
        enforce_parameter_schema=given["enforce_parameter_schema"],
        triggers=tuple(one for text in given["triggers"] for one in _triggers(text)),
    )


def entry_option_names(given: Mapping[str, Any]) -> list[str]:
    """The options that were given, as they are written."""
    names = {"work_pool_name": "pool", "work_queue_name": "work-queue", "tags": "tag",
             "triggers": "trigger", "job_variables": "job-variable"}  # fmt: skip
    return [
        "--" + names.get(key, key).replace("_", "-")
        for key, value in given.items()
        if value not in (None, ())
    ]


def pairs(given: Sequence[str], option: str) -> dict[str, Any]:
    """`KEY=VALUE` texts as a mapping; a value is JSON where it can be read as such."""
    values: dict[str, Any] = {}
    for one in given:
        key, equals, text = one.partition("=")
        if not (key.strip() and equals):
            raise Failure(f"{option} {one!r} has no key; write KEY=VALUE")
        try:
            values[key.strip()] = json.decode(text)
        except ValueError:
            values[key.strip()] = text
    return values


def _job_variables(given: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for one in given:
        if one.lstrip().startswith("{"):
            values.update(_object(one, "--job-variable"))
        else:
            values.update(pairs([one], "--job-variable"))
    return values


def _object(text: str, option: str) -> dict[str, Any]:
    try:
        value = json.decode(text)
    except ValueError as error:
        raise Failure(f"{option} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise Failure(f"{option} is a JSON object of values by name")
    return value


def _triggers(text: str) -> list[dict[str, Any]]:
    """The triggers in a JSON object, or in a YAML or JSON file."""
    if text.endswith((".yaml", ".yml", ".json")):
        try:
            data = Document.read(Path(text)).data
        except (OSError, ProjectFileError) as error:
            raise Failure(f"--trigger: {error}") from None
        listed = data.get("triggers", [data]) if isinstance(data, dict) else data
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            raise Failure(f"--trigger: {text} holds no list of triggers under `triggers`")
        return listed
    return [_object(text, "--trigger")]
