"""Signs of life."""

from collections.abc import Callable
from types import SimpleNamespace
from uuid import uuid4

import msgspec
import pytest

from penstock.engine.heartbeat import MINIMUM_SECONDS, heartbeats

RELATED = '{"prefect.resource.id":"prefect.flow.x","prefect.resource.role":"flow"}'


class HandTimer:
    """A timer whose alarms ring when the test says so."""

    def __init__(self):
        self.set: list[tuple[float, Callable[[], object]]] = []
        self.cancelled: list[object] = []

    def after(self, seconds, action):
        self.set.append((seconds, action))
        return action

    def cancel(self, alarm):
        self.cancelled.append(alarm)


def test_a_beat_at_once_and_one_per_period_until_the_end():
    run = SimpleNamespace(id=uuid4(), name='quo"ted')
    beats: list[dict] = []
    timer = HandTimer()
    emit = lambda event: beats.append(msgspec.json.decode(event))  # noqa: E731
    with heartbeats(run, RELATED, 180, emit, timer):
        assert len(beats) == 1
        timer.set[0][1]()
        assert len(beats) == 2
    assert timer.cancelled == [timer.set[1][1]]
    timer.set[1][1]()
    assert len(beats) == 2
    assert [seconds for seconds, _ in timer.set] == [180, 180]
    beat = beats[0]
    assert beat["event"] == "prefect.flow-run.heartbeat"
    assert beat["resource"]["prefect.resource.id"] == f"prefect.flow-run.{run.id}"
    assert beat["resource"]["prefect.resource.name"] == 'quo"ted'
    assert beat["related"] == [msgspec.json.decode(RELATED)]


def test_the_period_has_a_minimum():
    timer = HandTimer()
    run = SimpleNamespace(id=uuid4(), name="n")
    with heartbeats(run, "", 1, lambda event: None, timer):
        assert timer.set[0][0] == MINIMUM_SECONDS


def test_without_a_period_there_are_none():
    with heartbeats(None, "", None, lambda event: pytest.fail("a beat"), HandTimer()):
        pass
