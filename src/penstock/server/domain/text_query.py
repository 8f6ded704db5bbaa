"""The search box grammar of logs and events.

Terms are separated by white space and are alternatives: one of them must occur. `+term` must
occur, `-term` or `!term` must not. Double quotes make a phrase, in which a backslash keeps a
quote or a backslash. A lone sign followed by a space is ignored. Upper and lower case of the
letters A to Z are the same; other letters match only themselves, on every database.
"""

import re
from typing import NamedTuple

_TERM = re.compile(
    r"""
    (?P<sign>[-!+]?)
    (?: "(?P<phrase>(?:[^"\\]|\\.)*)(?:"|$) | (?P<word>[^\s"]+) )
    """,
    re.DOTALL | re.VERBOSE,
)
_ESCAPE = re.compile(r"\\([\"\\])")
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class TextTerms(NamedTuple):
    """A parsed query; every term is folded and not empty."""

    alternatives: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


def folded(text: str) -> str:
    """`text` with A to Z in lower case and nothing else changed."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


def parse(query: str) -> TextTerms:
    """The terms of a query; a query without terms asks for nothing."""
    kinds: dict[str, list[str]] = {"": [], "+": [], "-": [], "!": []}
    for found in _TERM.finditer(query):
        phrase = found["phrase"]
        term = found["word"] if phrase is None else _ESCAPE.sub(r"\1", phrase)
        if term and not (found["sign"] == "" and phrase is None and term in ("-", "!", "+")):
            kinds[found["sign"]].append(folded(term))
    return TextTerms(tuple(kinds[""]), tuple(kinds["+"]), tuple(kinds["-"]) + tuple(kinds["!"]))
