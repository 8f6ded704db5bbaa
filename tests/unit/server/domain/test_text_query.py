import pytest

from penstock.server.domain.text_query import TextTerms, folded, parse


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("", TextTerms()),
        ("   ", TextTerms()),
        ("disk Full", TextTerms(("disk", "full"))),
        ("+disk -full !slow fast", TextTerms(("fast",), ("disk",), ("full", "slow"))),
        ('"is full" x', TextTerms(("is full", "x"))),
        ('-"is full"', TextTerms((), (), ("is full",))),
        (r'"a \"quoted\" \\ word"', TextTerms(('a "quoted" \\ word',))),
        (r'"a\nb"', TextTerms(("a\\nb",))),
        ("a - b ! c + d", TextTerms(("a", "b", "c", "d"))),
        ('"never closed', TextTerms(("never closed",))),
        ('""', TextTerms()),
        ("--x", TextTerms((), (), ("-x",))),
        ("well-known", TextTerms(("well-known",))),
        ("\ttab\nline", TextTerms(("tab", "line"))),
    ],
)
def test_the_grammar(query: str, terms: TextTerms) -> None:
    assert parse(query) == terms


def test_only_a_to_z_are_folded() -> None:
    assert folded("ABC xyz É \u03a3 1") == "abc xyz É \u03a3 1"
    assert folded("ABC") == "abc"
