"""The bases of every wire type: what is open, what is closed, what is a label.

All types are frozen and keyword-only. An absent field of an update is `UNSET` and leaves the
stored value alone; null clears it.
"""

from enum import StrEnum

from msgspec import Struct

Labels = dict[str, bool | int | float | str]


class Entity(Struct, frozen=True, kw_only=True):
    """A type that ignores members it does not know."""


class Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body or filter that refuses members it does not know, so that a typo is an error."""


class Operator(StrEnum):
    """How the conditions of one filter combine."""

    AND = "and_"
    OR = "or_"
