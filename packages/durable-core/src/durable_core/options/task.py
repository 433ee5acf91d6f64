"""Options of a task, and of one enqueue of it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Self, cast

from ..durations import Duration, to_us
from ..errors import OptionError
from ..storage.kit.limits import MAX_PRIORITY, MAX_TAG, MAX_TAGS, MIN_PRIORITY
from .checks import check_aware, check_id, check_int, check_name, is_number
from .retry import RetryPolicy

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_RETRIES: Final = RetryPolicy(0)


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """A task's checked options; made by `build`.

    Attributes:
        retries: After a failed attempt.
        timeout_us: For each attempt, µs; None for no limit.
        deadline_us: For the whole life, from enqueueing on, µs; None for no limit.
        delay_us: Before the first run, µs.
        priority: -1000 to 1000; larger first.
        queue: Executors that serve it run the task.
        tags: Words to find executions by.
    """

    retries: RetryPolicy = _NO_RETRIES
    timeout_us: int | None = None
    deadline_us: int | None = None
    delay_us: int = 0
    priority: int = 0
    queue: str = "default"
    tags: frozenset[str] = frozenset()

    @classmethod
    def build(
        cls,
        *,
        retries: RetryPolicy | int | None = None,
        timeout: Duration | None = None,
        deadline: Duration | None = None,
        delay: Duration | None = None,
        priority: int | None = None,
        queue: str | None = None,
        tags: Iterable[str] | None = None,
        base: Self | None = None,
    ) -> Self:
        """Check options as users write them; None keeps what `base` says.

        Args:
            retries: A policy, or how many: with the delays of the policy of `base`.
            timeout: For each attempt; more than 0.
            deadline: For the whole life; more than 0.
            delay: Before the first run.
            priority: -1000 to 1000; larger first.
            queue: 1 to 191 characters.
            tags: Added to those of `base`; together at most 16, each of 1 to 64 characters.
            base: What to start from; the defaults by default.

        Raises:
            OptionError: A value is not allowed; the message names it and says what is.
        """
        options = cls() if base is None else base
        changes: dict[str, Any] = {}
        if retries is not None:
            changes["retries"] = _retries(retries, options.retries)
        if timeout is not None:
            changes["timeout_us"] = _positive_us(timeout, "timeout")
        if deadline is not None:
            changes["deadline_us"] = _positive_us(deadline, "deadline")
        if delay is not None:
            changes["delay_us"] = to_us(delay, "delay")
        if priority is not None:
            check_int("priority", priority, MIN_PRIORITY, MAX_PRIORITY)
            changes["priority"] = priority
        if queue is not None:
            check_name("queue", queue)
            changes["queue"] = queue
        if tags is not None:
            changes["tags"] = _tags(tags, options.tags)
        return replace(options, **changes) if changes else options


@dataclass(frozen=True, kw_only=True)
class EnqueueOptions:
    """What only a single enqueue can say; checked when made.

    Attributes:
        id: The execution's own id: 1 to 255 printable ASCII characters without blanks.
        key: Idempotency key: 1 to 191 characters.
        start_at: When to run it first; must have a time zone. A time in the past means at once.
        group: Reserved for limits per group: 1 to 191 characters.
        meta: Bytes handed to the running code, such as trace context.

    Raises:
        OptionError: A value is not allowed; the message names it and says what is.
    """

    id: str | None = None
    key: str | None = None
    start_at: datetime | None = None
    group: str | None = None
    meta: bytes | None = None

    def __post_init__(self) -> None:
        """Check every value."""
        if self.id is not None:
            check_id("id", self.id)
        if self.key is not None:
            check_name("key", self.key)
        if self.start_at is not None:
            check_aware("start_at", self.start_at)
        if self.group is not None:
            check_name("group", self.group)
        if self.meta is not None and not isinstance(cast("object", self.meta), bytes):
            msg = f"meta must be bytes, not {type(self.meta).__name__}"
            raise OptionError(msg)

    def updated(
        self,
        *,
        id: str | None = None,  # noqa: A002
        key: str | None = None,
        start_at: datetime | None = None,
        group: str | None = None,
        meta: bytes | None = None,
    ) -> "EnqueueOptions":
        """Return these options with others in their place; None keeps what is there.

        Raises:
            OptionError: A value is not allowed; the message names it and says what is.
        """
        given = {"id": id, "key": key, "start_at": start_at, "group": group, "meta": meta}
        changes: dict[str, Any] = {
            name: value for name, value in given.items() if value is not None
        }
        return replace(self, **changes) if changes else self

    @property
    def start_at_us(self) -> int | None:
        """`start_at` in microseconds since the epoch; never negative."""
        if self.start_at is None:
            return None
        return max(0, _since_epoch_us(self.start_at))


def _since_epoch_us(moment: datetime) -> int:
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _retries(value: RetryPolicy | int, base: RetryPolicy) -> RetryPolicy:
    if isinstance(value, RetryPolicy):
        return value
    if not is_number(value):
        msg = f"retries must be a number or a RetryPolicy, not {type(value).__name__}: {value!r}"
        raise OptionError(msg)
    return replace(base, retries=value)


def _positive_us(value: Duration, what: str) -> int:
    us = to_us(value, what)
    if us == 0:
        msg = f"{what} must be more than 0, not {value!r}"
        raise OptionError(msg)
    return us


def _tags(value: Iterable[str], base: frozenset[str]) -> frozenset[str]:
    if isinstance(value, str | bytes):
        msg = f"tags must be a collection of words, not one {type(value).__name__}: {value!r}"
        raise OptionError(msg)
    try:
        given = tuple(value)
    except TypeError as error:
        msg = f"tags must be a collection of words, not {type(value).__name__}"
        raise OptionError(msg) from error
    for tag in given:
        check_name("a tag", tag, MAX_TAG)
    tags = base | frozenset(given)
    if len(tags) > MAX_TAGS:
        msg = f"at most {MAX_TAGS} tags are allowed, not {len(tags)}: {sorted(tags)!r}"
        raise OptionError(msg)
    return tags
