"""A process that opens a store when it is told to, and says what it found.

    python starting_process.py URL

Prints `ready`, waits for a line on its input, starts the store, prints the number of migrations
that are recorded, and ends.
"""

import sys

from penstock.server.store import open_store


def main(url: str) -> None:
    store = open_store(url)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    store.start()
    rows = store.read_sync(lambda tx: tx.fetch("SELECT version FROM migration", ()))
    sys.stdout.write(f"{len(rows)}\n")
    store.stop()


if __name__ == "__main__":
    main(sys.argv[1])
