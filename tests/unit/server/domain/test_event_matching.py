"""The rules in examples; that the database follows them too is shown in `tests/store`."""

from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.schemas.events import Event, EventFilter
from penstock.server.domain.event_matching import matcher, matches

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EVENT = Event(
    occurred=NOW,
    event="prefect.flow-run.Running",
    resource={"prefect.resource.id": "prefect.flow-run.1", "prefect.resource.name": "Brave_Otter"},
    related=[
        {"prefect.resource.id": "prefect.flow.7", "prefect.resource.role": "flow", "team": "a"},
        {"prefect.resource.id": "prefect.tag.x", "prefect.resource.role": "tag", "team": "b*"},
    ],
    payload={"intended": {"to": "RUNNING"}, "note": 'say "hi"'},
)


def chosen(**members: Any) -> bool:
    bounds = {"since": NOW - timedelta(days=1), "until": NOW + timedelta(days=1)}
    given = msgspec.convert({"occurred": bounds, **members}, EventFilter)
    return matches(given, EVENT)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, True),
        ({"occurred": {"since": NOW, "until": NOW}}, True),
        ({"occurred": {"since": NOW + timedelta(seconds=1), "until": NOW}}, False),
        ({"id": {"id": []}}, True),
        ({"id": {"id": [str(EVENT.id)]}}, True),
        ({"id": {"id": ["0190a0b0-0000-7000-8000-000000000001"]}}, False),
        ({"event": {"name": ["prefect.flow-run.Running"]}}, True),
        ({"event": {"name": []}}, True),
        ({"event": {"prefix": ["prefect.flow-run.", "x"]}}, True),
        ({"event": {"prefix": ["prefect_flow"]}}, False),
        ({"event": {"prefix": ["prefect."], "exclude_prefix": ["prefect.flow-run"]}}, False),
        ({"event": {"exclude_name": ["prefect.flow-run.Running"]}}, False),
        ({"resource": {"id": ["prefect.flow-run.1"]}}, True),
        ({"resource": {"id": ["prefect.flow.7"]}}, False),
        ({"resource": {"id_prefix": ["prefect.flow-run."]}}, True),
        ({"resource": {"labels": {"prefect.resource.name": "Brave_*"}}}, True),
        ({"resource": {"labels": {"prefect.resource.name": "Brave?Otter"}}}, True),
        ({"resource": {"labels": {"prefect.resource.name": "brave*"}}}, False),
        ({"resource": {"labels": {"prefect.resource.name": "!Brave*"}}}, False),
        ({"resource": {"labels": {"prefect.resource.name": ["x", "!x"]}}}, True),
        ({"resource": {"labels": {"prefect.resource.name": []}}}, False),
        ({"resource": {"labels": {"missing": "!x"}}}, False),
        ({"related": {}}, True),
        ({"related": {"role": ["flow"], "labels": {"team": "a"}}}, True),
        ({"related": {"role": ["flow"], "labels": {"team": "b*"}}}, False),
        ({"related": [{"role": ["flow"]}, {"labels": {"team": "b?"}}]}, True),
        ({"related": {"resources_in_roles": [["prefect.flow.7", "flow"]]}}, True),
        ({"related": {"resources_in_roles": [["prefect.flow.7", "tag"]]}}, False),
        ({"related": {"labels": {"prefect.resource.role": "f*"}}}, False),
        ({"related": {"labels": {"prefect.resource.role": ["flow", "x"]}}}, True),
        ({"any_resource": {"id": ["prefect.flow.7"]}}, True),
        ({"any_resource": {"id": ["prefect.flow-run.1"]}}, True),
        ({"any_resource": {"id": ["prefect.flow.7"], "labels": {"team": "b*"}}}, False),
        ({"any_resource": [{"id_prefix": ["prefect.tag"]}, {"id_prefix": ["prefect.flow"]}]}, True),
        ({"text": {"query": "running"}}, True),
        ({"text": {"query": "BRAVE_OTTER"}}, True),
        ({"text": {"query": "nothing else"}}, False),
        ({"text": {"query": "+running -tag"}}, False),
        ({"text": {"query": '"say \\"hi\\""'}}, True),
        ({"text": {"query": ""}}, True),
    ],
)
def test_examples(members: dict[str, Any], expected: bool) -> None:
    assert chosen(**members) is expected


def labelled(value: str, pattern: str) -> bool:
    event = Event(occurred=NOW, event="e", resource={"prefect.resource.id": value})
    labels = {"labels": {"prefect.resource.id": pattern}}
    given = {"occurred": {"since": NOW, "until": NOW}, "resource": labels}
    return matcher(msgspec.convert(given, EventFilter))(event)


@pytest.mark.parametrize(
    ("value", "pattern", "expected"),
    [
        ("abc", "a*c", True),
        ("ac", "a*c", True),
        ("abcd", "a*c", False),
        ("aba", "ab*ba", False),
        ("abba", "ab*ba", True),
        ("abc", "*", True),
        ("abc", "**b**", True),
        ("abc", "a??", True),
        ("ab", "a??", False),
        ("a\nb", "a*b", True),
        ("a\nb", "a?b", True),
        ("xaybz", "*a?b*", True),
        ("xabz", "*a?b*", False),
        ("a.b", "a.b*", True),
        ("axb", "a.b*", False),
    ],
)
def test_wildcards(value: str, pattern: str, expected: bool) -> None:
    assert labelled(value, pattern) is expected
    assert labelled(value, f"!{pattern}") is not expected


@given(st.text("ab", max_size=8), st.text("ab*?", max_size=6).filter(lambda p: "*" in p))
def test_wildcards_are_those_of_the_shell(value: str, pattern: str) -> None:
    assert labelled(f"-{value}", f"-{pattern}") is fnmatchcase(value, pattern)


def test_a_pattern_of_many_stars_does_not_take_for_ever() -> None:
    assert not labelled("a" * 5_000, "*a" * 40 + "b")
    assert labelled("a" * 5_000, "*a" * 40)
