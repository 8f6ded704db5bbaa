"""How many slots of a concurrency limit are taken, and how long to wait for one.

Slots that were taken come back when they are released, and with a decay also by themselves: one
whole slot every `1 / decay` seconds. Nothing here knows about leases; a lease's slots are among
the taken ones.
"""

from datetime import datetime, timedelta

from msgspec import Struct

TAG = "tag:"
"""What the name of a limit on a task tag begins with."""
SHORTEST_OCCUPANCY = 0.1
"""Seconds; a slot given back sooner counts as held this long, so that waiters do not spin."""


class Usage(Struct, frozen=True):
    """Slots taken at an instant; `decayed` is the instant up to which decay is worked out."""

    slots: int
    decayed: datetime


def usage_at(now: datetime, slots: int, decay: float, decayed: datetime) -> Usage:
    """The slots still taken at `now` of those taken at `decayed`.

    What has decayed of a slot that is not gone yet counts on, by an earlier `decayed`.
    """
    if decay <= 0 or slots <= 0:
        return Usage(max(slots, 0), now)
    gone = int(decay * max((now - decayed).total_seconds(), 0.0))
    if gone >= slots:
        return Usage(0, now)
    return Usage(slots - gone, decayed + timedelta(seconds=gone / decay))


def expected_wait(missing: int, decay: float, occupancy: float) -> float:
    """Seconds until `missing` slots are likely to be free."""
    return missing * (1 / decay if decay > 0 else max(occupancy, SHORTEST_OCCUPANCY))


def spread_wait(seconds: float, chance: float) -> float:
    """A wait of up to `seconds`, at least half of it; `chance` is drawn from [0, 1)."""
    return seconds * (0.5 + chance / 2)
