"""Checks of an executor's options."""

from ..durations import Duration, to_us
from ..errors import OptionError


def seconds(what: str, value: Duration, *, at_least: float = 0.001) -> float:
    """Return a duration as seconds.

    Raises:
        OptionError: It is too short, or no duration.
    """
    length = to_us(value, what) / 1e6
    if length < at_least:
        msg = f"{what} must be at least {at_least:g} s, not {length:g} s"
        raise OptionError(msg)
    return length


def patience(timeout: Duration | None) -> float | None:
    """Return a caller's patience as seconds."""
    return None if timeout is None else to_us(timeout, "timeout") / 1e6


def at_least(what: str, value: int, low: int) -> None:
    """Refuse a number that is too small, or no whole number.

    Raises:
        OptionError: It is.
    """
    if type(value) is not int or value < low:
        msg = f"{what} must be a whole number of at least {low}, not {value!r}"
        raise OptionError(msg)
