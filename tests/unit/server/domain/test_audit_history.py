"""What an object was follows from what was recorded of it."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.server.domain.audit_history import Recorded, value_after
from penstock.server.domain.differences import differences

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
    lambda inner: st.dictionaries(st.sampled_from("ab/~"), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from("abc/~"), VALUES, max_size=4)


def rows_of(versions: list[dict[str, Any]]) -> list[Recorded]:
    pairs = zip([None, *versions], versions, strict=False)
    return [
        Recorded(before, after, differences(before, after) if before is not None else [])
        for before, after in pairs
    ]


@settings(max_examples=40, deadline=None)
@given(st.lists(OBJECTS, min_size=1, max_size=5))
def test_the_last_version_comes_back(versions: list[dict[str, Any]]) -> None:
    assert value_after(rows_of(versions)) == versions[-1]


@settings(max_examples=40, deadline=None)
@given(st.lists(OBJECTS, min_size=2, max_size=5), st.data())
def test_a_trail_without_its_beginning_still_tells(
    versions: list[dict[str, Any]], data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, len(versions) - 1))
    assert value_after(rows_of(versions)[first:]) == versions[-1]


def test_partial_rows_are_laid_over_what_was_known() -> None:
    rows = [
        Recorded(None, {"name": "brave", "state": "PENDING"}, []),
        Recorded({"state": "PENDING"}, {"state": "RUNNING"}, []),
    ]
    assert value_after(rows) == {"name": "brave", "state": "RUNNING"}


def test_what_is_deleted_is_not_there_until_it_is_made_again() -> None:
    rows = [
        Recorded(None, {"n": 1}, []),
        Recorded({"n": 1}, None, []),
        Recorded(None, {"m": 2}, []),
    ]
    assert value_after(rows[:2]) is None
    assert value_after(rows) == {"m": 2}
    assert value_after([]) is None
