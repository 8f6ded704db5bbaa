"""Everything that can be known to be wrong with a project file without running any of it.

Beside the shape of the file: whether entrypoints lead to flows that take the given parameters,
whether steps exist and take their inputs, whether placeholders can be filled in. Source is read,
never imported. What only a server knows is asked through `Known`.
"""

import importlib.util
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from penstock.deployments.git.addresses import (
    address_of,
    check_directory,
    check_ref,
    check_sha,
)
from penstock.deployments.project.project import Declared, Problem, Project
from penstock.deployments.project.resolve import schedules_of
from penstock.deployments.project.shape import Fault, Path_, faults, schedule, templated
from penstock.deployments.project.source import Found, SourceMissing, function_in, locate
from penstock.deployments.steps import __all__ as own_steps
from penstock.deployments.steps.core import RESERVED_KEYWORDS, step_function
from penstock.deployments.templating import PlaceholderType, find_placeholders
from penstock.schemas.errors import InvalidRepositoryURLError

OWN = ("prefect.deployments.steps.", "penstock.deployments.steps.")
_HELPERS = {"StepExecutionError", "run_step", "run_steps"}
STEP_NAMES = sorted(set(own_steps) - _HELPERS)


@dataclass(frozen=True)
class Known:
    """What others know: whether a schedule is one, and what a server has. None: not asked."""

    schedule: Callable[[Any], str | None]
    pools: frozenset[str] | None = None
    block: Callable[[str, str], bool] | None = None
    variable: Callable[[str], bool] | None = None
    default_pool: str | None = None
    seen: dict[Any, bool] = field(default_factory=dict)


def check_project(project: Project, chosen: Sequence[Declared], known: Known) -> list[Problem]:
    """What is wrong, in the order of lines. An unknown key counts as an error here."""
    found = [one._replace(warning=False) for one in faults(project.document.data)]
    for kind in ("build", "push", "pull"):
        found += _steps((kind,), project.data.get(kind))
    for declared in chosen:
        found += _deployment(project, declared, known)
    for path, value in (
        ((key,), project.data[key]) for key in project.data if key != "deployments"
    ):
        found += _stored(path, value, known)
    problems = {project.problem(one) for one in found}
    return sorted(problems, key=lambda one: (one.line, one.column, one.key, one.message))


def _deployment(project: Project, declared: Declared, known: Known) -> Iterator[Fault]:
    path, data = declared.path, declared.data
    if not data.get("name"):
        yield Fault(path, "has no name, so nothing can deploy it", "add `name`")
    if not data.get("entrypoint"):
        yield Fault(path, "has no entrypoint", "add `entrypoint: path/to/file.py:flow`")
    else:
        yield from _entrypoint(project, declared)
    pool = data.get("work_pool")
    pool = pool if isinstance(pool, Mapping) else {}
    if not pool.get("name") and not known.default_pool:
        yield Fault(path, "has no work pool", "add `work_pool: {name: ...}`")
    else:
        yield from _pool(path, pool.get("name"), known)
    yield from _schedules(path, data, known)
    for kind in ("build", "push", "pull"):
        yield from _steps((*path, kind), data.get(kind))
    yield from _placeholders(project, declared)
    yield from _stored(path, data, known)


def _pool(path: Path_, name: Any, known: Known) -> Iterator[Fault]:
    if known.pools is None or not isinstance(name, str) or templated(name) or name in known.pools:
        return
    there = ", ".join(sorted(known.pools)) or "none; `penstock work-pool create` makes one"
    yield Fault((*path, "work_pool", "name"), f"{name!r} does not exist on the server", there)


def _entrypoint(project: Project, declared: Declared) -> Iterator[Fault]:
    entrypoint = declared.data["entrypoint"]
    path = (*declared.path, "entrypoint")
    if not isinstance(entrypoint, str) or templated(entrypoint) or ":" not in entrypoint:
        return
    try:
        file = locate(project.directory, entrypoint)
        found = function_in(file, entrypoint.rpartition(":")[2])
    except SourceMissing as error:
        yield Fault(path, str(error), "`path/to/file.py:flow` or `package.module:flow`")
        return
    if found is None:
        return  # something that only running the file could tell
    if not found.is_flow:
        message = f"leads to the function {entrypoint.rpartition(':')[2]!r}, which is no flow"
        yield Fault(path, message, "a function with the decorator @flow")
        return
    named = declared.data.get("flow_name")
    if named and found.name is not None and named != found.name and not templated(named):
        message = f"is {named!r}, and the flow at the entrypoint is named {found.name!r}"
        yield Fault((*declared.path, "flow_name"), message, found.name)
    yield from _parameters(declared, found)


