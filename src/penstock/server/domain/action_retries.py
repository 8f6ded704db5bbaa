"""When an action is tried again, and when it is given up."""

from datetime import datetime, timedelta

ATTEMPTS = 6
PERIOD = timedelta(minutes=15)
"""An action is not tried again later than this after its first try."""
SHORTEST = timedelta(seconds=1)
LONGEST = timedelta(minutes=5)


def next_try(
    attempts: int, begun: datetime, now: datetime, retry_after: float | None = None
) -> datetime | None:
    """When to try again after `attempts` failed tries; None for never.

    Pauses double from one second to five minutes. A receiver that says how long to wait is
    believed, as far as the time allows.
    """
    if attempts >= ATTEMPTS:
        return None
    pause = min(SHORTEST * 2 ** (attempts - 1), LONGEST)
    if retry_after is not None:
        pause = max(timedelta(seconds=min(max(retry_after, 0.0), PERIOD.total_seconds())), SHORTEST)
    due = now + pause
    return due if due <= begun + PERIOD else None
