"""Problems with logging itself: they cannot be logged."""

import sys


def say(text: str) -> None:
    """Tell the person at the terminal."""
    print(f"penstock: {text}", file=sys.stderr)  # noqa: T201
