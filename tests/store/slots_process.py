"""Takes and gives back slots of the limit `shared` in a process of its own, until it is killed.

Arguments: database URL, how many times. Prints a line for each lease it gets, and at the end takes
one more, says so, and waits for its end.
"""

import sys

from penstock.schemas.limits import SlotsIncrementWithLease
from penstock.server.ops.context import Context
from penstock.server.ops.limits import (
    Denied,
    bulk_increment_active_slots_with_lease,
    release_lease,
)
from penstock.server.store import open_store


def main() -> None:
    store = open_store(sys.argv[1])
    store.start()
    body = SlotsIncrementWithLease(names=["shared"], slots=1, lease_duration=60)
    got = 0
    while got <= int(sys.argv[2]):
        answer = store.write_sync(bulk_increment_active_slots_with_lease, Context(), body=body)
        if isinstance(answer, Denied):
            continue
        got += 1
        if got <= int(sys.argv[2]):
            store.write_sync(release_lease, str(answer.lease_id))
    print("holding", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
