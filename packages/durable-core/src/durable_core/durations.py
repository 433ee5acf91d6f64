"""Durations as users write them, and as the storage protocol counts them."""

from datetime import timedelta
from typing import Final, TypeAlias, cast

from .errors import OptionError

Duration: TypeAlias = timedelta | float | int
"""A `datetime.timedelta`, or a number of seconds."""

MAX_US: Final = 36_525 * 86_400 * 1_000_000
"""The longest duration that is taken: 100 years, in microseconds."""

_SHOWN: Final = 80
_MAX_SECONDS: Final = MAX_US // 1_000_000
_MICROSECOND: Final = timedelta(microseconds=1)
_SECOND_US: Final = 1_000_000


def to_us(value: Duration, what: str) -> int:
    """Return a duration in whole microseconds, rounded to the nearest.

    Args:
        value: A timedelta or seconds; 0 to 100 years.
        what: The option's name, for the error.

    Raises:
        OptionError: The value is negative, not a number, too long, or no duration at all.
    """
    if isinstance(value, timedelta):
        seconds, us = value.total_seconds(), value // _MICROSECOND
    elif isinstance(cast("object", value), int | float) and not isinstance(value, bool):
        seconds, us = value, 0
        if 0 <= seconds <= _MAX_SECONDS:
            us = round(seconds * _SECOND_US)
    else:
        msg = (
            f"{what} must be a timedelta or a number of seconds, "
            f"not {type(value).__name__}: {_shown(value)}"
        )
        raise OptionError(msg)
    if not 0 <= seconds <= _MAX_SECONDS:
        msg = f"{what} must be between 0 and 100 years, not {_shown(value)}"
        raise OptionError(msg)
    return us


def from_us(us: int) -> timedelta:
    """Return microseconds as a timedelta."""
    return timedelta(microseconds=us)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
