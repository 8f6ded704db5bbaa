"""The bases of every wire type: what is open, what is closed, what is a label.

All types are frozen and keyword-only. An absent field of an update is `UNSET` and leaves the
stored value alone; null clears it.
"""

from enum import StrEnum
from typing import dataclass_transform

from msgspec import Struct, field

Labels = dict[str, bool | int | float | str]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class Entity(Struct, frozen=True, kw_only=True):
    """A type that ignores members it does not know."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body or filter that refuses members it does not know, so that a typo is an error."""


class Operator(StrEnum):
    """How the conditions of one filter combine."""

    AND = "and_"
    OR = "or_"
