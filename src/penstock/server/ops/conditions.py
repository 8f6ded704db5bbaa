"""Whether a filter asks for anything, so that a bulk change never means "all" by accident."""

from typing import Any

from msgspec import Struct

from penstock.schemas.errors import RequestInvalid


def has_condition(filter: Any) -> bool:
    """Whether at least one condition of `filter`, at any depth, restricts what matches.

    Null members, the operator, and lists that the filter language ignores (`all_: []`,
    `not_any_: []`, `like_: ""`) restrict nothing; `any_: []` does, it matches nothing.
    """
    if not isinstance(filter, Struct):
        return False
    for name in filter.__struct_fields__:
        value = getattr(filter, name)
        if value is None or name == "operator":
            continue
        if isinstance(value, Struct):
            if has_condition(value):
                return True
        elif name not in ("all_", "not_any_", "like_") or value:
            return True
    return False


def require_condition(filter: Any, member: str) -> None:
    """Refuse a bulk request whose filter `member` would match arbitrary rows."""
    if not has_condition(filter):
        raise RequestInvalid(
            f"{member!r} holds no condition, so this would change arbitrary objects; "
            f'name the objects meant, for instance {{"{member}": {{"id": {{"any_": [...]}}}}}}'
        )
