"""The comparison table: Penstock and its peer in one interleaved run.

    python benchmarks/compare.py --peer PYTHON [--rounds 3] [--json FILE] [--only penstock]

Every figure is measured on both systems in turn, round after round, so that a machine that gets
slower meanwhile slows both; the table gives medians over the rounds and their ratio. Servers run
on SQLite with their default durability. Takes about ten minutes, nearly all of it in the peer.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

from load import cycles, fill, pages
from system import System

SUBJECT = Path(__file__).with_name("subject.py")
FIGURES = {
    "import_ms": ("import flow and task, CPU above bare Python", "ms", 60, "most"),
    "help_ms": ("`--help`, CPU", "ms", 100, "most"),
    "start_s": ("fresh server start to healthy", "s", 0.8, "most"),
    "memory_mib": ("idle server memory", "MiB", 80, "most"),
    "flow_call_p50_ms": ("trivial flow call with server, p50", "ms", 10, "most"),
    "task_client_ms": ("task in a flow of 1,000, client CPU", "ms", 0.3, "most"),
    "task_server_ms": ("same, server CPU per task run", "ms", 0.5, "most"),
    "visible_s": ("1,000 task runs visible after the call returned", "s", 1, "most"),
    "cycles_per_s": ("create + RUNNING + COMPLETED, concurrency 16", "/s", 800, "least"),
    "cycles_failed": ("failed cycles among them", "", 0, "most"),
    "page_ms": ("page of 200 flow runs, server CPU", "ms", 3, "most"),
    "event_ms": ("client event over a socket until queryable", "ms", 50, "most"),
}


def cold(system: System) -> dict[str, float]:
    """Figures of processes that start: import and help."""
    bare = system.cpu_of(system.python, "-c", "pass")
    imported = system.cpu_of(system.python, "-c", f"from {system.name} import flow, task")
    return {
        "import_ms": (imported - bare) * 1000,
        "help_ms": system.cpu_of(system.command, "--help") * 1000,
    }


def server(system: System, seconds: float) -> dict[str, float]:
    """Figures of a fresh server: start, memory, calls, tasks, cycles, pages, events."""
    figures = {"start_s": system.start()}
    try:
        time.sleep(5)
        figures["memory_mib"] = system.server_memory() / 2**20
        slow = system.name != "penstock"
        figures |= system.run(SUBJECT, "calls", "5" if slow else "50")
        before = system.server_cpu()
        figures |= system.run(SUBJECT, "tasks", "1000")
        figures["task_server_ms"] = (system.server_cpu() - before) / 1006 * 1000
        figures |= system.run(SUBJECT, "event", "3" if slow else "20")
        asyncio.run(fill(system.api, 200))
        count = 20 if slow else 200
        before = system.server_cpu()
        if asyncio.run(pages(system.api, count)) != 200:
            raise RuntimeError(f"{system.name} did not answer a full page")
        figures["page_ms"] = (system.server_cpu() - before) / count * 1000
        rate, failed = asyncio.run(cycles(system.api, 16, seconds))
        figures |= {"cycles_per_s": rate, "cycles_failed": failed}
    finally:
        system.stop()
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="Python of the environment that holds the peer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="length of the cycle load")
    parser.add_argument("--json", type=Path, help="also write all figures of all rounds here")
    parser.add_argument("--only", choices=["penstock"], help="leave the peer out")
    options = parser.parse_args()
    if not options.peer and not options.only:
        parser.error("give --peer PYTHON, or --only penstock")
    systems = [System("penstock", sys.executable)]
    if not options.only:
        systems.append(System("prefect", options.peer))
    measured: dict[str, dict[str, list[float]]] = {s.name: defaultdict(list) for s in systems}
    try:
        for number in range(options.rounds):
            for system in systems:
                print(f"round {number + 1} of {options.rounds}: {system.name}", file=sys.stderr)
                for name, value in (cold(system) | server(system, options.seconds)).items():
                    measured[system.name][name].append(value)
    finally:
        for system in systems:
            system.close()
    if options.json:
        options.json.write_text(json.dumps(measured, indent=2))
    return report(measured)


def report(measured: dict[str, dict[str, list[float]]]) -> int:
    """Print the table; 1 when Penstock misses a figure."""
    missed = 0
    print(f"{'figure':<50} {'penstock':>10} {'peer':>10} {'ratio':>8} {'wanted':>10}")
    for name, (label, unit, wanted, bound) in FIGURES.items():
        ours = statistics.median(measured["penstock"][name])
        peers = measured.get("prefect", {}).get(name)
        theirs = statistics.median(peers) if peers else None
        good = ours <= wanted if bound == "most" else ours >= wanted
        missed += not good
        ratio = ""
        if theirs and ours:
            ratio = f"{theirs / ours if bound == 'most' else ours / theirs:.0f}x"
        print(
            f"{label + (f', {unit}' if unit else ''):<50} {ours:>10.2f} "
            f"{theirs if theirs is not None else float('nan'):>10.2f} {ratio:>8} "
            f"{('<= ' if bound == 'most' else '>= ') + f'{wanted:g}':>10}"
            f"{'' if good else '  missed'}"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
