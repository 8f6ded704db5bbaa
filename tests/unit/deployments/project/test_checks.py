"""What is wrong with a project file is found with its place, and nothing of the project is run."""

from pathlib import Path
from typing import Any

import pytest

from penstock.deployments.project.checks import Known, check_project
from penstock.deployments.project.project import Problem, Project

FLOWS = '''
"""Running this file would end the test."""
from penstock import flow
raise SystemExit("executed")

@flow
def count(source: str, most: int = 3): ...

@flow(name="Named differently")
def named(**anything): ...

class Of:
    @flow
    def method(self, x): ...

def plain(): ...
made = flow(plain)
'''


def known(**more: Any) -> Known:
    return Known(lambda schedule: None, **more)


def problems(tmp_path: Path, text: str, checks: Known | None = None) -> list[Problem]:
    (tmp_path / "flows.py").write_text(FLOWS)
    file = tmp_path / "penstock.yaml"
    file.write_text(text)
    project = Project(file, tmp_path)
    return check_project(project, project.deployments, checks or known())


def entry(**more: str) -> str:
    lines = {"name": "a", "entrypoint": "flows.py:named", "work_pool": "{name: p}", **more}
    return "deployments:\n- " + "\n  ".join(f"{k}: {v}" for k, v in lines.items()) + "\n"


def test_a_right_file_has_no_problems(tmp_path: Path) -> None:
    text = entry(
        entrypoint="flows.py:count",
        parameters="{source: x}",
        schedules="[{cron: '0 1 * * *'}, {interval: 5, active: no}]",
        tags="one",
        concurrency_limit="{limit: 2, collision_strategy: CANCEL_NEW}",
        version="'1'",
        paused="no",
        version_type="vcs:git",
        build="[{penstock.deployments.steps.run_shell_script: {id: it, script: ls}}]",
        description="'{{ it.stdout }}'",
        pull="[{prefect.deployments.steps.git_clone: {repository: 'git@h:x.git'}}]",
        triggers="[{expect: [x], parameters: {a: '{{ event.id }}'}}]",
    )
    text = "prefect-version: 3.7\ndefinitions: {x: &x 1}\nx-mine: 2\n" + text
    assert [str(one) for one in problems(tmp_path, text)] == []


ONE = {
    "unknown key": ({"wrok_pool": "{}"}, "wrok_pool", "is 'work_pool' meant?", 5),
    "name": ({"name": "a/b"}, "name", "holds one of", 2),
    "entrypoint without a flow": ({"entrypoint": "flows.py"}, "entrypoint", "is 'flows.py'", 3),
    "entrypoint without a file": ({"entrypoint": "no.py:f"}, "entrypoint", "no file no.py", 3),
    "no such flow": ({"entrypoint": "flows.py:no"}, "entrypoint", "its flows are count, named", 3),
    "no such module": ({"entrypoint": "no.mod:f"}, "entrypoint", "no module no.mod", 3),
    "no flow": ({"entrypoint": "flows.py:plain"}, "entrypoint", "which is no flow", 3),
    "parameter": (
        {"entrypoint": "flows.py:count", "parameters": "{source: a, mots: 1}"},
        "parameters.mots",
        "takes no parameter 'mots'",
        5,
    ),
    "flow name": ({"flow_name": "named"}, "flow_name", "is named 'Named differently'", 5),
    "version": ({"version": "1.0"}, "version", "write it in quotes", 5),
    "tags": ({"tags": "{a: b}"}, "tags", "is a mapping", 5),
    "flag": ({"paused": "maybe"}, "paused", "true or false", 5),
    "limit": ({"concurrency_limit": "0"}, "concurrency_limit", "at least 1", 5),
    "strategy": (
        {"concurrency_limit": "{limit: 1, collision_strategy: DROP}"},
        "concurrency_limit.collision_strategy",
        "ENQUEUE, CANCEL_NEW",
        5,
    ),
    "grace": (
        {"concurrency_limit": "{limit: 1, grace_period_seconds: 1}"},
        "concurrency_limit.grace_period_seconds",
        "at least 60",
        5,
    ),
    "two kinds of schedule": (
        {"schedules": "[{cron: '* * * * *', interval: 5}]"},
        "schedules[0]",
        "exactly one of",
        5,
    ),
    "schedule key": (
        {"schedules": "[{cron: '* * * * *', tz: UTC}]"}, "schedules[0].tz", "timezone", 5,
    ),
    "interval": ({"schedules": "[{interval: -5}]"}, "schedules[0].interval", "above zero", 5),
    "anchor": (
        {"schedules": "[{interval: 5, anchor_date: soon}]"},
        "schedules[0].anchor_date",
        "a date and time",
        5,
    ),
    "catch up": (
        {"schedules": "[{interval: 5, catch_up: some}]"},
        "schedules[0].catch_up",
        "all, latest, or an age",
        5,
    ),
    "both spellings": (
        {"schedule": "{interval: 5}", "schedules": "[{interval: 6}]"}, "schedule", "beside", 5,
    ),
    "step of the package": (
        {"pull": "[{prefect.deployments.steps.git_clon: {}}]"},
        "pull[0].prefect.deployments.steps.git_clon",
        "prefect.deployments.steps.git_clone",
        5,
    ),
    "step of another package": (
        {"pull": "[{not_there.step: {}}]"}, "pull[0].not_there.step", "not installed", 5,
    ),
    "two keys in a step": ({"pull": "[{a.b: {}, c.d: {}}]"}, "pull[0]", "has the keys", 5),
    "input of a step": (
        {"pull": "[{prefect.deployments.steps.set_working_directory: {directory: /x, dir: 1}}]"},
        "pull[0].prefect.deployments.steps.set_working_directory.dir",
        "takes no input 'dir'",
        5,
    ),
    "missing input": (
        {"pull": "[{prefect.deployments.steps.git_clone: {branch: x}}]"},
        "pull[0].prefect.deployments.steps.git_clone",
        "needs the input 'repository'",
        5,
    ),
    "hostile address": (
        {"pull": "[{prefect.deployments.steps.git_clone: {repository: 'ext::sh'}}]"},
        "pull[0].prefect.deployments.steps.git_clone.repository",
        "remote helper",
        5,
    ),
    "token in clear": (
        {"pull": "[{prefect.deployments.steps.git_clone: {repository: 'h:x', access_token: t}}]"},
        "pull[0].prefect.deployments.steps.git_clone.access_token",
        "in clear",
        5,
    ),
    "output of no step": ({"description": "'{{ it.x }}'"}, "description", "no step runs", 5),
    "unknown step id": (
        {
            "build": "[{prefect.deployments.steps.run_shell_script: {id: it, script: ls}}]",
            "description": "'{{ that.stdout }}'",
        },
        "description",
        "has this id",
        6,
    ),
    "no pool": ({"work_pool": "{}"}, "", "has no work pool", 2),
    "trigger": ({"triggers": "[{type: maybe}]"}, "triggers[0].type", "event, metric", 5),
}  # fmt: skip


