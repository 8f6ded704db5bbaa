"""Marks around arguments."""

import copy
import pickle
from typing import Any

import pytest

from penstock.annotations import Quote, allow_failure, freeze, opaque, quote, unmapped

KINDS: list[Any] = [unmapped, allow_failure, quote, Quote, opaque, freeze]


@pytest.mark.parametrize("kind", KINDS)
def test_an_annotation_holds_one_value_and_gives_it_back(kind):
    mark = kind([1, 2])
    assert issubclass(kind, tuple)
    assert len(mark) == 1
    assert mark.unwrap() == mark.value == [1, 2]
    assert mark.rewrap("x") == kind("x")


@pytest.mark.parametrize("kind", KINDS)
def test_an_annotation_survives_copy_and_pickle(kind):
    mark = kind({"a": 1})
    assert copy.deepcopy(mark) == mark
    assert pickle.loads(pickle.dumps(mark)) == mark
    assert type(pickle.loads(pickle.dumps(mark))) is kind


def test_equality_compares_kind_and_content():
    assert unmapped(1) == unmapped(1)
    assert unmapped(1) != unmapped(2)
    assert unmapped(1) != allow_failure(1)
    assert unmapped(1) != (1,)
    assert len({unmapped(1), allow_failure(1), unmapped(1)}) == 2


def test_unmapped_gives_its_value_at_every_position():
    mark = unmapped("whole")
    assert [mark[i] for i in (0, 1, 99)] == ["whole"] * 3


def test_the_values_of_quote_and_freeze_have_names_of_their_own():
    assert quote(1).unquote() == 1
    assert freeze(1).unfreeze() == 1
    assert isinstance(Quote(1), quote)


def test_the_text_form_says_kind_and_value():
    assert repr(allow_failure("x")) == "allow_failure('x')"
