"""Interrupting what runs too long, on the main thread and off it."""

import signal
import threading
import time

import pytest

from penstock.engine.effects import RunTimeoutError
from penstock.engine.timeouts import deadline


def in_thread(action):
    """What `action` returned or raised in a thread of its own."""
    outcome: list[object] = []

    def work():
        try:
            outcome.append(action())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    return outcome[0]


def spin():
    with deadline(0.05):
        until = time.monotonic() + 10
        while time.monotonic() < until:
            pass


def test_a_blocking_call_on_the_main_thread_is_interrupted():
    started = time.monotonic()
    with pytest.raises(RunTimeoutError, match=r"0\.05 seconds"), deadline(0.05):
        threading.Event().wait(10)
    assert time.monotonic() - started < 5


def test_running_code_off_the_main_thread_is_interrupted():
    assert isinstance(in_thread(spin), RunTimeoutError)


def test_code_of_the_user_cannot_swallow_the_interruption_as_an_exception():
    def stubborn():
        with deadline(0.05):
            until = time.monotonic() + 10
            while time.monotonic() < until:
                try:
                    while time.monotonic() < until:
                        pass
                except Exception:
                    return "swallowed"
        return "finished"

    assert isinstance(in_thread(stubborn), RunTimeoutError)


def test_what_ends_in_time_is_left_alone():
    def quick():
        with deadline(5):
            return "done"

    before = signal.getsignal(signal.SIGALRM)
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    assert quick() == "done"
    assert in_thread(quick) == "done"
    # Whoever used the timer of the process before has it back.
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == pytest.approx(left, abs=5)


def test_an_enclosing_deadline_rings_inside_a_longer_one():
    with pytest.raises(RunTimeoutError, match=r"0\.05 seconds"), deadline(0.05), deadline(20):
        threading.Event().wait(10)


def test_an_enclosing_deadline_is_armed_again_after_a_shorter_one():
    with pytest.raises(RunTimeoutError, match=r"0\.2 seconds"), deadline(0.2):
        with pytest.raises(RunTimeoutError, match=r"0\.05 seconds"), deadline(0.05):
            threading.Event().wait(10)
        threading.Event().wait(10)
