"""From entries and options to what is sent to the API."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from msgspec import UNSET

from penstock.deployments.project.resolve import (
    Options,
    fields_of,
    left_over,
    merged,
    schedules_of,
    schedules_to_send,
    unknown_parameters,
)
from penstock.schemas.deployments import DeploymentSchedule, VersionInfo
from penstock.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule

NOW = datetime(2026, 1, 31, tzinfo=UTC)
FLOW = SimpleNamespace(name="etl", version="v-of-flow", description="of the flow")


def test_without_options_the_entry_stays() -> None:
    entry = {"name": "a", "schedule": {"interval": 5}, "concurrency_limit": 3}
    assert merged(entry, Options()) == entry


def test_options_replace_texts_and_add_to_mappings() -> None:
    entry = {
        "description": "d",
        "tags": ["a"],
        "parameters": {"x": 1, "y": 2},
        "work_pool": {"name": "p", "job_variables": {"env": {"A": "1"}, "image": "i"}},
    }
    options = Options(
        description="new",
        tags=("b",),
        parameters={"y": 3},
        job_variables={"image": "j"},
        work_queue_name="q",
    )
    made = merged(entry, options)
    assert made["description"] == "new"
    assert made["tags"] == ["b"]
    assert made["parameters"] == {"x": 1, "y": 3}
    assert made["work_pool"] == {
        "name": "p",
        "work_queue_name": "q",
        "job_variables": {"env": {"A": "1"}, "image": "j"},
    }
    assert entry["parameters"] == {"x": 1, "y": 2}, "the entry itself is not changed"


def test_schedules_are_added_to_those_of_the_entry() -> None:
    entry = {"schedule": {"interval": 60}}
    options = Options(cron=("0 1 * * *",), timezone="Europe/Berlin", anchor_date="2026-01-01")
    assert merged(entry, options) == {
        "schedules": [
            {"interval": 60, "timezone": "Europe/Berlin", "anchor_date": "2026-01-01"},
            {"cron": "0 1 * * *", "timezone": "Europe/Berlin"},
        ]
    }


@pytest.mark.parametrize(
    ("before", "limit", "strategy", "after"),
    [
        (None, 3, None, 3),
        (5, None, "CANCEL_NEW", {"limit": 5, "collision_strategy": "CANCEL_NEW"}),
        ({"limit": 5, "grace_period_seconds": 60}, 2, None,
         {"limit": 2, "grace_period_seconds": 60}),
    ],
)  # fmt: skip
def test_limits(before: Any, limit: int | None, strategy: str | None, after: Any) -> None:
    options = Options(concurrency_limit=limit, collision_strategy=strategy)
    assert merged({"concurrency_limit": before}, options)["concurrency_limit"] == after


def test_every_kind_of_schedule() -> None:
    made = schedules_of(
        {
            "schedules": [
                {"cron": "0 1 * * *", "day_or": False, "timezone": "UTC", "slug": "s"},
                {"interval": 60, "anchor_date": "2026-01-31T00:00:00", "active": False},
                {"rrule": '{"rrule": "FREQ=DAILY", "timezone": "Europe/Berlin"}'},
                {"rrule": "FREQ=DAILY", "parameters": {"a": 1}, "max_scheduled_runs": 3},
                {},
            ]
        }
    )
    assert isinstance(made, list)
    assert [one.schedule for one in made] == [
        CronSchedule(cron="0 1 * * *", day_or=False, timezone="UTC"),
        IntervalSchedule(interval=60, anchor_date=NOW),
        RRuleSchedule(rrule="FREQ=DAILY", timezone="Europe/Berlin"),
        RRuleSchedule(rrule="FREQ=DAILY"),
    ]
    assert [one.active for one in made] == [True, False, True, True]
    assert (made[0].slug, made[3].parameters, made[3].max_scheduled_runs) == ("s", {"a": 1}, 3)


def test_saying_nothing_of_schedules_differs_from_saying_that_there_are_none() -> None:
    assert schedules_of({}) is UNSET
    assert schedules_of({"schedules": None}) is UNSET
    assert schedules_of({"schedules": []}) == []
    assert schedules_of({"schedule": {}}) == []


def stored(**of: Any) -> DeploymentSchedule:
    return DeploymentSchedule(id=UUID(int=1), created=NOW, updated=NOW, **of)


def test_schedules_that_are_as_wanted_are_not_sent() -> None:
    entry = {"schedules": [{"interval": 60}, {"cron": "0 1 * * *"}]}
    wanted = schedules_of(entry)
    there = [
        stored(schedule=CronSchedule(cron="0 1 * * *")),
        stored(schedule=IntervalSchedule(interval=60, anchor_date=NOW, timezone="UTC")),
    ]
    assert schedules_to_send(wanted, there) is UNSET
    changed = schedules_to_send(wanted, [there[0]])
    assert isinstance(changed, list)
    assert len(changed) == 2
    assert schedules_to_send([], there) == []
    assert schedules_to_send([], []) is UNSET
    assert schedules_to_send(UNSET, there) is UNSET


def test_a_rule_with_the_beginning_that_a_server_assumes_is_the_same() -> None:
    wanted = schedules_of({"schedules": [{"rrule": "FREQ=DAILY"}]})
    rule = RRuleSchedule(rrule="DTSTART:20200101T000000\nFREQ=DAILY")
    assert schedules_to_send(wanted, [stored(schedule=rule)]) is UNSET
    other = RRuleSchedule(rrule="DTSTART:20210101T000000\nFREQ=DAILY")
    assert schedules_to_send(wanted, [stored(schedule=other)]) is not UNSET


def test_what_becomes_of_dates_that_passed() -> None:
    rule = CronSchedule(cron="0 1 * * *")
    latest = schedules_of({"schedules": [{"cron": "0 1 * * *", "catch_up": "latest"}]})
    silent = schedules_of({"schedules": [{"cron": "0 1 * * *"}]})
    assert schedules_to_send(latest, [stored(schedule=rule, catch_up="latest")]) is UNSET
    assert schedules_to_send(silent, [stored(schedule=rule, catch_up="all")]) is UNSET
    none = schedules_of({"schedules": [{"cron": "0 1 * * *", "catch_up": 0}]})
    assert schedules_to_send(none, [stored(schedule=rule)]) is not UNSET
    [set_] = schedules_to_send(latest, [stored(schedule=rule)]) or [None]
    assert set_ is not None
    assert set_.catch_up == "latest"
    [reset] = schedules_to_send(silent, [stored(schedule=rule, catch_up=60.0)]) or [None]
    assert reset is not None
    assert reset.catch_up == "all"
    [plain] = schedules_to_send(silent, [stored(schedule=rule), stored(schedule=rule)]) or [None]
    assert plain is not None
    assert plain.catch_up is UNSET, "other servers do not know it"


def test_schedules_that_an_update_by_slug_would_leave() -> None:
    rule = CronSchedule(cron="0 1 * * *")
    there = [
        stored(schedule=rule, slug="a"),
        stored(schedule=rule),
        stored(schedule=rule, slug="b"),
    ]
    wanted = schedules_of({"schedules": [{"cron": "0 2 * * *", "slug": "a"}]})
    assert left_over(wanted, there) == there[1:]
    assert left_over(schedules_of({"schedules": [{"cron": "0 2 * * *"}]}), there) == []
    assert left_over(UNSET, there) == []


def test_what_the_file_leaves_out_is_sent_as_empty() -> None:
    fields = fields_of({"entrypoint": "f.py:f"}, FLOW, {"properties": {}}, [])
    assert fields == {
        "entrypoint": "f.py:f",
        "description": "of the flow",
        "version": None,
        "tags": [],
        "parameters": {},
        "parameter_openapi_schema": {"properties": {}},
        "enforce_parameter_schema": True,
        "concurrency_limit": None,
        "concurrency_options": None,
        "work_pool_name": None,
        "work_queue_name": None,
        "job_variables": {},
        "pull_steps": [],
        "path": None,
    }


def test_what_the_file_says_is_sent() -> None:
    entry = {
        "entrypoint": "f.py:f",
        "description": "mine",
        "tags": "single",
        "paused": False,
        "enforce_parameter_schema": False,
        "concurrency_limit": {"limit": 2, "collision_strategy": "CANCEL_NEW"},
        "parameters": {"day": NOW.date(), 5: [NOW]},
    }
    version = VersionInfo(type="vcs:git", version="3")
    fields = fields_of(entry, FLOW, {}, [], version)
    assert fields["description"] == "mine"
    assert (fields["version"], fields["version_info"]) == ("3", version)
    assert fields["tags"] == ["single"]
    assert fields["paused"] is False
    assert fields["enforce_parameter_schema"] is False
    assert fields["concurrency_limit"] == 2
    assert fields["concurrency_options"].collision_strategy == "CANCEL_NEW"
    assert fields["parameters"] == {"day": "2026-01-31", "5": ["2026-01-31T00:00:00+00:00"]}


def test_parameters_that_a_flow_does_not_take() -> None:
    schema = {"properties": {"a": {}}}
    assert unknown_parameters({"parameters": {"a": 1, "b": 2}}, schema) == ["b"]
    assert unknown_parameters({"parameters": {"b": 2}}, {"additionalProperties": True}) == []
