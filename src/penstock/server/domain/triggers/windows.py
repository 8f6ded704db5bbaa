"""One event trigger: what an event, or the passing of time, makes of what it counted.

Reactive triggers without `after` fire at most once in a window; windows are aligned to the first
event and do not slide. Proactive triggers fire at the end of a window that had too few events.
"""

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from penstock.server.domain.triggers.model import Bucket, EventNode, Seen

PATIENCE = timedelta(minutes=15)
"""How late an event may come and still be counted in the first window."""
EXPIRY = timedelta(seconds=60)
"""How long after its end a window of a reactive trigger is remembered."""


class Result(Struct, frozen=True):
    """What is remembered from now on (None: nothing), and the last event of each firing."""

    bucket: Bucket | None
    fired: tuple[str | None, ...] = ()


def observe(node: EventNode, bucket: Bucket | None, event: Seen) -> Result:
    """After one event that the trigger covers."""
    now = event.moment
    if not node.reactive:
        ended = elapse(node, bucket, now)
        after = _observed(node, ended.bucket, event, now)
        return Result(after.bucket, (*ended.fired, *after.fired))
    if bucket is not None and bucket.closes + EXPIRY <= now:
        bucket = None
    return _observed(node, bucket, event, now)


def elapse(node: EventNode, bucket: Bucket | None, now: datetime) -> Result:
    """After time has passed and nothing happened: the end of a proactive window.

    The next window follows at once, unless an event has to open it.
    """
    if bucket is None or node.reactive or now < bucket.closes:
        return Result(bucket)
    fired = (bucket.last_event,) if bucket.count < node.threshold else ()
    if node.after:
        return Result(None, fired)
    return Result(window(node, max(bucket.closes, now)), fired)


def window(node: EventNode, opens: datetime) -> Bucket:
    return Bucket(opens, opens + node.within, 0)


def _observed(node: EventNode, bucket: Bucket | None, event: Seen, now: datetime) -> Result:
    expected = node.expects(event.event)
    if node.opens(event.event):
        if bucket is None:
            # An event that is also expected does not count as the one that follows.
            bucket = Bucket(now, now + node.within, -1 if expected else 0, event.id)
        else:
            bucket = replace(bucket, last_event=event.id)
    elif bucket is None and not node.after:
        bucket = Bucket(now - PATIENCE, now + node.within, 0)
    if not expected or bucket is None or now < bucket.opens:
        return Result(bucket)
    if node.reactive:
        return _reacted(node, bucket, event, now)
    return Result(_counted(node, bucket, event, now))


def _counted(node: EventNode, bucket: Bucket, event: Seen, now: datetime) -> Bucket:
    """A proactive trigger counts; its window is open, as `elapse` came first."""
    counted = replace(bucket, count=bucket.count + 1, last_event=event.id)
    if counted.count >= node.threshold and node.opens(event.event):
        # What was expected came, and opens the next window itself.
        return Bucket(now, now + node.within, 0, event.id)
    return counted


def _reacted(node: EventNode, bucket: Bucket, event: Seen, now: datetime) -> Result:
    counts = not node.within or now < bucket.closes
    count = bucket.count + 1 if counts else bucket.count
    if count >= node.threshold:
        fired = (event.id if counts else bucket.last_event,)
        following = None
        if not node.after and node.within:
            following = window(node, max(bucket.closes, now))
            if not counts:
                again = _reacted(node, following, event, now)
                return Result(again.bucket, (*fired, *again.fired))
        return Result(following, fired)
    if now < bucket.closes or (not node.within and not node.after):
        return Result(replace(bucket, count=count, last_event=event.id))
    if node.after:
        return Result(None)
    # The event came behind the end of its window and counts in the next one.
    return _reacted(node, window(node, max(bucket.closes, now)), event, now)