def _parameters(declared: Declared, found: Found) -> Iterator[Fault]:
    given = declared.data.get("parameters")
    given = given if isinstance(given, Mapping) else {}
    path = (*declared.path, "parameters")
    if found.parameters is not None:
        for name in given:
            if name not in found.parameters:
                allowed = ", ".join(found.parameters) or "none"
                yield Fault((*path, name), f"the flow takes no parameter {name!r}", allowed)
    scheduled = [s for s in _listed(declared.data) if isinstance(s, Mapping) and s]
    for number, one in enumerate(scheduled):
        own = one.get("parameters")
        own = own if isinstance(own, Mapping) else {}
        place = (*declared.path, "schedules", number, "parameters")
        for name in own:
            if found.parameters is not None and name not in found.parameters:
                allowed = ", ".join(found.parameters) or "none"
                yield Fault((*place, name), f"the flow takes no parameter {name!r}", allowed)
        missing = [name for name in found.required if name not in given and name not in own]
        if missing and one.get("active") is not False:
            message = f"the flow needs {', '.join(missing)}, so scheduled runs will fail"
            yield Fault(path if given else declared.path, message, warning=True)


def _listed(data: Mapping[str, Any]) -> list[Any]:
    listed = data.get("schedules")
    if listed is None:
        listed = [data["schedule"]] if data.get("schedule") else []
    return listed if isinstance(listed, list) else []


def _schedules(path: Path_, data: Mapping[str, Any], known: Known) -> Iterator[Fault]:
    single = data.get("schedules") is None
    for number, one in enumerate(_listed(data)):
        place = (*path, "schedule") if single else (*path, "schedules", number)
        if not one or list(schedule(place, one)) or _is_templated(one):
            continue
        try:
            made = schedules_of({"schedules": [one]})
        except ValueError as error:
            yield Fault(place, str(error))
            continue
        wrong = known.schedule(made[0].schedule) if isinstance(made, list) and made else None
        if wrong:
            key = next((k for k in ("cron", "interval", "rrule") if one.get(k) is not None), "cron")
            key = "timezone" if "zone" in wrong.lower() and one.get("timezone") else key
            yield Fault((*place, key), wrong)


def _is_templated(value: Any) -> bool:
    return bool(find_placeholders(value))


# --- steps ---------------------------------------------------------------------------------------


def _steps(path: Path_, value: Any) -> Iterator[Fault]:
    if isinstance(value, Mapping):
        pairs = [((*path, name), name, inputs) for name, inputs in value.items()]
    else:
        listed: list[Any] = value if isinstance(value, list) else []
        pairs = [
            ((*path, number, name), name, inputs)
            for number, step in enumerate(listed)
            if isinstance(step, Mapping) and len(step) == 1
            for name, inputs in step.items()
        ]
    for place, name, inputs in pairs:
        if isinstance(name, str) and isinstance(inputs, Mapping | None):
            yield from _step(place, name, inputs or {})


def _step(path: Path_, name: str, inputs: Mapping[str, Any]) -> Iterator[Fault]:
    prefix = next((one for one in OWN if name.startswith(one)), None)
    if prefix is None:
        top = name.partition(".")[0]
        there = False
        with suppress(ImportError, ValueError):
            there = importlib.util.find_spec(top) is not None
        if not there and not inputs.get("requires"):
            message = f"the package {top!r} of this step is not installed"
            yield Fault(path, message, "install it, or add `requires` with the package it is in")
        return
    if name.removeprefix(prefix).rpartition(".")[2] not in STEP_NAMES:
        yield Fault(
            path, "there is no such step", ", ".join(f"{prefix}{one}" for one in STEP_NAMES)
        )
        return
    yield from _inputs(path, name, inputs)


def _inputs(path: Path_, name: str, inputs: Mapping[str, Any]) -> Iterator[Fault]:
    try:
        parameters = inspect.signature(step_function(name)).parameters
    except ValueError as error:
        yield Fault(path, str(error))
        return
    given = [key for key in inputs if key not in RESERVED_KEYWORDS]
    open_ = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    named = [one.name for one in parameters.values() if one.kind is not one.VAR_KEYWORD]
    for key in given:
        if key not in named and not open_:
            yield Fault((*path, key), f"the step takes no input {key!r}", ", ".join(named))
    for one in parameters.values():
        needed = one.default is one.empty and one.kind is not one.VAR_KEYWORD
        if needed and inputs.get(one.name) is None:
            yield Fault(path, f"the step needs the input {one.name!r}", ", ".join(named))
    if name.endswith("git_clone"):
        yield from _git_inputs(path, inputs)


