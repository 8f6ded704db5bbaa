"""Delays between tries."""

import functools

import pytest

from penstock.engine.retry import (
    delay_before,
    delays_of,
    exponential_backoff,
    is_coroutine_callable,
)


def test_backoff_doubles_for_at_most_fifty_retries():
    assert exponential_backoff(3)(4) == [3, 6, 12, 24]
    assert len(exponential_backoff(1)(200)) == 50


def test_a_function_of_the_number_of_retries_gives_the_delays():
    assert delays_of(exponential_backoff(1), 3) == [1, 2, 4]
    assert delays_of(None, 3) == 0


@pytest.mark.parametrize("wrong", [-1, [1, -1], [1] * 51])
def test_impossible_delays_are_refused(wrong):
    with pytest.raises(ValueError, match="retry_delay_seconds"):
        delays_of(wrong, 3)


@pytest.mark.parametrize("wrong", ["3", object()])
def test_other_things_are_no_delays(wrong):
    with pytest.raises(TypeError, match="retry_delay_seconds"):
        delays_of(wrong, 3)


def test_the_last_delay_of_a_list_repeats():
    assert [delay_before(n, [1, 5], None, 0.5) for n in (1, 2, 3, 9)] == [1, 5, 5, 5]
    assert delay_before(1, [], None, 0.5) == 0


def test_jitter_only_makes_longer_and_stays_in_its_bound():
    assert delay_before(1, 10, 0.5, 0.0) == 10
    assert delay_before(1, 10, 0.5, 0.999) == pytest.approx(14.995)
    assert delay_before(1, 10, 0.0, 0.999) == 10


def test_coroutines_are_recognised_through_partials_methods_and_objects():
    class Judge:
        async def judge(self):
            return True

        async def __call__(self):
            return True

    async def plain(a):
        return a

    assert is_coroutine_callable(plain)
    assert is_coroutine_callable(functools.partial(plain, 1))
    assert is_coroutine_callable(Judge().judge)
    assert is_coroutine_callable(Judge())
    assert not is_coroutine_callable(len)
    assert not is_coroutine_callable(lambda: None)
