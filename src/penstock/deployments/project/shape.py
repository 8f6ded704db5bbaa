"""What may stand in a project file: its keys, and what each of them holds.

A text with a placeholder in it may stand anywhere; what it becomes is looked at again when the
placeholders are filled in.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

from penstock.deployments.templating import PLACEHOLDER_CAPTURE_REGEX

Path_ = tuple[str | int, ...]
BANNED_IN_NAMES = "/%&><"
STRATEGIES = ("ENQUEUE", "CANCEL_NEW")
VERSION_TYPES = (
    "prefect:simple",
    "vcs:git",
    "vcs:github",
    "vcs:gitlab",
    "vcs:bitbucket",
    "vcs:azuredevops",
)
TRIGGER_TYPES = ("event", "metric", "compound", "sequence")


class Fault(NamedTuple):
    """Something wrong at `path`. An unknown key is a warning: it has no effect and breaks none."""

    path: Path_
    message: str
    allowed: str = ""
    warning: bool = False


Check = Callable[[Path_, Any], Iterator[Fault]]


def faults(data: Any) -> Iterator[Fault]:
    """What is wrong with the data of a project file."""
    if data is None:
        return
    if not isinstance(data, Mapping):
        yield Fault((), f"is {_kind(data)}", f"a mapping with the keys {_names(TOP)}")
        return
    for key, value in data.items():
        if key in TOP:
            yield from TOP[key]((key,), value)
        elif key not in FREE and not str(key).startswith(("x-", ".")):
            yield _unknown((key,), key, TOP)
    yield from _twice(data.get("deployments"))


def _twice(listed: Any) -> Iterator[Fault]:
    """Two deployments that would be one: same name, same entrypoint."""
    seen: dict[tuple[Any, Any], int] = {}
    for index, one in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(one, Mapping) or not one.get("name"):
            continue
        pair = (str(one.get("name")), str(one.get("entrypoint")))
        if pair in seen:
            yield Fault(
                ("deployments", index, "name"),
                f"{pair[0]!r} with this entrypoint is there already, as number {seen[pair] + 1}",
                "one deployment for a name and an entrypoint",
            )
        seen.setdefault(pair, index)


# --- kinds of values -----------------------------------------------------------------------------


def templated(value: Any) -> bool:
    return isinstance(value, str) and PLACEHOLDER_CAPTURE_REGEX.search(value) is not None


def text(path: Path_, value: Any) -> Iterator[Fault]:
    if not isinstance(value, str | None):
        hint = "; write it in quotes" if isinstance(value, int | float | date) else ""
        yield Fault(path, f"is {_kind(value)}{hint}", "text")


def flag(path: Path_, value: Any) -> Iterator[Fault]:
    if not isinstance(value, bool | None) and not templated(value):
        yield Fault(path, f"is {_kind(value)}", "true or false")


def mapping(path: Path_, value: Any) -> Iterator[Fault]:
    if not isinstance(value, Mapping | None) and not templated(value):
        yield Fault(path, f"is {_kind(value)}", "a mapping of names to values")
    elif isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                yield Fault((*path, key), f"is {_kind(key)} as a name", "text; write it in quotes")


def anything(path: Path_, value: Any) -> Iterator[Fault]:
    yield from ()


def one_of(*choices: str) -> Check:
    def check(path: Path_, value: Any) -> Iterator[Fault]:
        if value is not None and value not in choices and not templated(value):
            yield Fault(path, f"is {_kind(value)}", ", ".join(choices))

    return check


def number(lowest: int, highest: int | None = None) -> Check:
    allowed = f"a whole number of at least {lowest}"
    allowed += f" and at most {highest}" if highest is not None else ""

    def check(path: Path_, value: Any) -> Iterator[Fault]:
        if value is None or templated(value):
            return
        right = isinstance(value, int) and not isinstance(value, bool) and value >= lowest
        if not right or (highest is not None and value > highest):
            yield Fault(path, f"is {_kind(value)}", allowed)

    return check


def members(of: Mapping[str, Check], *, strict: bool = False) -> Check:
    """A mapping with these keys. With `strict`, another key is no warning but an error."""

    def check(path: Path_, value: Any) -> Iterator[Fault]:
        if value is None or templated(value):
            return
        if not isinstance(value, Mapping):
            yield Fault(path, f"is {_kind(value)}", f"a mapping with the keys {_names(of)}")
            return
        for key, item in value.items():
            if key in of:
                yield from of[key]((*path, key), item)
            else:
                yield _unknown((*path, key), key, of, warning=not strict)

    return check


def items(of: Check, *, or_text: bool = False) -> Check:
    def check(path: Path_, value: Any) -> Iterator[Fault]:
        if value is None or templated(value) or (or_text and isinstance(value, str)):
            return
        if not isinstance(value, list):
            yield Fault(path, f"is {_kind(value)}", "a list")
            return
        for index, item in enumerate(value):
            yield from of((*path, index), item)

    return check


def filled_text(path: Path_, value: Any) -> Iterator[Fault]:
    if value is None:
        yield Fault(path, "is empty", "text")
    else:
        yield from text(path, value)


# --- parts of the file ---------------------------------------------------------------------------


def deployment_name(path: Path_, value: Any) -> Iterator[Fault]:
    yield from text(path, value)
    if isinstance(value, str) and not templated(value):
        if not value.strip():
            yield Fault(path, "is empty", "text")
        elif any(mark in value for mark in BANNED_IN_NAMES):
            yield Fault(path, f"{value!r} holds one of {' '.join(BANNED_IN_NAMES)}", "other names")


def entrypoint(path: Path_, value: Any) -> Iterator[Fault]:
    yield from text(path, value)
    if isinstance(value, str) and not templated(value):
        location, _, attribute = value.rpartition(":")
        if not location or not re.fullmatch(r"[A-Za-z_][\w.]*", attribute):
            yield Fault(path, f"is {value!r}", "`path/to/file.py:flow` or `package.module:flow`")


def concurrency(path: Path_, value: Any) -> Iterator[Fault]:
    yield from (_CONCURRENCY if isinstance(value, Mapping) else number(1))(path, value)


def steps(path: Path_, value: Any) -> Iterator[Fault]:
    if isinstance(value, Mapping):
        value = [{key: item} for key, item in value.items()]
    if not isinstance(value, list | None):
        yield Fault(path, f"is {_kind(value)}", "a list of steps")
        return
    for index, step in enumerate(value or ()):
        yield from _step((*path, index), step)


def _step(path: Path_, step: Any) -> Iterator[Fault]:
    allowed = "a mapping of one full function name to its inputs"
    if step is None or step == {}:
        return
    if not isinstance(step, Mapping):
        yield Fault(path, f"is {_kind(step)}", allowed)
        return
    if len(step) != 1:
        yield Fault(path, f"has the keys {', '.join(map(str, step))}", allowed)
        return
    name, inputs = next(iter(step.items()))
    path = (*path, name)
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", name):
        yield Fault(path, f"{name!r} is no full name of a function", "package.module.function")
    if not isinstance(inputs, Mapping | None):
        yield Fault(path, f"is {_kind(inputs)}", "a mapping of inputs")
        return
    inputs = inputs or {}
    yield from text((*path, "id"), inputs.get("id"))
    yield from items(filled_text, or_text=True)((*path, "requires"), inputs.get("requires"))


def schedule(path: Path_, value: Any) -> Iterator[Fault]:
    if value is None or value == {} or templated(value):
        return
    yield from members(_SCHEDULE, strict=True)(path, value)
    if not isinstance(value, Mapping):
        return
    kinds = [kind for kind in _KINDS if value.get(kind) is not None]
    if len(kinds) != 1:
        found = " and ".join(kinds) if kinds else "none of them"
        yield Fault(path, f"has {found}", f"exactly one of {', '.join(_KINDS)}")
    if "cron" not in kinds and value.get("day_or") is not None:
        yield Fault((*path, "day_or"), "belongs to cron", "leave it out")
    if "interval" not in kinds and value.get("anchor_date") is not None:
        yield Fault((*path, "anchor_date"), "belongs to interval", "leave it out")


def _seconds(path: Path_, value: Any) -> Iterator[Fault]:
    if value is None or templated(value):
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        yield Fault(path, f"is {_kind(value)}", "a number of seconds above zero")


def _moment(path: Path_, value: Any) -> Iterator[Fault]:
    if isinstance(value, datetime | date | None) or templated(value):
        return
    try:
        datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        yield Fault(path, f"is {_kind(value)}", "a date and time such as 2026-01-31T09:00:00")


def _catch_up(path: Path_, value: Any) -> Iterator[Fault]:
    if value in (None, "all", "latest") or templated(value):
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        yield Fault(path, f"is {_kind(value)}", "all, latest, or an age in seconds")


def deployment(path: Path_, value: Any) -> Iterator[Fault]:
    yield from members(DEPLOYMENT)(path, value)
    if not isinstance(value, Mapping):
        if value is None:
            yield Fault(path, "is empty", f"a mapping with the keys {_names(DEPLOYMENT)}")
        return
    if value.get("schedule") and value.get("schedules"):
        yield Fault((*path, "schedule"), "stands beside `schedules`", "one of them: schedules")
    pool = value.get("work_pool")
    if isinstance(pool, Mapping) and not pool.get("name"):
        for key in ("work_queue_name", "job_variables"):
            if pool.get(key):
                yield Fault(
                    (*path, "work_pool", key), "needs the name of a work pool", "add `name`"
                )


def _trigger(path: Path_, value: Any) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield Fault(path, f"is {_kind(value)}", "a mapping that describes a trigger")
        return
    yield from one_of(*TRIGGER_TYPES)((*path, "type"), value.get("type"))
    yield from flag((*path, "enabled"), value.get("enabled"))
    yield from text((*path, "name"), value.get("name"))
    yield from mapping((*path, "parameters"), value.get("parameters"))
    yield from mapping((*path, "job_variables"), value.get("job_variables"))


_KINDS = ("cron", "interval", "rrule")
_SCHEDULE: dict[str, Check] = {
    "cron": text,
    "interval": _seconds,
    "rrule": text,
    "timezone": text,
    "anchor_date": _moment,
    "day_or": flag,
    "active": flag,
    "parameters": mapping,
    "slug": text,
    "replaces": text,
    "max_scheduled_runs": number(1),
    "catch_up": _catch_up,
}
_CONCURRENCY = members(
    {
        "limit": number(1),
        "collision_strategy": one_of(*STRATEGIES),
        "grace_period_seconds": number(60, 86400),
    },
    strict=True,
)
DEPLOYMENT: dict[str, Check] = {
    "name": deployment_name,
    "version": text,
    "version_type": one_of(*VERSION_TYPES),
    "tags": items(filled_text, or_text=True),
    "description": text,
    "schedule": schedule,
    "schedules": items(schedule),
    "paused": flag,
    "concurrency_limit": concurrency,
    "flow_name": text,
    "entrypoint": entrypoint,
    "parameters": mapping,
    "enforce_parameter_schema": flag,
    "build": steps,
    "push": steps,
    "pull": steps,
    "work_pool": members(
        {"name": text, "work_queue_name": text, "job_variables": mapping},
    ),
    "triggers": items(_trigger),
    "sla": anything,
}
TOP: dict[str, Check] = {
    "penstock-version": anything,
    "prefect-version": anything,
    "name": text,
    "build": steps,
    "push": steps,
    "pull": steps,
    "deployments": items(deployment),
}
FREE = ("definitions",)
"""Top-level keys under which anchors are collected; what they hold is used elsewhere."""


# --- words ---------------------------------------------------------------------------------------


def _unknown(path: Path_, key: Any, known: Mapping[str, Check], warning: bool = True) -> Fault:
    close = difflib.get_close_matches(str(key), known, 1)
    meant = f"; is {close[0]!r} meant?" if close else ""
    return Fault(path, f"is no known key{meant}", _names(known), warning)


def _names(known: Mapping[str, Check]) -> str:
    return ", ".join(known)


def _kind(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return f"{value!r}" if isinstance(value, str) else f"the {type(value).__name__} {value}"
