from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from penstock.base import json
from penstock.schemas.shapes import Entity
from penstock.server.store.parameters import adapt, values


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 40


class Point(Entity, frozen=True):
    x: int
    colour: Colour = Colour.RED


class Name(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (7, 7),
        (1.5, 1.5),
        (True, True),
        ("text", "text"),
        (b"bytes", b"bytes"),
        ("a\0b", "a\ufffdb"),
        (Name("a\0"), "a\ufffd"),
        (datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC), 1_000_005),
        (timedelta(seconds=90, milliseconds=500), 90.5),
        (UUID("0190a0b0-0000-7000-8000-000000000001"), "0190a0b0-0000-7000-8000-000000000001"),
        (Colour.RED, "red"),
        (Level.HIGH, 40),
        (Point(x=1), '{"x":1,"colour":"red"}'),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        ([Colour.RED, "b"], '["red","b"]'),
        ((1, 2), "[1,2]"),
        (Raw(b'{"a": 1}'), '{"a": 1}'),
    ],
)
def test_values_become_what_the_database_stores(value: Any, expected: Any) -> None:
    found = adapt(value)
    assert found == expected
    assert type(found) is type(expected)
    assert values(["v"], {"v": value, "other": 1}) == [expected]


def test_what_no_column_can_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="object cannot be a statement parameter"):
        adapt(object())
    with pytest.raises(TypeError, match="set"):
        values(["v"], {"v": {1}})


def test_a_missing_value_is_named() -> None:
    with pytest.raises(KeyError, match="b"):
        values(["a", "b"], {"a": 1})


@given(st.lists(st.text(st.sampled_from('\0\\u0"a'), max_size=8)))
def test_documents_lose_their_nuls_and_nothing_else(texts: list[str]) -> None:
    stored = adapt(Raw(json.encode(texts)))
    assert json.decode(stored) == [text.replace("\0", "\ufffd") for text in texts]
    assert adapt(texts) == stored
