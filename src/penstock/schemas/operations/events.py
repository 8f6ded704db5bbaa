"""Operations on events."""

from penstock.schemas.events import (
    Countable,
    Event,
    EventCount,
    EventPage,
    EventsCountBody,
    EventsFilterBody,
)
from penstock.schemas.operations.operation import Operation, Query, table

OPERATIONS = table(
    Operation(
        name="create_events",
        method="POST",
        path="/events",
        body=list[Event],
        status=204,
        repeatable=True,
    ),
    Operation(
        name="count_account_events",
        method="POST",
        path="/events/count-by/{countable}",
        params=(Countable,),
        body=EventsCountBody,
        response=list[EventCount],
        repeatable=True,
    ),
    Operation(
        name="read_events",
        method="POST",
        path="/events/filter",
        body=EventsFilterBody,
        body_required=False,
        response=EventPage,
        repeatable=True,
    ),
    Operation(
        name="read_account_events_page",
        method="GET",
        path="/events/filter/next",
        query=(Query("page-token", str, required=True),),
        response=EventPage,
        errors=(403,),
        repeatable=True,
    ),
)