def _git_inputs(path: Path_, inputs: Mapping[str, Any]) -> Iterator[Fault]:
    checks: dict[str, Callable[[str], Any]] = {
        "repository": address_of,
        "branch": check_ref,
        "commit_sha": check_sha,
    }
    for key, check in checks.items():
        value = inputs.get(key)
        if value is None or templated(value):
            continue
        if not isinstance(value, str):
            yield Fault((*path, key), "is no text", "text; write it in quotes")
            continue
        try:
            found = check(value)
            if key == "repository" and found.login is not None and found.login.password:
                message = "holds credentials, which everybody who sees the deployment could read"
                yield Fault((*path, key), message, "access_token with a Secret block")
        except (ValueError, InvalidRepositoryURLError) as error:
            yield Fault((*path, key), str(error))
    for pair in (("branch", "commit_sha"), ("access_token", "credentials")):
        if all(inputs.get(key) for key in pair):
            yield Fault((*path, pair[1]), f"excludes `{pair[0]}`", "one of them")
    token = inputs.get("access_token")
    if isinstance(token, str) and token and not templated(token):
        message = "is a token in clear, which everybody who sees the file could use"
        yield Fault((*path, "access_token"), message, "{{ prefect.blocks.secret.<name> }}")
    for number, one in enumerate(inputs.get("directories") or ()):
        if isinstance(one, str) and not templated(one):
            try:
                check_directory(one)
            except ValueError as error:
                yield Fault((*path, "directories", number), str(error))


# --- placeholders --------------------------------------------------------------------------------


def _placeholders(project: Project, declared: Declared) -> Iterator[Fault]:
    """Placeholders of outputs that no step can give, and of variables that are not set."""
    before = [*project.steps("build", declared.data), *project.steps("push", declared.data)]
    ids = _ids(before)
    for key, value in declared.data.items():
        if key in ("build", "push", "pull"):
            continue
        path = (*declared.path, key)
        for place, text in texts(path, value):
            if key == "triggers" and "parameters" in place:
                continue  # these are templates of events, filled in when one comes
            for found in find_placeholders(text):
                if found.type is PlaceholderType.STANDARD and not before:
                    message = f"{found.full_match} is an output of a step, and no step runs before"
                    yield Fault(place, message, "an output of a build or push step")
                elif found.type is PlaceholderType.STANDARD and "." in found.name:
                    if found.name.partition(".")[0] not in ids:
                        message = f"{found.full_match}: no build or push step has this id"
                        yield Fault(place, message, ", ".join(sorted(ids)) or "a step with an `id`")
                elif found.type is PlaceholderType.ENV_VAR:
                    name = found.name.removeprefix("$")
                    if name not in os.environ:
                        message = f"the environment variable {name} is not set here"
                        yield Fault(place, message, warning=True)


def _ids(steps: Sequence[Mapping[str, Any]]) -> set[str]:
    inputs = [next(iter(step.values())) for step in steps if len(step) == 1]
    return {str(one["id"]) for one in inputs if isinstance(one, Mapping) and one.get("id")}


def _stored(path: Path_, value: Any, known: Known) -> Iterator[Fault]:
    """Placeholders of blocks and variables that the server does not have."""
    for place, text in texts(path, value):
        for found in find_placeholders(text):
            parts = found.name.split(".")
            if found.type is PlaceholderType.BLOCK_DOCUMENT and known.block is not None:
                if len(parts) < 4:
                    yield Fault(place, f"{found.full_match} names no block")
                elif not _asked(known, known.block, parts[2], parts[3]):
                    message = f"the block {parts[2]}/{parts[3]} does not exist on the server"
                    yield Fault(place, message, "a saved block; `penstock block ls` lists them")
            elif found.type is PlaceholderType.VARIABLE and known.variable is not None:
                name = ".".join(parts[2:])
                if not _asked(known, known.variable, name):
                    message = f"the variable {name!r} does not exist on the server"
                    yield Fault(place, message, "`penstock variable ls` lists them", warning=True)


def _asked(known: Known, ask: Callable[..., bool], *key: str) -> bool:
    if key not in known.seen:
        known.seen[key] = ask(*key)
    return known.seen[key]


def texts(path: Path_, value: Any) -> Iterator[tuple[Path_, str]]:
    """All texts in a value, with their paths."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts((*path, key), item)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from texts((*path, number), item)
