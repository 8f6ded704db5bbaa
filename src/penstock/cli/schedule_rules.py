"""Whether a schedule is one, by the rules of the server."""

from typing import Any

from penstock.schemas.errors import PenstockException
from penstock.server.domain.schedules import dates


def schedule_fault(schedule: Any) -> str | None:
    """What the server would say against a schedule; None when it would take it."""
    try:
        dates.check(schedule)
    except (ValueError, PenstockException) as error:
        return str(error)
    return None
