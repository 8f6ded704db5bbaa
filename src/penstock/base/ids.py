"""Identifiers that rise with time (UUID version 7, RFC 9562 section 5.7).

Rows kept under rising keys are inserted at the end of an index instead of all over it.
"""

import threading
import time
from os import urandom
from uuid import UUID

_lock = threading.Lock()
_last = 0


def uuid7() -> UUID:
    """A new identifier, greater than every one this process made before.

    Layout: 48 bits of Unix milliseconds, version, 12 bits of sub-millisecond time, variant, 62
    random bits. Within one process two calls in the same instant still rise, because the time
    part is bumped by one step (about 244 ns). Costs about two microseconds; thread-safe.
    """
    global _last
    # 60-bit tick: milliseconds in the upper 48 bits, 1/4096 of a millisecond in the lower 12.
    tick = time.time_ns() * 4096 // 1_000_000
    with _lock:
        if tick <= _last:
            tick = _last + 1
        _last = tick
    random = int.from_bytes(urandom(8)) & 0x3FFF_FFFF_FFFF_FFFF
    value = (tick >> 12) << 80 | 0x7000 << 64 | (tick & 0xFFF) << 64 | 0x2 << 62 | random
    return UUID(int=value)
