"""Checks of option values, with errors for the person who wrote them."""

import math
from datetime import datetime
from typing import cast

from ..errors import OptionError
from ..storage.errors import InvalidArgumentError
from ..storage.kit import limits


def is_number(value: object) -> bool:
    """Whether a value is an int or a float, and not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_int(what: str, value: object, low: int, high: int) -> None:
    """Refuse what is no whole number from low to high.

    Raises:
        OptionError: It is refused.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        msg = f"{what} must be a whole number, not {type(value).__name__}: {value!r}"
        raise OptionError(msg)
    if not low <= value <= high:
        msg = f"{what} must be between {low} and {high}, not {value}"
        raise OptionError(msg)


def check_float(what: str, value: object, low: float, high: float) -> None:
    """Refuse what is no number from low to high.

    Raises:
        OptionError: It is refused.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        msg = f"{what} must be a number, not {type(value).__name__}: {value!r}"
        raise OptionError(msg)
    if math.isnan(value) or not low <= value <= high:
        msg = f"{what} must be between {low:g} and {high:g}, not {value}"
        raise OptionError(msg)


def check_exceptions(what: str, value: object) -> None:
    """Refuse what is no tuple of exception classes.

    Raises:
        OptionError: It is refused.
    """
    if not isinstance(value, tuple):
        msg = f"{what} must be a tuple of exception classes, not {type(value).__name__}: {value!r}"
        raise OptionError(msg)
    for item in cast("tuple[object, ...]", value):
        if not (isinstance(item, type) and issubclass(item, BaseException)):
            msg = f"{what} must hold exception classes only, not {item!r}"
            raise OptionError(msg)


def check_name(what: str, value: object, limit: int | None = None) -> None:
    """Refuse what is no text that every storage can keep as a name.

    Raises:
        OptionError: It is refused.
    """
    if not isinstance(value, str):
        msg = f"{what} must be a str, not {type(value).__name__}: {value!r}"
        raise OptionError(msg)
    try:
        if limit is None:
            limits.check_name(what, value)
        else:
            limits.check_name(what, value, limit)
    except InvalidArgumentError as error:
        raise OptionError(str(error)) from None


def check_id(what: str, value: object) -> None:
    """Refuse what is no id of an execution.

    Raises:
        OptionError: It is refused.
    """
    if not isinstance(value, str):
        msg = f"{what} must be a str, not {type(value).__name__}: {value!r}"
        raise OptionError(msg)
    try:
        limits.check_id(what, value)
    except InvalidArgumentError as error:
        raise OptionError(str(error)) from None


def check_aware(what: str, value: object) -> None:
    """Refuse what is no datetime with a time zone.

    Raises:
        OptionError: It is refused.
    """
    if not isinstance(value, datetime):
        msg = f"{what} must be a datetime, not {type(value).__name__}: {value!r}"
        raise OptionError(msg)
    if value.utcoffset() is None:
        msg = (
            f"{what} must have a time zone, {value!r} has none: "
            "use datetime.now(timezone.utc) or .astimezone()"
        )
        raise OptionError(msg)
