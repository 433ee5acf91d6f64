"""Durations are taken as people write them, and refused with the option's name."""

import math
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from durable_core.durations import MAX_US, from_us, to_us
from durable_core.errors import OptionError


@pytest.mark.parametrize(
    ("value", "us"),
    [
        (0, 0),
        (0.0, 0),
        (-0.0, 0),
        (1, 1_000_000),
        (0.1, 100_000),
        (2.5e-6, 2),
        (1e-9, 0),
        (timedelta(0), 0),
        (timedelta(microseconds=1), 1),
        (timedelta(days=1, microseconds=3), 86_400_000_003),
        (MAX_US // 1_000_000, MAX_US),
        (timedelta(days=36_525), MAX_US),
    ],
)
def test_durations_become_microseconds(value: float | timedelta, us: int) -> None:
    assert to_us(value, "delay") == us


@pytest.mark.parametrize(
    "value",
    [
        -1,
        -1e-9,
        timedelta(microseconds=-1),
        math.nan,
        math.inf,
        -math.inf,
        10**400,
        1e308,
        MAX_US // 1_000_000 + 1,
        timedelta(days=36_526),
        timedelta.max,
        timedelta.min,
    ],
)
def test_durations_out_of_range_are_refused(value: Any) -> None:
    with pytest.raises(OptionError) as caught:
        to_us(value, "max_delay")
    message = str(caught.value)
    assert message.startswith("max_delay must be between 0 and 100 years, not ")
    assert len(message) < 150


@pytest.mark.parametrize("value", [True, False, "5", None, Decimal(5), [1], b"1", 1j])
def test_other_types_are_refused(value: Any) -> None:
    with pytest.raises(OptionError) as caught:
        to_us(value, "timeout")
    assert str(caught.value) == (
        f"timeout must be a timedelta or a number of seconds, not {type(value).__name__}: {value!r}"
    )


@given(value=st.timedeltas(timedelta(0), timedelta(days=36_525)))
def test_timedeltas_come_back_exactly(value: timedelta) -> None:
    assert from_us(to_us(value, "x")) == value


@given(us=st.integers(0, 2**50))
def test_seconds_are_exact_to_the_microsecond(us: int) -> None:
    assert to_us(us / 1_000_000, "x") == us
