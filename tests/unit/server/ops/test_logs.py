"""Log records: stored in batches, listed, downloaded page by page."""

import csv
import io
from datetime import timedelta
from uuid import UUID

import pytest
from tests.databases import World, wire

from penstock.schemas.errors import ObjectMissing, RequestInvalid
from penstock.schemas.filters import AnyIdFilter
from penstock.schemas.logs import LogCreate, LogFilter, LogFilterLevel, LogsFilterPage, LogSort
from penstock.server.ops import logs


def write(world: World, run: str | None, *messages: str, level: int = 20) -> None:
    records = [
        LogCreate(
            level=level,
            message=message,
            name="penstock.flow_runs",
            timestamp=world.now + timedelta(milliseconds=index),
            flow_run_id=None if run is None else UUID(run),
        )
        for index, message in enumerate(messages)
    ]
    world.write(logs.create_logs, body=records)


def messages(world: World, **fields: object) -> list[str]:
    body = LogsFilterPage(**fields)  # type: ignore[arg-type]
    return [log.message for log in world.read(logs.read_logs, body=body)]


def test_records_come_in_order_of_time(world: World) -> None:
    run = world.flow_run()
    write(world, run, "a", "b")
    write(world, None, "c", level=40)
    of_run = LogFilter(flow_run_id=AnyIdFilter(any_=[UUID(run)]))
    assert messages(world, logs=of_run) == ["a", "b"]
    assert messages(world, logs=of_run, sort=LogSort.TIMESTAMP_DESC) == ["b", "a"]
    assert messages(world, logs=LogFilter(level=LogFilterLevel(ge_=30))) == ["c"]
    assert messages(world, limit=0) == []
    assert messages(world, limit=1, offset=1, logs=of_run) == ["b"]
    with pytest.raises(RequestInvalid):
        messages(world, limit=201)
    (record,) = wire(world.read(logs.read_logs, body=LogsFilterPage(logs=of_run, limit=1)))
    assert record["flow_run_id"] == run
    assert record["updated"] == record["created"]


def test_a_batch_is_one_statement(world: World) -> None:
    before = world.store.statistics.snapshot()
    write(world, None, *map(str, range(300)))
    after = world.store.statistics.snapshot()
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)
    assert len(world.rows("SELECT id FROM log")) == 300
    world.write(logs.create_logs, body=[])


def test_text_survives(world: World) -> None:
    text = 'é ☃ \n" , \ud83d\ude00'.encode("utf-16", "surrogatepass").decode("utf-16")
    write(world, None, text, "a\0b")
    assert messages(world) == [text, "a\ufffdb"]


def test_a_download_is_a_csv_file_in_pages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "CSV_PAGE", 2)
    run = world.flow_run()
    write(world, run, "first", 'with "quotes", commas\nand lines', "third")
    # Records of one instant must not be lost between two pages.
    write(world, run, "fourth", "fifth")
    write(world, world.flow_run(), "of another run")
    pages = world.store.read_sync(lambda tx: list(logs.download_logs(tx, world.context, run)))
    assert len(pages) == 3
    rows = list(csv.DictReader(io.StringIO("".join(pages))))
    assert sorted(row["message"] for row in rows) == sorted(
        ["first", 'with "quotes", commas\nand lines', "third", "fourth", "fifth"]
    )
    assert [row["timestamp"] for row in rows] == sorted(row["timestamp"] for row in rows)
    assert {row["flow_run_id"] for row in rows} == {run}


def test_a_download_of_an_unknown_run_is_refused(world: World) -> None:
    with pytest.raises(ObjectMissing):
        world.read(logs.download_logs, str(UUID(int=1)))
    run = world.flow_run()
    page = world.read(logs.log_csv_page, run)
    assert (page.text.strip(), page.after) == (",".join(logs.CSV_HEADER), None)
