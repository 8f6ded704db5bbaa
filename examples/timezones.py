"""Clock changes of every time zone: a pipeline over the IANA time zone database.

Reads the database that the `tzdata` package ships, works on every zone as two tasks (parse the
compiled file, find the clock changes of a range of years), aggregates, and writes a report.

    python examples/timezones.py [--from 2020] [--to 2030] [--report report/timezones.csv]
"""

import argparse
import csv
import logging
import struct
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from penstock import flow, get_run_logger, task, unmapped
from penstock.futures import as_completed
from penstock.logging import get_logger
from penstock.runtime import flow_run


class Zone(NamedTuple):
    """What a compiled zone file says about itself."""

    name: str
    version: int
    recorded_changes: int
    rule: str
    """The POSIX rule for the time after the last recorded change; empty when there is none."""


class Change(NamedTuple):
    zone: str
    at: datetime
    before: timedelta
    after: timedelta


@task
def zone_names() -> list[str]:
    """Names of all zones in the database, in its own order."""
    listing = files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return [line for line in listing.split() if line]


@task(task_run_name="parse {name}")
def parse(name: str) -> Zone:
    """Read one compiled zone file (RFC 8536).

    Raises `ValueError` when the file is not one.
    """
    data = files("tzdata.zoneinfo").joinpath(name).read_bytes()
    magic, version, isutc, isstd, leap, times, types, chars = struct.unpack(">4sc15x6l", data[:44])
    if magic != b"TZif":
        raise ValueError(f"zone {name!r} is not a compiled zone file; reinstall tzdata")
    if version < b"2":
        return Zone(name, 1, times, "")
    # A second block with 64-bit times follows the first; the rule is the last line of the file.
    second = 44 + times * 5 + types * 6 + chars + leap * 8 + isstd + isutc
    recorded = struct.unpack(">l", data[second + 32 : second + 36])[0]
    rule = data.rstrip(b"\n").rpartition(b"\n")[2].decode("ascii")
    return Zone(name, int(version), recorded, rule)


def offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()


def first_change(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The second at which the offset changes between two instants that differ in it."""
    before = offset(zone, low)
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high


@task(task_run_name="changes of {zone.name}")
def changes(zone: Zone, first_year: int, last_year: int) -> list[Change]:
    """Every clock change of the zone within the years, both included."""
    with files("tzdata.zoneinfo").joinpath(zone.name).open("rb") as file:
        info = ZoneInfo.from_file(file, key=zone.name)
    found: list[Change] = []
    instant = datetime(first_year, 1, 1, tzinfo=UTC)
    end = datetime(last_year + 1, 1, 1, tzinfo=UTC)
    while instant < end:
        # No zone has changed its clock twice within a week in the years this can be asked for.
        following = min(instant + timedelta(days=7), end)
        before, after = offset(info, instant), offset(info, following)
        if before != after:
            found.append(Change(zone.name, first_change(info, instant, following), before, after))
        instant = following
    return found


@task
def write_report(found: list[list[Change]], path: Path) -> dict[str, int]:
    """Write all changes as CSV, in order of time, and return what the summary prints."""
    rows = sorted((change for zone in found for change in zone), key=lambda c: (c.at, c.zone))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["instant_utc", "zone", "offset_before_seconds", "offset_after_seconds"])
        for change in rows:
            seconds = int(change.before.total_seconds()), int(change.after.total_seconds())
            writer.writerow([change.at.isoformat(), change.zone, *seconds])
    return {
        "changes": len(rows),
        "zones that change": len({change.zone for change in rows}),
        "instants": len({change.at for change in rows}),
        "busiest instant": max(Counter(change.at for change in rows).values(), default=0),
    }


@flow(name="timezones")
def timezones(first_year: int, last_year: int, report: Path) -> dict[str, int]:
    """Parse every zone, find its clock changes, write the report."""
    logger = get_run_logger()
    names = zone_names()
    logger.info("%d zones, years %d to %d", len(names), first_year, last_year)
    zones = parse.map(names)
    futures = changes.map(zones, unmapped(first_year), unmapped(last_year))
    printed = time.monotonic()
    for done, _ in enumerate(as_completed(futures), start=1):
        if time.monotonic() - printed >= 1 or done == len(futures):
            printed = time.monotonic()
            logger.info("%d of %d zones done", done, len(futures))
    summary = write_report([future.result() for future in futures], report)
    print(f"\nRun {flow_run.name} ({flow_run.id})")
    return {"zones": len(names), **summary}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="first", type=int, default=2020, metavar="YEAR")
    parser.add_argument("--to", dest="last", type=int, default=2030, metavar="YEAR")
    parser.add_argument("--report", type=Path, default=Path("report/timezones.csv"))
    options = parser.parse_args()
    if not 1970 <= options.first <= options.last <= 2100:
        parser.error("the years must rise and lie between 1970 and 2100")
    # Twelve hundred lines saying that a task finished would hide the progress.
    get_logger("task_runs").setLevel(logging.WARNING)
    started = time.monotonic()
    summary = timezones(options.first, options.last, options.report)
    for name, value in summary.items():
        print(f"  {name:<18} {value:>6}")
    print(f"  {'seconds':<18} {time.monotonic() - started:>6.1f}")
    print(f"\nReport: {options.report}")
    print("Look at the run:  penstock flow-run ls --limit 5")
    print("                  penstock flow-run logs ID")
    return 0


if __name__ == "__main__":
    sys.exit(main())
