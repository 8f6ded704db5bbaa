"""What automations cost: latency, firings per second, automations that do not match, many keys.

    python benchmarks/automations.py [--database URL] [--quick]

Runs the two loops of a server over a real database in this process and prints one line for each
figure, with its target. Latency is from the commit of an event to the commit of its outcome.
"""

import argparse
import asyncio
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

from penstock.base.clock import SYSTEM_CLOCK
from penstock.base.ids import uuid7
from penstock.schemas.automations import AutomationCreate
from penstock.schemas.events import Event
from penstock.server.bus import open_bus
from penstock.server.config import LoopConfig, ServerConfig
from penstock.server.domain.triggers.evaluation import State, on_event
from penstock.server.domain.triggers.index import Index
from penstock.server.domain.triggers.model import Seen, Watch
from penstock.server.ops import automations, events
from penstock.server.ops.context import Context
from penstock.server.services.catalogue import services_of
from penstock.server.services.supervisor import Supervisor
from penstock.server.store import open_store

CONTEXT = Context()
NAMES = ("triggers", "automation-actions")


def body(**trigger: Any) -> AutomationCreate:
    given = {
        "name": "b",
        "trigger": {"type": "event", "posture": "Reactive", **trigger},
        "actions": [{"type": "do-nothing"}],
    }
    return msgspec.convert(given, AutomationCreate, strict=False)


def event(name: str, **labels: str) -> Event:
    return Event(
        occurred=SYSTEM_CLOCK.now(),
        event=name,
        resource={"prefect.resource.id": "bench", **labels},
        id=uuid4(),
    )


def report(what: str, value: float, unit: str, target: str) -> None:
    print(f"{what:<46} {value:>10.2f} {unit:<10} target {target}", flush=True)


class Server:
    """A store with the two loops."""

    def __init__(self, url: str) -> None:
        self.store = open_store(url)
        self.store.start()
        self.store.reset()
        self.bus = open_bus("memory", url)
        self.store.on_wake = lambda topics: [self.bus.wake(topic) for topic in topics]
        loops = services_of(self.store, self.bus, ServerConfig(loops=LoopConfig()), SYSTEM_CLOCK)
        chosen = [loop for loop in loops if loop.name in NAMES]
        self.supervisor = Supervisor(chosen, self.bus)

    def outcomes(self) -> dict[str, float]:
        """When the outcome of each triggering event was committed, by the event's id."""
        rows = self.store.read_sync(
            lambda tx: tx.fetch(
                "SELECT f.event_id, a.finished FROM automation_action AS a"
                " JOIN automation_firing AS f ON f.id = a.firing_id WHERE a.status = 'executed'",
                (),
            )
        )
        return {row["event_id"]: row["finished"].timestamp() for row in rows}

    async def all_done(self, count: int, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            rows = await self.store.read(
                lambda tx: tx.fetch(
                    "SELECT count(*) AS n FROM automation_action WHERE status = 'executed'", ()
                )
            )
            if rows[0]["n"] >= count:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"{rows[0]['n']} of {count} outcomes came in {seconds:g} s")


async def latency(server: Server, seconds: float) -> None:
    await server.store.write(automations.create_automation, CONTEXT, body=body(expect=["lat"]))
    sent: dict[str, float] = {}
    count = int(seconds * 100)
    begun = time.monotonic()
    for number in range(count):
        one = event("lat")
        await server.store.write(events.create_events, CONTEXT, body=[one])
        sent[str(one.id)] = time.time()
        await asyncio.sleep(max(0.0, begun + (number + 1) / 100 - time.monotonic()))
    await server.all_done(count)
    done = server.outcomes()
    taken = sorted(max(0.0, done[id] - at) * 1000 for id, at in sent.items())
    report("event to outcome at 100 events/s, p50", statistics.median(taken), "ms", "<= 20")
    report("event to outcome at 100 events/s, p99", taken[int(len(taken) * 0.99)], "ms", "<= 100")


async def throughput(server: Server, count: int) -> None:
    before = len(server.outcomes())
    await server.store.write(automations.create_automation, CONTEXT, body=body(expect=["many"]))
    begun = time.monotonic()
    for _ in range(count // 200):
        batch = [event("many") for _ in range(200)]
        await server.store.write(events.create_events, CONTEXT, body=batch)
    await server.all_done(before + count)
    taken = time.monotonic() - begun
    report("firings per second, with outcomes", count / taken, "/s", ">= 1000")


def watched(name: str, **trigger: Any) -> Watch:
    return Watch(str(uuid7()), body(expect=[name], **trigger).trigger)


def seen(seq: int, name: str, **labels: str) -> Seen:
    now = SYSTEM_CLOCK.now()
    return Seen(seq, str(uuid4()), name, {"prefect.resource.id": "r", **labels}, [], now, now)


def without_match(count: int) -> None:
    index = Index([watched(f"kind-{number}.*") for number in range(count)])
    rounds = 20_000
    names = [f"kind-{number % 500}.done" for number in range(rounds)]
    state = State({}, {})
    log = [seen(seq, name) for seq, name in enumerate(names)]
    begun = time.process_time()
    fired = 0
    for one in log:
        for watch in index.of(one.event):
            fired += len(on_event(watch, state, one).firings)
    taken = (time.process_time() - begun) / rounds * 1e6
    assert fired == rounds, "each event has one automation"
    report(f"one of {count} automations matches, CPU per event", taken, "us", "<= 50")


async def keys(server: Server, count: int) -> None:
    trigger = {"expect": ["key"], "for_each": ["k"], "threshold": 3, "within": 3600}
    await server.store.write(automations.create_automation, CONTEXT, body=body(**trigger))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for first in range(0, count, 200):
        batch = [event("key", k=str(number)) for number in range(first, first + 200)]
        await server.store.write(events.create_events, CONTEXT, body=batch)
    until = time.monotonic() + 60
    found = 0
    while found < count and time.monotonic() < until:
        await asyncio.sleep(0.05)
        rows = await server.store.read(
            lambda tx: tx.fetch("SELECT count(*) AS n FROM trigger_bucket", ())
        )
        found = rows[0]["n"]
    assert found == count, f"{found} of {count} keys are counted"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    report(f"memory for {count} keys", grown, "MiB", "bounded")


async def run(url: str, quick: bool) -> None:
    server = Server(url)
    await server.bus.start()
    await server.supervisor.start()
    try:
        await latency(server, 3 if quick else 10)
        await throughput(server, 2_000 if quick else 10_000)
        await keys(server, 10_000)
    finally:
        await server.supervisor.stop()
        await server.bus.stop()
        await asyncio.to_thread(server.store.stop)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", help="URL; a SQLite file by default. Everything in it goes.")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    without_match(10_000)
    with tempfile.TemporaryDirectory() as folder:
        url = arguments.database or f"sqlite:///{Path(folder) / 'bench.db'}"
        asyncio.run(run(url, arguments.quick))


if __name__ == "__main__":
    main()
