"""What does not fit a schema, told at the place in the values where it is."""

from collections.abc import Iterable

from penstock.schemas.ui import SchemaValueError


def as_tree(found: Iterable[tuple[list[str | int], str]]) -> list[str | SchemaValueError]:
    """Pairs of path and text as nested members and items; one entry for each place, sorted."""
    texts: list[str | SchemaValueError] = []
    inner: dict[str | int, list[tuple[list[str | int], str]]] = {}
    for path, text in found:
        if path:
            inner.setdefault(path[0], []).append((path[1:], text))
        else:
            texts.append(text)
    for step in sorted(inner, key=lambda step: (isinstance(step, str), step)):
        errors = as_tree(inner[step])
        if isinstance(step, int):
            texts.append(SchemaValueError(index=step, errors=errors))
        else:
            texts.append(SchemaValueError(property=step, errors=errors))
    return texts
