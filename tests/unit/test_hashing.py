"""Digests of values."""

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.hashing import file_hash, hash_objects, stable_hash
from penstock.schemas.errors import HashError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.frozensets(st.text()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(values, values)
def test_equal_values_and_only_they_have_one_digest(one, other):
    assert hash_objects(one) == hash_objects(one)
    # Python says True == 1; a task may well tell them apart, and so does the digest.
    if repr(one) != repr(other) and one != other:
        assert hash_objects(one) != hash_objects(other)


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_of_keys_does_not_matter(mapping):
    assert hash_objects(mapping) == hash_objects(dict(reversed(mapping.items())))


def test_numbers_and_their_texts_as_keys_differ():
    assert hash_objects({1: "a"}) != hash_objects({"1": "a"})
    assert hash_objects([{True: "a"}]) != hash_objects([{"true": "a"}])


def test_arguments_and_keywords_count():
    assert hash_objects(1, 2) != hash_objects(2, 1)
    assert hash_objects(1, a=2) != hash_objects(1, b=2)


def test_a_value_that_is_not_json_is_hashed_by_its_pickle():
    class Local:
        def __init__(self, x):
            self.x = x

    assert hash_objects(Local(1)) == hash_objects(Local(1))
    assert hash_objects(Local(1)) != hash_objects(Local(2))
    assert hash_objects(lambda: 1) is not None


def test_a_value_without_any_form_has_no_digest():
    class Stubborn:
        def __reduce__(self):
            raise RuntimeError("not me")

    assert hash_objects(Stubborn()) is None
    with pytest.raises(HashError, match="not me"):
        hash_objects(Stubborn(), raise_on_failure=True)


def test_texts_and_files(tmp_path):
    (tmp_path / "file").write_bytes(b"ab")
    assert stable_hash("a", b"b") == stable_hash("ab") == file_hash(tmp_path / "file")
    assert stable_hash("a") == "0cc175b9c0f1b6a831c399e269772661"


@pytest.mark.parametrize("seed", ["0", "1", "12345"])
def test_digests_are_the_same_in_every_process(seed):
    code = (
        "from penstock.hashing import hash_objects\n"
        "import datetime, uuid\n"
        "print(hash_objects({'b', 'a', 'c'}, frozenset({1, 2, 3}), x=datetime.date(2026, 1, 1),"
        " y={'k': [1.5, None, uuid.UUID(int=1)]}))\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "ad4bc8a803a03788809d0091d42e4afd"
