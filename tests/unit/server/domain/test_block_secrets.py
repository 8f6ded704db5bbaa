"""Where secrets are in a document's data, hiding them, and keeping hidden ones."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.server.domain.block_secrets import (
    masked,
    public_texts,
    secret_paths,
    unmasked,
)
from penstock.server.domain.redaction import HIDDEN


def paths(*fields: Any):
    return secret_paths({"secret_fields": list(fields)})


def test_paths_are_read_once_each_and_only_from_a_list_of_texts():
    assert paths("a.b", "a.b", 3, "c.*") == (("a", "b"), ("c", "*"))
    assert secret_paths({"secret_fields": "a"}) == secret_paths({}) == ()


MASKED: list[tuple[str, Any, Any]] = [
    ("a", {"a": "x", "b": "y"}, {"a": HIDDEN, "b": "y"}),
    ("a", {"a": {"deep": 1}}, {"a": HIDDEN}),
    ("a", {"a": None}, {"a": None}),
    ("a", {"a": 0}, {"a": HIDDEN}),
    ("a.b", {"a": {"b": "x", "c": 1}}, {"a": {"b": HIDDEN, "c": 1}}),
    ("a.*", {"a": {"b": "x", "c": 1}}, {"a": {"b": HIDDEN, "c": HIDDEN}}),
    ("a.b", {"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": HIDDEN}, {"b": HIDDEN}]}),
    ("a.b", {"a": "text"}, {"a": "text"}),
    ("z", {"a": 1}, {"a": 1}),
]


@pytest.mark.parametrize(("path", "data", "wanted"), MASKED)
def test_masking(path: str, data: Any, wanted: Any):
    assert masked(data, paths(path)) == wanted


KEPT: list[tuple[str, Any, Any, Any]] = [
    ("a", {"a": HIDDEN}, {"a": "old"}, {"a": "old"}),
    ("a", {"a": "new"}, {"a": "old"}, {"a": "new"}),
    ("a", {"a": HIDDEN}, {}, {}),
    ("a.b", {"a": {"b": HIDDEN, "c": 2}}, {"a": {"b": "x", "c": 1}}, {"a": {"b": "x", "c": 2}}),
    ("a.*", {"a": {"n": "1", "b": HIDDEN}}, {"a": {"b": "x"}}, {"a": {"n": "1", "b": "x"}}),
    ("a.b", {"a": [{"b": HIDDEN}]}, {"a": [{"b": 1}]}, {"a": [{"b": 1}]}),
    ("a.b", {"a": [{"b": HIDDEN}]}, {"a": []}, {"a": [{}]}),
    ("b", {"a": HIDDEN}, {"a": "old"}, {"a": HIDDEN}),
]


@pytest.mark.parametrize(("path", "new", "old", "wanted"), KEPT)
def test_masked_values_keep_what_was_there(path: str, new: Any, old: Any, wanted: Any):
    assert unmasked(new, old, paths(path)) == wanted


NAMES = st.sampled_from("abc")
VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=8,
)
PATHS = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "*"]), min_size=1, max_size=3).map(".".join),
    max_size=1,
)


# The first draw is slow on a busy machine, the test itself is not.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAMES, VALUES, max_size=3), PATHS)
def test_what_was_masked_comes_back_as_it_was(data: dict[str, Any], fields: list[str]):
    at = paths(*fields)
    assert unmasked(masked(data, at), data, at) == data


def test_only_outermost_texts_without_secrets_are_public():
    data = {"host": "h", "port": 5, "url": "u", "token": "t", "auth": {"x": "y"}, "none": None}
    assert public_texts(data, paths("url", "auth.x")) == {"host": "h"}
    assert public_texts(data, paths("*")) == {}
