"""A seal fits what it was made over, and nothing that differs from it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.server.domain import seals

KEY = b"key"
VALUES = st.one_of(st.none(), st.integers(0, 2**60), st.text(max_size=8))
ROWS = st.lists(
    st.tuples(st.text(min_size=1, max_size=4), st.integers(0, 2**60), VALUES, VALUES),
    min_size=1,
    max_size=6,
).map(lambda rows: [(seq * 3, *row) for seq, row in enumerate(rows, 1)])


def findings(segment: seals.Segment, rows: list[tuple]) -> list[tuple[str, int | None]]:
    made = [seals.row_of(row) for row in rows]
    found = seals.examined(segment, made, previous="before", key=KEY)
    return [(one.found, one.seq) for one in found]


def segment_of(rows: list[tuple], key: bytes = KEY) -> seals.Segment:
    made = [seals.row_of(row) for row in rows]
    return seals.sealed(made, number=3, previous="before", key=key, key_id="k")


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_what_was_sealed_fits(rows: list[tuple]) -> None:
    assert findings(segment_of(rows), rows) == []


@settings(max_examples=40, deadline=None)
@given(ROWS, st.data())
def test_every_change_of_a_value_is_found(rows: list[tuple], data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.integers(1, 4))
    row = list(rows[number])
    row[column] = data.draw(VALUES.filter(lambda value: value != rows[number][column]))
    changed = [*rows[:number], tuple(row), *rows[number + 1 :]]
    assert findings(segment_of(rows), changed) == [("altered", row[0])]


@settings(max_examples=40, deadline=None)
@given(ROWS, st.data())
def test_every_row_more_or_less_is_found(rows: list[tuple], data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(rows) - 1))
    segment = segment_of(rows)
    fewer = [*rows[:number], *rows[number + 1 :]]
    assert findings(segment, fewer) == [("missing", rows[number][0])]
    more = [*rows[: number + 1], (rows[number][0] + 1, "x", 1, None, None), *rows[number + 1 :]]
    assert findings(segment, more) == [("inserted", rows[number][0] + 1)]


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_a_seal_by_another_key_or_at_another_place_does_not_fit(rows: list[tuple]) -> None:
    assert findings(segment_of(rows, b"other"), rows) == [("seal", None)]
    moved = seals.sealed(
        [seals.row_of(row) for row in rows], number=3, previous="other", key=KEY, key_id="k"
    )
    assert findings(moved, rows) == [("seal", None)]


def test_values_of_other_types_are_told_apart() -> None:
    rows = [(1, "a", 1, value, None) for value in (None, "null", "None", b"x", "b'x'", 1.0, 1)]
    assert len({seals.row_of(row).digest for row in rows}) == len(rows)
