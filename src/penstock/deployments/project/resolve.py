"""From an entry of a project file, options on top of it, and a flow, to what is sent to the API.

Everything here is a function of its arguments: no file, no server, no clock.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from msgspec import UNSET, UnsetType

from penstock.schemas.deployments import (
    ConcurrencyLimitStrategy,
    ConcurrencyOptions,
    DeploymentSchedule,
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
    VersionInfo,
)
from penstock.schemas.schedules import IntervalSchedule, RRuleSchedule, schedule_of

_ASSUMED_START = "DTSTART:20200101T000000\n"
_BESIDE_THE_RULE = ("parameters", "slug", "replaces", "max_scheduled_runs", "catch_up")
_SCHEDULE_KEYS = ("cron", "interval", "rrule", "timezone", "anchor_date", "day_or")


class Options(NamedTuple):
    """What a command line says about one deployment; None and empty mean nothing was said."""

    entrypoint: str | None = None
    description: str | None = None
    version: str | None = None
    version_type: str | None = None
    tags: Sequence[str] = ()
    concurrency_limit: int | None = None
    collision_strategy: str | None = None
    work_pool_name: str | None = None
    work_queue_name: str | None = None
    job_variables: Mapping[str, Any] = {}
    cron: Sequence[str] = ()
    interval: Sequence[float] = ()
    anchor_date: str | None = None
    rrule: Sequence[str] = ()
    timezone: str | None = None
    parameters: Mapping[str, Any] = {}
    enforce_parameter_schema: bool | None = None
    triggers: Sequence[Mapping[str, Any]] = ()


def merged(entry: Mapping[str, Any], options: Options) -> dict[str, Any]:
    """The entry with the options on top.

    An option replaces a value. Parameters and job variables are added to those of the entry, and
    schedules to its schedules.
    """
    made = dict(entry)
    for key in ("entrypoint", "description", "version", "version_type"):
        if getattr(options, key) is not None:
            made[key] = getattr(options, key)
    if options.enforce_parameter_schema is not None:
        made["enforce_parameter_schema"] = options.enforce_parameter_schema
    if options.tags:
        made["tags"] = list(options.tags)
    if options.parameters:
        made["parameters"] = {**(made.get("parameters") or {}), **options.parameters}
    if options.triggers:
        made["triggers"] = [dict(trigger) for trigger in options.triggers]
    _limit(made, options)
    _pool(made, options)
    _schedules(made, options)
    return made


def _limit(made: dict[str, Any], options: Options) -> None:
    if options.concurrency_limit is None and options.collision_strategy is None:
        return
    given = made.get("concurrency_limit")
    limit = dict(given) if isinstance(given, Mapping) else {"limit": given}
    if options.concurrency_limit is not None:
        limit["limit"] = options.concurrency_limit
    if options.collision_strategy is not None:
        limit["collision_strategy"] = options.collision_strategy
    made["concurrency_limit"] = limit if len(limit) > 1 else limit["limit"]


def _pool(made: dict[str, Any], options: Options) -> None:
    pool = dict(made.get("work_pool") or {})
    if options.work_pool_name is not None:
        pool["name"] = options.work_pool_name
    if options.work_queue_name is not None:
        pool["work_queue_name"] = options.work_queue_name
    if options.job_variables:
        pool["job_variables"] = {**(pool.get("job_variables") or {}), **options.job_variables}
    if pool:
        made["work_pool"] = pool


def _schedules(made: dict[str, Any], options: Options) -> None:
    more: list[dict[str, Any]] = [
        *({"cron": cron} for cron in options.cron),
        *({"interval": seconds} for seconds in options.interval),
        *(_rrule(text) for text in options.rrule),
    ]
    if not (more or options.timezone or options.anchor_date):
        return
    own = made.get("schedules")
    if own is None:
        own = [made["schedule"]] if made.get("schedule") else []
    schedules = [dict(one) for one in (*own, *more) if one]
    for one in schedules:
        if options.timezone:
            one["timezone"] = options.timezone
        if options.anchor_date and "interval" in one:
            one["anchor_date"] = options.anchor_date
    made.pop("schedule", None)
    made["schedules"] = schedules


def _rrule(text: Any) -> dict[str, Any]:
    """The members in a rule, which may be a JSON object with its rule and its timezone."""
    if isinstance(text, str) and text.lstrip().startswith("{"):
        try:
            value = json.loads(text)
        except ValueError:
            return {"rrule": text}
        if isinstance(value, dict) and "rrule" in value:
            return {key: value[key] for key in ("rrule", "timezone") if value.get(key)}
    return {"rrule": text}


# --- parts of the deployment ---------------------------------------------------------------------


def schedules_of(entry: Mapping[str, Any]) -> list[DeploymentScheduleCreate] | UnsetType:
    """The schedules of an entry. Unset when it says nothing of schedules, so that those made
    elsewhere stay; an empty list when it says that there are none. Raises `ValueError`."""
    listed = entry.get("schedules")
    if listed is None:
        if entry.get("schedule") is None:
            return UNSET
        listed = [entry["schedule"]]
    return [schedule for one in listed if one for schedule in (_schedule(one),)]


def _schedule(one: Mapping[str, Any]) -> DeploymentScheduleCreate:
    given = {key: value for key, value in one.items() if value is not None}
    if "rrule" in given:
        given = {**given, **_rrule(given["rrule"])}
    rule = {key: _json(given[key]) for key in _SCHEDULE_KEYS if key in given}
    more = {key: given[key] for key in _BESIDE_THE_RULE if key in given}
    return DeploymentScheduleCreate(
        schedule=schedule_of(rule), active=bool(given.get("active", True)), **more
    )


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime | date) else value


def schedules_to_send(
    wanted: list[DeploymentScheduleCreate] | UnsetType, stored: Sequence[DeploymentSchedule]
) -> list[DeploymentScheduleUpdate] | UnsetType:
    """What an update says of schedules: nothing when they are as wanted, so that they keep their
    ids and their planned runs."""
    if isinstance(wanted, UnsetType):
        return UNSET
    if len(wanted) == len(stored):
        left = list(stored)
        for one in wanted:
            found = next((other for other in left if _alike(one, other)), None)
            if found is None:
                break
            left.remove(found)
        else:
            return UNSET
    # Only servers that told of a policy are sent one that nobody asked for.
    default = "all" if any(one.catch_up not in (UNSET, "all") for one in stored) else UNSET
    return [
        DeploymentScheduleUpdate(
            schedule=one.schedule,
            active=one.active,
            catch_up=default if isinstance(one.catch_up, UnsetType) else one.catch_up,
            parameters=one.parameters,
            slug=one.slug if one.slug is not None else UNSET,
            replaces=one.replaces if one.replaces is not None else UNSET,
            max_scheduled_runs=one.max_scheduled_runs
            if one.max_scheduled_runs is not None
            else UNSET,
        )
        for one in wanted
    ]


def left_over(
    wanted: list[DeploymentScheduleCreate] | UnsetType, stored: Sequence[DeploymentSchedule]
) -> list[DeploymentSchedule]:
    """The stored schedules that an update leaves and the file no longer has.

    An update whose schedules all have a slug changes those with these slugs and no others.
    """
    if isinstance(wanted, UnsetType) or not wanted or any(one.slug is None for one in wanted):
        return []
    kept = {one.slug for one in wanted} | {one.replaces for one in wanted if one.replaces}
    return [one for one in stored if one.slug not in kept]


def _alike(wanted: DeploymentScheduleCreate, stored: DeploymentSchedule) -> bool:
    for name in ("active", "parameters", "slug", "max_scheduled_runs"):
        if getattr(wanted, name) != getattr(stored, name):
            return False
    if _policy(wanted.catch_up) != _policy(stored.catch_up):
        return False
    a, b = wanted.schedule, stored.schedule
    if type(a) is not type(b):
        return False
    if isinstance(a, IntervalSchedule) and isinstance(b, IntervalSchedule):
        anchored = a.anchor_date is UNSET or a.anchor_date == b.anchor_date
        zone = a.timezone in (None, b.timezone)
        return a.interval == b.interval and anchored and zone
    if isinstance(a, RRuleSchedule) and isinstance(b, RRuleSchedule):
        # Some servers write the beginning that they assume into the rule.
        return a.timezone == b.timezone and b.rrule in (a.rrule, f"{_ASSUMED_START}{a.rrule}")
    return a == b


def _policy(catch_up: Any) -> Any:
    return "all" if catch_up is UNSET else catch_up


def fields_of(
    entry: Mapping[str, Any],
    flow: Any,
    schema: Mapping[str, Any],
    pull: list[dict[str, Any]],
    version: VersionInfo | None = None,
) -> dict[str, Any]:
    """The fields of a deployment except its name, flow and schedules.

    The file is all there is to say about them, so what it leaves out is sent as empty. Only
    whether the deployment is paused stays as it is unless the file says so.
    """
    pool = entry.get("work_pool") or {}
    limit, options = _concurrency(entry.get("concurrency_limit"))
    tags = entry.get("tags") or []
    made: dict[str, Any] = {
        "entrypoint": entry["entrypoint"],
        "description": entry.get("description") or getattr(flow, "description", None),
        "version": version.version if version is not None else None,
        "tags": [tags] if isinstance(tags, str) else list(tags),
        "parameters": _plain(entry.get("parameters") or {}),
        "parameter_openapi_schema": dict(schema),
        "enforce_parameter_schema": entry.get("enforce_parameter_schema") is not False,
        "concurrency_limit": limit,
        "concurrency_options": options,
        "work_pool_name": pool.get("name"),
        "work_queue_name": pool.get("work_queue_name"),
        "job_variables": _plain(pool.get("job_variables") or {}),
        "pull_steps": _plain(pull),
        "path": None,
    }
    if entry.get("paused") is not None:
        made["paused"] = bool(entry["paused"])
    if version is not None:
        made["version_info"] = version
    return made


def _concurrency(given: Any) -> tuple[int | None, ConcurrencyOptions | None]:
    if not isinstance(given, Mapping):
        return given, None
    strategy = given.get("collision_strategy")
    grace = given.get("grace_period_seconds")
    if strategy is None and grace is None:
        return given.get("limit"), None
    return given.get("limit"), ConcurrencyOptions(
        collision_strategy=ConcurrencyLimitStrategy(strategy or "ENQUEUE"),
        grace_period_seconds=grace,
    )


def _plain(value: Any) -> Any:
    """The value as JSON has it: dates are text, keys are text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    return _json(value)


def unknown_parameters(entry: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Parameters of the entry that the flow does not take."""
    if schema.get("additionalProperties"):
        return []
    return sorted(set(entry.get("parameters") or ()) - set(schema.get("properties") or ()))
