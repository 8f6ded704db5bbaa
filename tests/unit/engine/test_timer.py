"""The shared timer: it rings in order, cancelling is cheap, and its thread goes away."""

import threading

from penstock.engine.timer import Timer


def test_alarms_ring_in_the_order_of_their_time():
    timer = Timer()
    rung: list[str] = []
    done = threading.Event()
    timer.after(0.03, lambda: (rung.append("late"), done.set()))
    timer.after(0.01, lambda: rung.append("early"))
    assert done.wait(5)
    assert rung == ["early", "late"]


def test_a_cancelled_alarm_does_not_ring_and_the_thread_ends():
    timer = Timer()
    rung: list[str] = []
    alarm = timer.after(60, lambda: rung.append("never"))
    thread = timer._thread
    timer.cancel(alarm)
    timer.cancel(alarm)
    assert thread is not None
    thread.join(5)
    assert not thread.is_alive()
    assert rung == []


def test_a_new_alarm_starts_a_new_thread():
    timer = Timer()
    timer.cancel(timer.after(60, lambda: None))
    done = threading.Event()
    timer.after(0, done.set)
    assert done.wait(5)
