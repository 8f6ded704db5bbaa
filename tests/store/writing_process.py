"""A process that writes until it is killed, and says on its output what was acknowledged.

    python writing_process.py URL NAME

Several writes are under way at once. Each is one transaction of three rows that belong together;
its number is printed only after `Store.write` returned.
"""

import asyncio
import sys
from typing import Any

from penstock.server.store import open_store
from penstock.server.store.transaction import Tx

WRITERS = 8


def write_three(tx: Tx, name: str, number: int) -> None:
    for part in ("a", "b", "c"):
        tx.run("timer.set", kind=name, key=f"{number:08}{part}", due=tx.now, payload={"n": number})


async def main(url: str, name: str) -> None:
    store = open_store(url)
    store.start()
    numbers = iter(range(10**8))

    async def writer() -> None:
        for number in numbers:
            await store.write(write_three, name, number)
            acknowledge(number)

    await asyncio.gather(*(writer() for _ in range(WRITERS)))


def acknowledge(number: Any) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
