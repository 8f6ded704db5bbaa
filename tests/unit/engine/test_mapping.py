"""What a map call means."""

from uuid import uuid4

import pytest

from penstock.annotations import allow_failure, quote, unmapped
from penstock.engine.mapping import elements
from penstock.engine.params import Signature
from penstock.futures import PenstockConcurrentFuture
from penstock.result_records import ResultRecord
from penstock.schemas.errors import MappingLengthMismatch, MappingMissingIterable
from penstock.states import Completed


def rows(fn, *args, **kwargs):
    signature = Signature(fn, "task 't'")
    return list(elements(signature, signature.bind(args, kwargs, defaults=False)))


def test_iterables_go_side_by_side_and_the_rest_repeats():
    assert rows(lambda a, b, c: 0, [1, 2], "xy", range(2)) == [
        {"a": 1, "b": "xy", "c": 0},
        {"a": 2, "b": "xy", "c": 1},
    ]


def test_unmapped_iterables_repeat():
    assert rows(lambda a, b: 0, [1, 2], unmapped([3])) == [{"a": 1, "b": [3]}, {"a": 2, "b": [3]}]


def test_defaults_are_not_elements():
    assert rows(lambda a, b=(1, 2, 3): 0, [1]) == [{"a": 1, "b": (1, 2, 3)}]


def test_marks_are_put_around_each_element():
    (row,) = rows(lambda a, b: 0, allow_failure([1]), quote(unmapped([2])))
    assert row == {"a": allow_failure(1), "b": quote([2])}
    assert type(row["a"]) is allow_failure
    assert type(row["b"]) is quote


def test_keyword_collections_are_mapped_by_member():
    assert rows(lambda a, **rest: 0, 1, x=[1, 2], y="k") == [
        {"a": 1, "rest": {"x": 1, "y": "k"}},
        {"a": 1, "rest": {"x": 2, "y": "k"}},
    ]


def test_a_future_at_the_top_is_waited_for():
    future = PenstockConcurrentFuture(uuid4())
    future.complete(Completed(data=ResultRecord([1, 2])))
    assert rows(lambda a: 0, future) == [{"a": 1}, {"a": 2}]


def test_lengths_must_match():
    with pytest.raises(MappingLengthMismatch, match=r"'a': 1, 'b': 2"):
        rows(lambda a, b: 0, [1], [1, 2])


def test_something_must_be_iterable():
    with pytest.raises(MappingMissingIterable, match="submit"):
        rows(lambda a, b: 0, "text", 1)
