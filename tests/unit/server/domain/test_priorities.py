"""Places of queues."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.server.domain.priorities import first_free, shifted


def test_the_first_free_place() -> None:
    assert first_free([]) == 1
    assert first_free([1, 2, 4]) == 3
    assert first_free([2, 3]) == 1


def test_only_those_up_to_the_first_gap_move() -> None:
    assert shifted({"a": 1, "b": 2, "c": 4}, 1) == {"a": 2, "b": 3}
    assert shifted({"a": 1, "b": 2, "c": 4}, 2) == {"b": 3}
    assert shifted({"a": 1, "b": 2, "c": 4}, 3) == {}


@given(
    st.sets(st.integers(1, 12)).map(lambda taken: {f"q{place}": place for place in taken}),
    st.integers(1, 14),
)
def test_afterwards_the_place_is_free_and_the_order_is_kept(
    places: dict[str, int], wanted: int
) -> None:
    after = {**places, **shifted(places, wanted)}
    assert wanted not in after.values()
    assert len(set(after.values())) == len(after)
    assert sorted(places, key=places.__getitem__) == sorted(after, key=after.__getitem__)
    assert all(after[name] - place in (0, 1) for name, place in places.items())
