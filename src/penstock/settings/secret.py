"""A text that does not show itself."""

MASK = "********"


class Secret:
    """Holds a text that `repr`, `str` and formatting never show; immutable and hashable.

    The text comes out only through `get_secret_value`. An empty secret is false.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(("Secret", self._text))

    def __len__(self) -> int:
        return len(self._text)

    def __str__(self) -> str:
        return MASK if self._text else ""

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"


def reveal(value: Secret | str | None) -> str | None:
    """The text of a secret, or `value` itself when it is none."""
    return value.get_secret_value() if isinstance(value, Secret) else value
