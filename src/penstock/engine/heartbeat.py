"""Signs of life of a flow run: one event at its start, then one per period, until it ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from penstock.base.clock import utc_now
from penstock.base.ids import uuid7
from penstock.base.version import VERSION
from penstock.engine.record import instant, quoted
from penstock.engine.timer import TIMER

MINIMUM_SECONDS = 30


class Alarms(Protocol):
    """What sets alarms: the timer of the process, or one that a test turns."""

    def after(self, seconds: float, action: Callable[[], object]) -> Any: ...

    def cancel(self, alarm: Any) -> None: ...


@contextmanager
def heartbeats(
    flow_run: Any,
    related: str,
    seconds: float | None,
    emit: Callable[[bytes], None],
    timer: Alarms = TIMER,
    first_after: float = 0.0,
) -> Iterator[None]:
    """Emit `prefect.flow-run.heartbeat` at once (or `first_after` so many seconds) and then every
    `seconds` while the body runs.

    None turns it off. Entering and leaving cost microseconds: the waiting is done by a thread
    that all runs of the process share.
    """
    if seconds is None:
        yield
        return
    alarm: Any = None
    over = False

    def beat() -> None:
        nonlocal alarm
        if not over:
            emit(heartbeat(flow_run, related))
            alarm = timer.after(max(seconds, MINIMUM_SECONDS), beat)

    if first_after:
        alarm = timer.after(first_after, beat)
    else:
        beat()
    try:
        yield
    finally:
        over = True
        if alarm is not None:
            timer.cancel(alarm)


def heartbeat(flow_run: Any, related: str) -> bytes:
    """One heartbeat event as JSON."""
    return (
        f'{{"occurred":"{instant(utc_now())}","event":"prefect.flow-run.heartbeat","resource":{{'
        f'"prefect.resource.id":"prefect.flow-run.{flow_run.id}",'
        f'"prefect.resource.name":{quoted(flow_run.name)},"prefect.version":"{VERSION}"}},'
        f'"related":[{related}],"payload":{{}},"id":"{uuid7()}","follows":null}}'
    ).encode()
