"""What an event must be like for a trigger to look at it.

Values of labels are glob patterns over the whole value (`*`, `?`, `[...]`), case-sensitive; those
of one label are alternatives, and a leading `!` negates that one value. A label that a resource
lacks matches nothing. Names of events are literal but for `*`, which stands for one or more
characters.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import translate

from penstock.schemas.events import RESOURCE_ROLE, Resource, Specification

Test = Callable[[str], bool]
ResourceTest = Callable[[Mapping[str, str]], bool]


def name_test(patterns: Iterable[str]) -> Test:
    """Whether a name is one of the patterns."""
    literal = frozenset(pattern for pattern in patterns if "*" not in pattern)
    open_ = [pattern.split("*") for pattern in patterns if "*" in pattern]
    if not open_:
        return literal.__contains__
    return lambda name: name in literal or any(_fits(pieces, name) for pieces in open_)


def _fits(pieces: Sequence[str], name: str) -> bool:
    """Whether the pieces occur in order, at the ends and at least one character apart.

    Each piece takes the first place it can, so the work is bounded by the two lengths.
    """
    first, *middle, last = pieces
    if not name.startswith(first):
        return False
    position = len(first)
    for piece in middle:
        found = name.find(piece, position + 1)
        if found < 0:
            return False
        position = found + len(piece)
    return len(name) - len(last) > position and name.endswith(last)


def resource_test(specification: Specification) -> ResourceTest:
    """Whether a resource has all the labels; nothing specified matches everything."""
    tests = [(label, _value_test(values)) for label, values in specification.items()]

    def test(resource: Mapping[str, str]) -> bool:
        for label, fits in tests:
            value = resource.get(label)
            if value is None or not fits(value):
                return False
        return True

    return test


def _value_test(values: str | list[str]) -> Test:
    tests = [_one_value(value) for value in ([values] if isinstance(values, str) else values)]
    if len(tests) == 1:
        return tests[0]
    return lambda value: any(test(value) for test in tests)


def _one_value(pattern: str) -> Test:
    if pattern.startswith("!"):
        inner = _glob(pattern[1:])
        return lambda value: not inner(value)
    return _glob(pattern)


def _glob(pattern: str) -> Test:
    if not set("*?[") & set(pattern):
        return pattern.__eq__
    compiled = re.compile(translate(pattern))
    return lambda value: compiled.match(value) is not None


def label_value(resource: Resource, related: Sequence[Resource], label: str) -> str:
    """The value that a `for_each` label has in an event; `related:<role>:<label>` is that of the
    first related resource in the role. A missing one is the empty text."""
    if label.startswith("related:"):
        _, _, rest = label.partition(":")
        role, colon, name = rest.partition(":")
        if colon:
            for one in related:
                if one.get(RESOURCE_ROLE) == role:
                    return one.get(name, "")
            return ""
    return resource.get(label, "")
