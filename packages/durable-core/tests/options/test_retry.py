"""When a failed attempt is repeated, and after how long."""

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from durable_core.durations import MAX_US, from_us
from durable_core.errors import NonRetryableError, OptionError
from durable_core.options import Policy, RetryPolicy, TaskOptions

MIDDLE = 0.5


def middle() -> float:
    """Return the random number that changes nothing."""
    return MIDDLE


def test_delays_grow_by_the_multiplier_up_to_the_maximum() -> None:
    policy = RetryPolicy(9, delay=0.5, multiplier=3, max_delay=timedelta(seconds=10))
    delays = [policy.delay_us(failures, middle) for failures in range(5)]
    assert delays == [500_000, 1_500_000, 4_500_000, 10_000_000, 10_000_000]


def test_the_defaults() -> None:
    assert RetryPolicy() == RetryPolicy(
        0,
        delay=1.0,
        multiplier=2.0,
        max_delay=300.0,
        jitter=0.1,
        retry_on=(Exception,),
        never_on=(),
    )


@pytest.mark.parametrize(("drawn", "us"), [(0.0, 800_000), (0.25, 900_000), (0.5, 1_000_000)])
def test_jitter_spreads_both_ways(drawn: float, us: int) -> None:
    policy = RetryPolicy(1, delay=1, jitter=0.2)
    assert policy.delay_us(0, lambda: drawn) == us
    assert policy.delay_us(0, lambda: 1 - drawn) == 2_000_000 - us


def test_without_jitter_nothing_is_drawn() -> None:
    def never() -> float:
        pytest.fail("drawn")

    assert RetryPolicy(1, delay=1, jitter=0).delay_us(0, never) == 1_000_000
    assert RetryPolicy(1, delay=0, jitter=1).delay_us(0, never) == 0


@given(
    failures=st.integers(0, 2**31),
    delay=st.floats(0, MAX_US / 1_000_000),
    multiplier=st.floats(1, 1000),
    max_delay=st.floats(0, MAX_US / 1_000_000),
    jitter=st.floats(0, 1),
    drawn=st.floats(0, 1, exclude_max=True),
)
def test_delays_stay_in_bounds_and_the_stored_policy_agrees(  # noqa: PLR0917 - drawn by name
    failures: int, delay: float, multiplier: float, max_delay: float, jitter: float, drawn: float
) -> None:
    retries = RetryPolicy(1, delay=delay, multiplier=multiplier, max_delay=max_delay, jitter=jitter)
    us = retries.delay_us(failures, lambda: drawn)
    assert 0 <= us <= min(MAX_US, max_delay * (1 + jitter) * 1_000_000 + 1)
    stored = Policy.decode(Policy.of(TaskOptions.build(retries=retries)).encode())
    assert stored.next_delay_us(failures, lambda: drawn) == us
    assert from_us(us) >= timedelta(0)


def test_delays_stay_in_bounds_after_very_many_failures() -> None:
    policy = RetryPolicy(1, delay=1, multiplier=1000, max_delay=60)
    assert policy.delay_us(10**6, middle) == 60_000_000
    slow = RetryPolicy(1, delay=1, multiplier=1, max_delay=60)
    assert slow.delay_us(10**6, middle) == 1_000_000


class TestWants:
    def test_exceptions_by_default(self) -> None:
        policy = RetryPolicy(1)
        assert policy.wants(ValueError())
        assert policy.wants(TimeoutError())
        assert not policy.wants(KeyboardInterrupt())

    def test_only_those_named(self) -> None:
        policy = RetryPolicy(1, retry_on=(OSError, KeyError))
        assert policy.wants(ConnectionError())
        assert policy.wants(KeyError())
        assert not policy.wants(ValueError())

    def test_never_wins(self) -> None:
        policy = RetryPolicy(1, retry_on=(OSError,), never_on=(FileNotFoundError,))
        assert policy.wants(OSError())
        assert not policy.wants(FileNotFoundError())

    def test_nothing_can_be_asked_for(self) -> None:
        assert not RetryPolicy(1, retry_on=()).wants(ValueError())

    def test_the_user_has_the_last_word(self) -> None:
        class OwnError(NonRetryableError, OSError):
            pass

        assert not RetryPolicy(1, retry_on=(OSError,)).wants(OwnError())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retries": -1}, "retries must be between 0 and 1000000, not -1"),
        ({"retries": 1.5}, "retries must be a whole number, not float: 1.5"),
        ({"retries": True}, "retries must be a whole number, not bool: True"),
        (
            {"delay": -1},
            "delay of a RetryPolicy must be between 0 and 100 years, not -1",
        ),
        (
            {"max_delay": "1m"},
            "max_delay of a RetryPolicy must be a timedelta or a number of seconds, not str: '1m'",
        ),
        ({"multiplier": 0.5}, "multiplier must be between 1 and 1000, not 0.5"),
        ({"multiplier": math.nan}, "multiplier must be between 1 and 1000, not nan"),
        ({"multiplier": "2"}, "multiplier must be a number, not str: '2'"),
        ({"jitter": 1.1}, "jitter must be between 0 and 1, not 1.1"),
        ({"jitter": False}, "jitter must be a number, not bool: False"),
        (
            {"retry_on": OSError},
            "retry_on must be a tuple of exception classes, not type: <class 'OSError'>",
        ),
        ({"never_on": (1,)}, "never_on must hold exception classes only, not 1"),
        ({"never_on": (int,)}, "never_on must hold exception classes only, not <class 'int'>"),
    ],
)
def test_bad_values_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        RetryPolicy(**options)
    assert str(caught.value) == message
