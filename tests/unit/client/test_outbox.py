"""The outbox: batches, order, patience, bounds. Deliveries are steered by events, not by time."""

import gc
import os
import threading
from collections.abc import Iterator, Sequence

import pytest

from penstock.client import outbox as module
from penstock.client.outbox import Bounds, NotNow, Outbox, Refused

LONG = 30.0


class Place:
    """Where a test's outbox delivers: keeps the batches, fails while told to."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.failure: Exception | None = None
        self.attempts = 0
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.failed = threading.Semaphore(0)
        self.told: list[str] = []

    def __call__(self, batch: Sequence[bytes]) -> None:
        self.entered.set()
        self.open.wait(LONG)
        self.attempts += 1
        if self.failure is not None:
            self.failed.release()
            raise self.failure
        self.batches.append(list(batch))


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def boxes(place: Place) -> Iterator[list[Outbox]]:
    made: list[Outbox] = []
    yield made
    place.failure = None
    place.open.set()
    for box in made:
        box.flush(LONG)
        box.stop()
    made.clear()
    gc.collect()


def make(place: Place, boxes: list[Outbox], **bounds: float) -> Outbox:
    box = Outbox(
        "parcels",
        place,
        tell=place.told.append,
        describe=lambda items: f"{len(items)} parcels",
        bounds=Bounds(**{"interval": LONG, **bounds}),  # pyright: ignore[reportArgumentType]
    )
    boxes.append(box)
    return box


def test_items_wait_for_each_other_and_go_in_order(place: Place, boxes: list[Outbox]):
    box = make(place, boxes)
    for number in range(10):
        box.put(b"%d" % number)
    assert place.batches == []
    assert box.flush(LONG) == 0
    assert place.batches == [[b"%d" % number for number in range(10)]]


def test_a_full_batch_does_not_wait(place: Place, boxes: list[Outbox]):
    box = make(place, boxes, batch_bytes=100)
    place.open.clear()
    for _ in range(10):
        box.put(b"x" * 10)
    assert place.entered.wait(LONG), "a batch's worth of bytes ends the wait"
    place.open.set()


def test_batches_are_bounded_in_items_and_bytes(place: Place, boxes: list[Outbox]):
    box = make(place, boxes, batch_items=3)
    for number in range(7):
        box.put(b"%d" % number)
    box.flush(LONG)
    assert [len(batch) for batch in place.batches] == [3, 3, 1]
    place.batches.clear()
    box.bounds = Bounds(interval=LONG, batch_bytes=25)
    for _ in range(3):
        box.put(b"x" * 10)
    box.put(b"y" * 90)
    box.flush(LONG)
    assert [len(batch) for batch in place.batches] == [2, 1, 1]


def test_what_cannot_be_delivered_is_kept_and_told_once(place: Place, boxes: list[Outbox]):
    box = make(place, boxes, interval=0.0)
    place.failure = NotNow("nobody there")
    box.put(b"a")
    for _ in range(4):
        assert place.failed.acquire(timeout=LONG)
    assert box.failing
    assert box.flush(0.05) == 1, "a flush is bounded"
    place.failure = None
    assert box.flush(LONG) == 0
    assert place.batches == [[b"a"]]
    assert len(place.told) == 2
    assert "nobody there" in place.told[0]
    assert "delivering again" in place.told[1]
    assert not box.failing


def test_what_is_refused_is_dropped_and_told(place: Place, boxes: list[Outbox]):
    box = make(place, boxes)
    place.failure = Refused("wrong kind")
    box.put(b"a")
    assert box.flush(LONG) == 0
    assert box.dropped == 1
    assert "wrong kind" in place.told[0]
    place.failure = None
    box.put(b"b")
    box.flush(LONG)
    assert place.batches == [[b"b"]]


def test_a_delivery_that_breaks_does_not_end_the_thread(place: Place, boxes: list[Outbox]):
    box = make(place, boxes)
    place.failure = ZeroDivisionError("a bug")
    box.put(b"a")
    assert box.flush(LONG) == 0
    place.failure = None
    box.put(b"b")
    assert box.flush(LONG) == 0
    assert place.batches == [[b"b"]]
    assert place.attempts == 5, "it is tried a few times"
    assert "a bug" in place.told[-2] + place.told[-1]
    assert box.dropped == 1


@pytest.mark.parametrize("bounds", [{"capacity_bytes": 20}, {"capacity_items": 2}])
def test_memory_is_bounded_and_the_loss_told_once(
    place: Place, boxes: list[Outbox], bounds: dict[str, float]
):
    box = make(place, boxes, **bounds)
    for _ in range(5):
        box.put(b"x" * 10)
    assert (box.pending, box.dropped) == (2, 3)
    assert len(place.told) == 1
    box.flush(LONG)
    box.put(b"y")
    assert box.flush(LONG) == 0
    assert place.batches[-1] == [b"y"]


def test_leftovers_are_named(place: Place, boxes: list[Outbox]):
    box = make(place, boxes)
    assert box.leftovers() is None
    place.open.clear()
    box.put(b"a")
    box.put(b"b")
    assert box.leftovers() == "parcels: 2 parcels"


def test_the_end_of_the_process_names_what_is_left(
    place: Place,
    boxes: list[Outbox],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    box = make(place, boxes)
    monkeypatch.setattr(module, "EXIT_SECONDS", 0.01)
    place.open.clear()
    box.put(b"a")
    module._flush_all()
    assert "not delivered at exit: parcels: 1 parcels" in capsys.readouterr().err


def test_the_child_of_a_fork_begins_empty_and_delivers_its_own(place: Place, boxes: list[Outbox]):
    box = make(place, boxes)
    place.open.clear()
    box.put(b"the parent's")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        before = box.pending
        place.open.set()
        box.put(b"the child's")
        left = box.flush(LONG)
        os.write(write, repr((before, left, place.batches)).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    assert os.read(read, 1000).decode() == repr((0, 0, [[b"the child's"]]))
    os.close(read)
    place.open.set()
    assert box.flush(LONG) == 0
    assert place.batches == [[b"the parent's"]]


def test_many_threads_lose_nothing(place: Place, boxes: list[Outbox]):
    box = make(place, boxes, interval=0.0, batch_items=7)
    threads = [
        threading.Thread(target=lambda n=n: [box.put(b"%d-%d" % (n, i)) for i in range(200)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert box.flush(LONG) == 0
    delivered = [item for batch in place.batches for item in batch]
    assert len(delivered) == 800
    for n in range(4):
        own = [item for item in delivered if item.startswith(b"%d-" % n)]
        assert own == [b"%d-%d" % (n, i) for i in range(200)]


def test_a_stopped_outbox_starts_again_with_the_next_item(place: Place, boxes: list[Outbox]):
    box = make(place, boxes)
    box.put(b"a")
    box.flush(LONG)
    thread = box._thread
    box.stop()
    assert thread is not None
    assert not thread.is_alive()
    box.put(b"b")
    assert box.flush(LONG) == 0
    assert place.batches == [[b"a"], [b"b"]]
