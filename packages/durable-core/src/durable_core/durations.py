"""Durations as users write them, and as the storage protocol counts them."""

import math
from datetime import timedelta
from typing import Final, TypeAlias

from .errors import OptionError

Duration: TypeAlias = timedelta | float | int
"""A `datetime.timedelta`, or a number of seconds."""

MAX_US: Final = 36_525 * 86_400 * 1_000_000
"""The longest duration that is taken: 100 years, in microseconds."""

_MICROSECOND: Final = timedelta(microseconds=1)
_SECOND_US: Final = 1_000_000


def to_us(value: Duration, what: str) -> int:
    """Return a duration in whole microseconds, rounded to the nearest.

    Args:
        value: A timedelta or seconds; 0 to 100 years.
        what: The option's name, for the error.

    Raises:
        OptionError: The value is negative, not finite, too long, or no duration at all.
    """
    if isinstance(value, timedelta):
        us = value // _MICROSECOND
    elif _is_number(value):
        if not math.isfinite(value):
            msg = f"{what} must be a finite number of seconds, not {value!r}"
            raise OptionError(msg)
        us = round(value * _SECOND_US)
    else:
        msg = (
            f"{what} must be a timedelta or a number of seconds, "
            f"not {type(value).__name__}: {_shown(value)}"
        )
        raise OptionError(msg)
    if us < 0 or value < type(value)(0):
        msg = f"{what} must not be negative, not {_shown(value)}"
        raise OptionError(msg)
    if us > MAX_US:
        msg = f"{what} must be at most 100 years, not {_shown(value)}"
        raise OptionError(msg)
    return us


def from_us(us: int) -> timedelta:
    """Return microseconds as a timedelta."""
    return timedelta(microseconds=us)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: object) -> str:
    text = f"{value} ({value!r})" if isinstance(value, timedelta) else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
