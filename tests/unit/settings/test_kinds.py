from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.settings.kinds import (
    Boolean,
    Choice,
    Delays,
    Duration,
    DurationMap,
    FilePath,
    Integer,
    Kind,
    Number,
    SecretText,
    StatusCodes,
    Text,
    TextList,
    TextMap,
    TextSet,
    Vacuum,
)
from penstock.settings.secret import Secret

WORDS = st.text(st.characters(codec="utf-8", exclude_characters=",\x00"), min_size=1).filter(
    lambda word: word == word.strip() and bool(word)
)
SPANS = st.timedeltas(timedelta(days=-10_000), timedelta(days=10_000))
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Boolean(), st.booleans()),
        (Integer(), st.integers()),
        (Number(), FINITE),
        (Text(), WORDS),
        (SecretText(), WORDS.map(Secret)),
        (Duration(), SPANS),
        (TextSet(), st.frozensets(WORDS)),
        (TextList(), st.lists(WORDS).map(tuple)),
        (StatusCodes(), st.frozensets(st.integers(100, 599))),
        (TextMap(), st.dictionaries(st.text(), st.text())),
        (
            Delays(),
            st.integers(0, 10**9) | st.lists(st.integers(0, 999), min_size=1).map(tuple),
        ),
        (Vacuum(), st.frozensets(st.sampled_from(sorted(Vacuum.RECORDS)))),
        (Choice("warn", "error"), st.sampled_from(["warn", "error"])),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Kind) else "",
)
def test_what_a_kind_writes_it_reads_back(kind: Kind, values: st.SearchStrategy[Any]) -> None:
    @given(values)
    def holds(value: Any) -> None:
        again = kind.parse(kind.render(value))
        assert (dict(again) if isinstance(again, Mapping) else again) == value

    holds()


@pytest.mark.parametrize("word", ["true", "TRUE", "1", "yes", "On", " y "])
def test_words_for_true(word: str) -> None:
    assert Boolean().parse(word) is True


@pytest.mark.parametrize("word", ["false", "0", "no", "OFF", "n"])
def test_words_for_false(word: str) -> None:
    assert Boolean().parse(word) is False


@pytest.mark.parametrize(
    ("kind", "raw", "reason"),
    [
        (Boolean(), "maybe", "neither true nor false"),
        (Integer(), "1.5", "whole number"),
        (Integer(), 1.5, "whole number"),
        (Integer(), True, "whole number"),
        (Integer(ge=0), "-1", "less than 0"),
        (Integer(gt=0), 0, "not greater than 0"),
        (Integer(le=9), 10, "greater than 9"),
        (Number(), "nan", "finite"),
        (Number(), "inf", "finite"),
        (Number(), True, "not a number"),
        (Text(), [], "not a text"),
        (Text(), None, "no value"),
        (SecretText(), True, "not a text"),
        (FilePath(), "", "not a path"),
        (Choice("warn", "error"), "loud", "not in the list"),
        (Duration(), "soon", "not a duration"),
        (Duration(), "3 4", "not a duration"),
        (Duration(), "5m1d", "not a duration"),
        (Duration(), "P", "not a duration"),
        (Duration(), "1:2:3:4", "not a duration"),
        (Duration(), "1e400", "not a duration"),
        (Duration(gt=3600), 3600, "not greater than 3600"),
        (StatusCodes(), "99", "no HTTP status"),
        (StatusCodes(), "600", "no HTTP status"),
        (StatusCodes(), "x", "whole number"),
        (TextMap(), "[1]", "not an object"),
        (TextMap(), "{", "not JSON"),
        (TextMap(), '{"a": 1}', "all texts"),
        (DurationMap(), '{"a": 0}', "not longer than zero"),
        (DurationMap(), '{"a": "x"}', "not a duration"),
        (Delays(), "-1", "at least 0"),
        (Delays(), "[]", "at least 0"),
        (Vacuum(), "artifacts", "cannot be removed"),
    ],
)
def test_a_wrong_value_is_refused_with_its_reason(kind: Kind, raw: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        kind.parse(raw)


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        (15, 15),
        ("15", 15),
        ("0.25", 0.25),
        ("-1.5", -1.5),
        ("15s", 15),
        ("2m", 120),
        ("1d 2h 3m 4.5s", 93_784.5),
        ("01:30", 5_400),
        ("00:00:15", 15),
        ("2 days, 1:00:00", 176_400),
        ("1 day 0:00:01", 86_401),
        ("P7D", 604_800),
        ("P1W", 604_800),
        ("PT15M", 900),
        ("p1dt2h", 93_600),
        ("-PT1S", -1),
        (timedelta(seconds=3), 3),
    ],
)
def test_ways_to_write_a_duration(raw: Any, seconds: float) -> None:
    assert Duration().parse(raw).total_seconds() == seconds


@pytest.mark.parametrize(
    ("raw", "value"),
    [("3", 3), ("0.5", 0.5), ("1,2.5", (1, 2.5)), ("[4]", (4,)), ([1, 2], (1, 2)), (7, 7)],
)
def test_ways_to_write_delays(raw: Any, value: Any) -> None:
    assert Delays().parse(raw) == value


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("true", {"events", "flow_runs"}),
        (True, {"events", "flow_runs"}),
        ("false", set()),
        ("none", set()),
        ("events", {"events"}),
        (["flow_runs"], {"flow_runs"}),
    ],
)
def test_ways_to_switch_retention(raw: Any, value: set[str]) -> None:
    assert Vacuum().parse(raw) == value


def test_optional_kinds_read_nothing_as_none() -> None:
    for nothing in (None, "", "  "):
        assert Integer(optional=True).parse(nothing) is None
    assert Integer(optional=True).render(None) == ""


def test_a_choice_keeps_the_spelling_of_the_list() -> None:
    assert Choice("DEBUG", "INFO").parse("debug") == "DEBUG"


def test_a_path_may_begin_with_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert FilePath().parse("~/x") == Path("/somewhere/x")


def test_descriptions_say_what_is_allowed() -> None:
    assert Integer(ge=1, le=3).description == "a whole number of at least 1 and at most 3"
    assert Number(gt=0, optional=True).description == "a number greater than 0, or nothing"
    assert Choice("a", "b").description == "one of a, b"


def test_mappings_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TextMap().parse({"a": "b"})["a"] = "c"
