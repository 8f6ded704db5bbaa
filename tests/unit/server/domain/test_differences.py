"""Differences between versions of an object can be applied again."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock.server.domain.differences import applied, differences

NAMES = st.text("ab/~", max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.text("xy", max_size=2),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(NAMES, below, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=4)


@given(OBJECTS, OBJECTS)
def test_applying_the_differences_gives_the_later_version(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert applied(before, differences(before, after)) == after


@given(OBJECTS)
def test_equal_versions_do_not_differ(value: dict[str, Any]) -> None:
    assert differences(value, value) == []


def test_paths_are_json_pointers() -> None:
    assert differences({"a/b": {"~c": 1}}, {"a/b": {"~c": 2}, "d": 3}) == [
        {"path": "/a~1b/~0c", "from": 1, "to": 2},
        {"path": "/d", "to": 3},
    ]


def test_a_boolean_and_a_number_differ() -> None:
    assert differences({"a": 1}, {"a": True}) == [{"path": "/a", "from": 1, "to": True}]
