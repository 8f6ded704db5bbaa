"""The places of queues in their pool: 1 is served first, and no two queues share a place."""

from collections.abc import Iterable, Mapping


def first_free(taken: Iterable[int]) -> int:
    """The smallest place from 1 that nobody has."""
    occupied = set(taken)
    place = 1
    while place in occupied:
        place += 1
    return place


def shifted(places: Mapping[str, int], wanted: int) -> dict[str, int]:
    """Who must move, and where to, so that `wanted` is free; the others keep their places.

    Whoever has the place moves to the next one, and so on up to the first gap. Queues that share
    a place are told apart as well.
    """
    moved: dict[str, int] = {}
    next_free = wanted + 1
    for name, place in sorted(places.items(), key=lambda item: (item[1], item[0])):
        if place < wanted:
            continue
        if place >= next_free:
            break
        moved[name] = next_free
        next_free += 1
    return moved
