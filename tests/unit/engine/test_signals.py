"""SIGTERM inside runs."""

import os
import signal
import threading

import pytest

from penstock.engine import signals
from penstock.engine.signals import termination_raised
from penstock.schemas.errors import TerminationSignal


@pytest.fixture
def heard(monkeypatch):
    """What the handler that was there before hears."""
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    yield seen
    signal.signal(signal.SIGTERM, before)


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def test_the_signal_is_raised_in_the_run_and_passed_on_afterwards(heard):
    with pytest.raises(TerminationSignal) as caught, termination_raised():
        terminate()
    assert caught.value.signal == signal.SIGTERM
    assert heard == [signal.SIGTERM]


def test_with_a_stated_intent_it_is_not_passed_on(heard, monkeypatch):
    monkeypatch.setattr(signals, "_intent", "cancel")
    with pytest.raises(TerminationSignal), termination_raised():
        assert signals.intent() == "cancel"
        terminate()
    assert heard == []


def test_runs_may_end_in_any_order(heard):
    first, second = termination_raised(), termination_raised()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    with pytest.raises(TerminationSignal):
        terminate()
    assert signals.caught()
    second.__exit__(None, None, None)
    assert heard == [signal.SIGTERM]


def test_nothing_is_passed_on_when_nothing_came(heard):
    with termination_raised():
        pass
    assert heard == []
    terminate()
    assert heard == [signal.SIGTERM]


def test_other_threads_leave_the_handler_alone(heard):
    def work():
        with termination_raised():
            terminate()
            threading.Event().wait(0.01)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(5)
    assert heard == [signal.SIGTERM]
