"""Whatever is written to a project file reads back as the value it was."""

from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.deployments.project.document import Document
from penstock.deployments.project.edit import same
from penstock.deployments.project.writing import flow, member, scalar

WORDS = ["yes", "No", "y", "~", "null", "1", "1.5", "0x1", "1e3", "2020-01-01", "1:30", "<<", "=",
         "- a", "a: b", "a #b", "#a", "{{ x }}", "*a", "&a", "!a", "%a", "@a", "`a", "?", "a\tb",
         " a", "a ", "", "'", '"', "\\", "a\nb", "a\nb\n", "\n", "a\n\n", " a\nb", "a \nb", "é☃",
         "\x85", "\u2028", "\ufeff", "\x07", "---", "...",
         "flows/a.py:f", "0 9 * * *", "[a]"]  # fmt: skip
TEXT = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(VALUES)
def test_a_value_reads_back_in_block_and_in_flow_style(value: Any) -> None:
    for text in ("\n".join(member("k", value, 2)), f"{{k: {flow(value)}}}"):
        assert same(Document(text + "\n").data, {"k": value}), text


@pytest.mark.parametrize("word", WORDS)
def test_text_stays_text(word: str) -> None:
    assert Document("\n".join(member("k", [word, {word: word}], 0)) + "\n").data == {
        "k": [word, {word: word}]
    }


def test_plain_text_is_written_plainly() -> None:
    assert scalar("flows/report.py:report") == "flows/report.py:report"
    assert scalar("A few words, then more") == "A few words, then more"
    assert scalar("0 9 * * *") == '"0 9 * * *"'


def test_what_yaml_has_no_form_for_is_refused() -> None:
    with pytest.raises(TypeError, match="object cannot be written"):
        scalar(object())
    assert scalar(date(2026, 1, 31)) == '"2026-01-31"'
