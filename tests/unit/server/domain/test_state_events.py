"""The event of a flow run's state change."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from penstock.schemas.flow_runs import CreatedBy
from penstock.schemas.states import State, StateDetails, StateType
from penstock.server.domain.state_events import (
    MESSAGE_LENGTH,
    Subject,
    event_name,
    is_followed,
    payload,
    related,
    resource,
    shortened,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SUBJECT = Subject(id="r", name="brisk-otter", run_count=2, flow_id="f", flow_name="etl")


def state(type: StateType = StateType.RUNNING, **fields) -> State:
    return State(type=type, **{"timestamp": NOW, **fields})


@pytest.mark.parametrize("length", [0, MESSAGE_LENGTH])
def test_a_message_that_fits_is_kept(length: int) -> None:
    assert shortened("x" * length) == "x" * length


@pytest.mark.parametrize("excess", [1, 50, 99_999, 900_001])
def test_a_long_message_loses_its_middle(excess: int) -> None:
    message = "a" * 50_000 + "m" * excess + "z" * 50_000
    short = shortened(message)
    assert len(short) <= MESSAGE_LENGTH
    assert len(short) > MESSAGE_LENGTH - 5
    assert short.startswith("a" * 40_000) and short.endswith("z" * 40_000)
    marker = short.strip("amz").strip(".[]")
    removed = int(marker.split()[0])
    kept = len(short) - len(f"...[{removed} characters removed]...")
    assert removed == len(message) - kept


def test_a_missing_message_is_empty_in_the_label_and_absent_in_the_payload() -> None:
    after = state()
    assert resource(SUBJECT, after)["prefect.state-message"] == ""
    assert payload(None, after) == {
        "intended": {"from": None, "to": "RUNNING"},
        "initial_state": None,
        "validated_state": {"type": "RUNNING", "name": "Running"},
    }


def test_a_long_message_is_short_in_both_places() -> None:
    after = state(message="x" * (MESSAGE_LENGTH + 1))
    assert len(resource(SUBJECT, after)["prefect.state-message"]) <= MESSAGE_LENGTH
    assert len(payload(None, after)["validated_state"]["message"]) <= MESSAGE_LENGTH


def test_only_paused_states_say_whether_they_are_rescheduled() -> None:
    suspended = state(StateType.PAUSED, state_details=StateDetails(pause_reschedule=True))
    told = payload(state(StateType.PAUSED), suspended)
    assert told["initial_state"]["pause_reschedule"] == "false"
    assert told["validated_state"]["pause_reschedule"] == "true"
    assert "pause_reschedule" not in payload(None, state())["validated_state"]


def test_the_event_is_named_after_the_state_with_its_spaces() -> None:
    assert event_name(state(name="Custom Name")) == "prefect.flow-run.Custom Name"


def test_related_resources_only_of_what_there_is() -> None:
    assert [entry["prefect.resource.role"] for entry in related(SUBJECT)] == ["flow"]


@pytest.mark.parametrize(
    ("type", "expected"),
    [
        ("AUTOMATION", f"prefect.automation.{UUID(int=5)}"),
        ("DEPLOYMENT", f"prefect.deployment.{UUID(int=5)}"),
        ("SCHEDULE", None),
        (None, None),
    ],
)
def test_the_creator(type: str | None, expected: str | None) -> None:
    created_by = CreatedBy(id=UUID(int=5), type=type, display_value="it")
    subject = Subject(
        id="r", name="n", run_count=0, flow_id="f", flow_name="etl", created_by=created_by
    )
    creators = [entry for entry in related(subject) if entry["prefect.resource.role"] == "creator"]
    if expected is None:
        assert creators == []
    else:
        (creator,) = creators
        assert creator["prefect.resource.id"] == expected
        assert creator["prefect.resource.name"] == "it"


@pytest.mark.parametrize(("seconds", "followed"), [(0, True), (299, True), (300, False)])
def test_only_near_changes_follow_each_other(seconds: int, followed: bool) -> None:
    before, after = state(), state(timestamp=NOW + timedelta(seconds=seconds))
    assert is_followed(before, after) is followed
    assert is_followed(after, before) is followed
