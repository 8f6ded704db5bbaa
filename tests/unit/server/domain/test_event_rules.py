from typing import Any

import pytest

from penstock.base.clock import ManualClock
from penstock.schemas.events import Event
from penstock.server.domain.event_rules import problem, too_large

LABELS = {"prefect.resource.id": "x"}
RELATED = {**LABELS, "prefect.resource.role": "r"}


def event(**fields: Any) -> Event:
    return Event(**{"occurred": ManualClock().now(), "event": "e", "resource": LABELS, **fields})


def test_limits_themselves_are_allowed() -> None:
    labels = {**LABELS, **{str(n): "" for n in range(499)}}
    assert problem(event(event="e" * 1024, resource=labels, related=[RELATED] * 100)) is None
    assert problem(event(event="")) is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"event": "e" * 1025}, "1025 characters"),
        ({"related": [RELATED] * 101}, "101 related"),
        ({"resource": {}}, "prefect.resource.id"),
        ({"resource": {"prefect.resource.id": ""}}, "prefect.resource.id"),
        ({"related": [LABELS]}, "prefect.resource.role"),
        ({"related": [{"prefect.resource.role": "r"}]}, "prefect.resource.id"),
        ({"resource": {**LABELS, **{str(n): "" for n in range(500)}}}, "501 labels"),
        ({"related": [{**RELATED, **{str(n): "" for n in range(499)}}]}, "501 labels"),
    ],
)
def test_what_breaks_a_rule_is_named(fields: dict[str, Any], words: str) -> None:
    reason = problem(event(**fields))
    assert reason is not None
    assert words in reason


def test_size_is_of_the_json_form() -> None:
    assert not too_large(event(payload={"text": "x" * 1_400_000}))
    assert too_large(event(payload={"text": "x" * 1_500_000}))
    assert too_large(event(payload={"text": '"' * 800_000}))
