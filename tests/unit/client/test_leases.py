"""Keeping leases alive: when they are renewed, how often a failure is tried again."""

import threading
from uuid import UUID, uuid4

import pytest

from penstock.client.leases import LeaseKeeper
from penstock.schemas.errors import APIUnreachable, PenstockHTTPStatusError

UNREACHABLE = APIUnreachable("nobody answers")


class Keeping:
    """A keeper whose clock and rounds are turned by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(LeaseKeeper, "_run", lambda keeper: None)
        self.keeper = LeaseKeeper(lambda: self.now)
        self.renewed: list[tuple[float, UUID, float]] = []
        self.lost: list[Exception] = []
        self.failures: list[Exception] = []

    def renew(self, lease_id: UUID, seconds: float) -> None:
        self.renewed.append((self.now, lease_id, seconds))
        if self.failures:
            raise self.failures.pop(0)

    def until(self, end: float) -> None:
        """Do every renewal that is due up to `end`."""
        while (wait := self.keeper.due_in()) is not None and self.now + wait <= end:
            self.now += max(wait, 0.0)
            assert self.keeper.run_once()
        self.now = end
        assert not self.keeper.run_once()

    @property
    def times(self) -> list[float]:
        return [time for time, _, _ in self.renewed]


@pytest.fixture
def keeping(monkeypatch: pytest.MonkeyPatch) -> Keeping:
    return Keeping(monkeypatch)


def test_a_lease_is_renewed_when_three_quarters_are_over(keeping: Keeping) -> None:
    id = uuid4()
    keeping.keeper.keep(id, 100, keeping.renew, keeping.lost.append)
    keeping.until(230)
    assert keeping.renewed == [(75, id, 100), (150, id, 100), (225, id, 100)]
    assert keeping.lost == []


def test_each_lease_has_its_own_time_and_a_stopped_one_none(keeping: Keeping) -> None:
    long, short = uuid4(), uuid4()
    keeping.keeper.keep(long, 400, keeping.renew, keeping.lost.append)
    hold = keeping.keeper.keep(short, 100, keeping.renew, keeping.lost.append)
    keeping.until(80)
    keeping.keeper.stop(hold)
    keeping.keeper.stop(hold)
    keeping.until(310)
    assert [(time, id) for time, id, _ in keeping.renewed] == [(75, short), (300, long)]


def test_a_failure_is_tried_again_without_holding_up_the_others(keeping: Keeping) -> None:
    first, second = uuid4(), uuid4()
    keeping.keeper.keep(first, 100, keeping.renew, keeping.lost.append)
    keeping.keeper.keep(second, 101, keeping.renew, keeping.lost.append)
    keeping.failures = [UNREACHABLE]
    keeping.until(80)
    assert [(time, id) for time, id, _ in keeping.renewed] == [
        (75, first),
        (75.75, second),
        (76, first),
    ]
    keeping.until(151)
    assert keeping.times[3:] == [151] and keeping.lost == []


def test_the_third_failure_is_told_once(keeping: Keeping) -> None:
    keeping.keeper.keep(uuid4(), 100, keeping.renew, keeping.lost.append)
    keeping.failures = [UNREACHABLE] * 9
    keeping.until(1000)
    assert keeping.times == [75, 76, 86]
    assert keeping.lost == [UNREACHABLE]


def test_a_lease_that_has_ended_is_told_at_once(keeping: Keeping) -> None:
    gone = PenstockHTTPStatusError("the lease has ended", status_code=410)
    keeping.keeper.keep(uuid4(), 100, keeping.renew, keeping.lost.append)
    keeping.failures = [gone]
    keeping.until(1000)
    assert (keeping.times, keeping.lost) == ([75], [gone])


def test_the_thread_renews_and_lives_only_while_a_lease_is_held() -> None:
    keeper = LeaseKeeper()
    renewed, lost = threading.Event(), threading.Event()
    hold = keeper.keep(uuid4(), 0.01, lambda *_: renewed.set(), lambda _: lost.set())
    thread = keeper._thread
    assert thread is not None and renewed.wait(10)
    keeper.stop(hold)
    thread.join(10)
    assert not thread.is_alive() and not lost.is_set()
    renewed.clear()
    again = keeper.keep(uuid4(), 0.01, lambda *_: renewed.set(), lambda _: None)
    assert renewed.wait(10)
    thread = keeper._thread
    keeper.stop(again)
    assert thread is not None
    thread.join(10)
