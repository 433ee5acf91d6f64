"""How often, when, and after which exceptions a failed attempt is repeated."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Final

from ..durations import MAX_US, Duration, to_us
from ..errors import NonRetryableError
from .checks import check_exceptions, check_float, check_int

MAX_RETRIES: Final = 1_000_000
"""Most retries that a policy may allow; so many mean that it never gives up."""

MAX_MULTIPLIER: Final = 1000.0
"""Largest factor between two delays."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often, when, and after which exceptions a failed attempt is repeated.

    The delay before retry *n* (0 is the first) is ``delay * multiplier ** n``, at most
    `max_delay`, then spread evenly by up to ``± jitter`` of itself, so that executions that failed
    together do not come back together (and the spread may go beyond `max_delay`).

    Attributes:
        retries: Attempts after the first: 0 to 1,000,000, which means for ever.
        delay: Before the first retry: timedelta or seconds.
        multiplier: Factor between two delays: 1 to 1000.
        max_delay: Upper bound of the delay before jitter: timedelta or seconds.
        jitter: Spread as a fraction of the delay: 0 to 1.
        retry_on: Exceptions that are worth another attempt; an attempt's timeout counts as
            `TimeoutError`.
        never_on: Exceptions that end the execution at once, even if `retry_on` has them.

    Raises:
        OptionError: A value is not allowed; the message names it.
    """

    retries: int = 0
    _: KW_ONLY
    delay: Duration = 1.0
    multiplier: float = 2.0
    max_delay: Duration = 300.0
    jitter: float = 0.1
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    never_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        """Check every value."""
        check_int("retries", self.retries, 0, MAX_RETRIES)
        to_us(self.delay, "delay of a RetryPolicy")
        check_float("multiplier", self.multiplier, 1.0, MAX_MULTIPLIER)
        to_us(self.max_delay, "max_delay of a RetryPolicy")
        check_float("jitter", self.jitter, 0.0, 1.0)
        check_exceptions("retry_on", self.retry_on)
        check_exceptions("never_on", self.never_on)

    @classmethod
    def endless(cls, delay: Duration = 5.0) -> "RetryPolicy":
        """Return the policy that never gives up, with the same pause before every attempt.

        Args:
            delay: Before each retry: timedelta or seconds.
        """
        return cls(MAX_RETRIES, delay=delay, multiplier=1, max_delay=delay, jitter=0)

    def delay_us(self, failures: int, random: Callable[[], float]) -> int:
        """Return the pause before a retry, in microseconds.

        Args:
            failures: Failed attempts before the one that has just failed: 0 at first.
            random: Returns numbers from 0 up to 1.
        """
        return backoff_us(
            failures,
            random,
            delay_us=to_us(self.delay, "delay"),
            multiplier=self.multiplier,
            max_delay_us=to_us(self.max_delay, "max_delay"),
            jitter=self.jitter,
        )

    def wants(self, exc: BaseException) -> bool:
        """Whether this exception is worth another attempt, should any be left.

        A `NonRetryableError` never is.
        """
        if isinstance(exc, (NonRetryableError, *self.never_on)):
            return False
        return isinstance(exc, self.retry_on)


def backoff_us(
    failures: int,
    random: Callable[[], float],
    *,
    delay_us: int,
    multiplier: float,
    max_delay_us: int,
    jitter: float,
) -> int:
    """Return the pause before a retry, µs; see `RetryPolicy`.

    Args:
        failures: Failed attempts before the one that has just failed.
        random: Returns numbers from 0 up to 1.
        delay_us: Before the first retry, µs.
        multiplier: Factor between two delays.
        max_delay_us: Upper bound before jitter, µs.
        jitter: Spread as a fraction of the delay.
    """
    if delay_us == 0:
        return 0
    try:
        pause = min(float(max_delay_us), delay_us * multiplier**failures)
    except OverflowError:
        pause = float(max_delay_us)
    if jitter:
        pause *= 1 + jitter * (2 * random() - 1)
    return min(round(pause), MAX_US)