@pytest.mark.parametrize(("given", "key", "said", "line"), ONE.values(), ids=ONE)
def test_one_thing_is_wrong(
    given: dict[str, str], key: str, said: str, line: int, tmp_path: Path
) -> None:
    found = problems(tmp_path, entry(**given))
    errors = [one for one in found if one.level == "error"]
    assert len(errors) == 1, [str(one) for one in found]
    [error] = errors
    assert error.key == "deployments[0]" + (f".{key}" if key else "")
    assert said in str(error)
    assert error.line == line


def test_a_schedule_that_needs_a_parameter_is_warned_of(tmp_path: Path) -> None:
    found = problems(tmp_path, entry(entrypoint="flows.py:count", schedules="[{interval: 5}]"))
    assert [one.level for one in found] == ["warning"]
    assert "needs source" in found[0].message


def test_the_methods_and_objects_of_a_module_are_found(tmp_path: Path) -> None:
    assert problems(tmp_path, entry(entrypoint="flows.py:Of.method")) == []
    assert problems(tmp_path, entry(entrypoint="flows.py:made")) == []
    assert problems(tmp_path, entry(entrypoint="flows:named")) == []


def test_two_deployments_that_would_be_one(tmp_path: Path) -> None:
    text = entry() + entry().removeprefix("deployments:\n")
    [found] = problems(tmp_path, text)
    assert (found.key, found.line) == ("deployments[1].name", 5)


def test_what_the_rules_of_schedules_say_is_placed(tmp_path: Path) -> None:
    text = entry(schedules="\n    - cron: '0 1 * * *'\n    - cron: 'x'\n      timezone: Mars")
    rules = Known(lambda one: "is not a time zone" if one.timezone == "Mars" else None)
    [found] = problems(tmp_path, text, rules)
    assert (found.key, found.line) == ("deployments[0].schedules[1].timezone", 8)


def test_a_server_is_asked_once_for_each_thing(tmp_path: Path) -> None:
    asked: list[tuple[str, ...]] = []

    def block(slug: str, name: str) -> bool:
        asked.append((slug, name))
        return name == "here"

    text = entry(
        parameters="{a: '{{ prefect.blocks.secret.gone }}', b: '{{penstock.blocks.secret.here}}'}",
        tags="['{{ prefect.blocks.secret.gone }}', '{{ prefect.variables.v }}']",
    )
    rules = known(pools=frozenset({"q"}), block=block, variable=lambda name: False)
    found = problems(tmp_path, text, rules)
    said = [(one.key.removeprefix("deployments[0]."), one.level) for one in found]
    assert said == [
        ("work_pool.name", "error"),
        ("parameters.a", "error"),
        ("tags[0]", "error"),
        ("tags[1]", "warning"),
    ]
    assert sorted(asked) == [("secret", "gone"), ("secret", "here")]


def test_merged_and_aliased_values_are_placed_where_they_stand(tmp_path: Path) -> None:
    text = (
        "definitions:\n  base: &base\n    paused: perhaps\n  pool: &pool\n    nmae: p\n"
        "deployments:\n- <<: *base\n  name: a\n  entrypoint: flows.py:named\n  work_pool: *pool\n"
    )
    found = {one.key: one.line for one in problems(tmp_path, text, known(default_pool="p"))}
    assert found["deployments[0].paused"] == 3
    assert found["deployments[0].work_pool.nmae"] == 5


def test_the_file_in_the_guide_is_right(tmp_path: Path) -> None:
    guide = Path(__file__).parents[4] / "docs" / "how-to" / "deploy.md"
    text = guide.read_text().partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "load.py").write_text("@flow\ndef load(source): ...\n")
    assert [str(one) for one in problems(tmp_path, text)] == []
