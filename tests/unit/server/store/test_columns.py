from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from penstock.server.store.columns import RowMaker, converter, instant, microseconds


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_and_its_microseconds_are_the_same_thing(moment: datetime) -> None:
    assert instant(microseconds(moment)) == moment


@given(st.integers(-60_000_000_000_000_000, 250_000_000_000_000_000))
def test_microseconds_survive_being_an_instant(value: int) -> None:
    assert microseconds(instant(value)) == value


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("created", instant),
        ("state_timestamp", instant),
        ("cache_expiration", instant),
        ("state_details", Raw),
        ("state_state_details", Raw),
        ("state_data", Raw),
        ("parameters", Raw),
        ("auto_scheduled", bool),
        ("name", None),
        ("state_type", None),
        ("flow_run_run_count", None),
        ("total_run_time", None),
        ("metadata", None),
        ("id", None),
    ],
)
def test_a_column_is_what_its_name_says(column: str, kind: object) -> None:
    assert converter(column) is kind


def test_a_row_has_its_names_in_order_and_its_values_converted() -> None:
    maker = RowMaker(["id", "created", "tags", "auto_scheduled", "end_time", "state_data"])
    row = maker.row(("x", 1_000_000, '["a"]', 1, None, None))
    assert list(row) == ["id", "created", "tags", "auto_scheduled", "end_time", "state_data"]
    assert row["created"] == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert bytes(row["tags"]) == b'["a"]'
    assert row["auto_scheduled"] is True
    assert row["end_time"] is None
    assert row["state_data"] is None
    assert maker.rows([("x", 0, "[]", 0, 1, "1")] * 2)[1]["auto_scheduled"] is False


def test_a_row_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="unpack"):
        RowMaker(["a", "b"]).row(("only one",))
