"""Marks around an argument that say how a task or flow takes it.

unmapped       one value for every call of a `map`
allow_failure  take the upstream's exception instead of refusing to run
quote          do not look inside for futures and states, and pass what is inside
opaque         wait for a future itself, but do not look inside its value
freeze         a parameter that a deployment may not override
"""

from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")


class BaseAnnotation(tuple[T], Generic[T]):
    """A tuple of one that keeps its kind: equal only to an annotation of the same kind."""

    __slots__ = ()

    def __new__(cls, value: T) -> Self:
        return super().__new__(cls, (value,))

    @property
    def value(self) -> T:
        return tuple.__getitem__(self, 0)

    def unwrap(self) -> T:
        """The value inside."""
        return tuple.__getitem__(self, 0)

    def rewrap(self, value: Any) -> Any:
        """Another value under the same mark."""
        return type(self)(value)

    def __getnewargs__(self) -> tuple[T]:
        return (self.unwrap(),)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and tuple.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((type(self), tuple.__hash__(self)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.unwrap()!r})"


class unmapped(BaseAnnotation[T]):
    """Marks an iterable that `map` passes whole to every call."""

    __slots__ = ()

    def __getitem__(self, _: object) -> T:  # type: ignore[override]
        # Whatever position `map` asks for, the answer is the one value.
        return self.unwrap()


class allow_failure(BaseAnnotation[T]):
    """Marks an upstream that may have failed; its exception is passed as the argument."""

    __slots__ = ()


class quote(BaseAnnotation[T]):
    """Marks a value that is passed untouched: no search for futures or states inside."""

    __slots__ = ()

    def unquote(self) -> T:
        return self.unwrap()


class Quote(quote[T]):
    """The former name of `quote`."""

    __slots__ = ()


class opaque(BaseAnnotation[T]):
    """Marks a future or value that is resolved itself, without a search inside."""

    __slots__ = ()


class freeze(BaseAnnotation[T]):
    """Marks a parameter whose value is fixed when a flow is deployed."""

    __slots__ = ()

    def unfreeze(self) -> T:
        return self.unwrap()


class NotSet:
    """The default of an argument for which None has a meaning of its own."""
