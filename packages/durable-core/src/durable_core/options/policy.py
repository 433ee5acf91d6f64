"""The part of a task's options that is copied into each row."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol, cast

from ..durations import to_us
from ..errors import OptionError
from .checks import is_number
from .retry import MAX_RETRIES, RetryPolicy, backoff_us

_VERSION: Final = 1


class Storable(Protocol):
    """What a policy is made of: `TaskOptions`."""

    @property
    def retries(self) -> RetryPolicy:
        """After a failed attempt."""
        ...

    @property
    def timeout_us(self) -> int | None:
        """For each attempt, µs."""
        ...

    @property
    def deadline_us(self) -> int | None:
        """For the whole life, µs."""
        ...


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What of a task's options is copied into each row, and obeyed by whoever runs it.

    Rows keep the policy that they were enqueued with: a deploy that changes a task's options
    changes new executions only. Which exceptions are retried is code, and stays in the task.

    Attributes:
        retries: Attempts after the first.
        delay_us: Before the first retry, µs.
        multiplier: Factor between two delays.
        max_delay_us: Upper bound of the delay before jitter, µs.
        jitter: Spread as a fraction of the delay.
        timeout_us: For each attempt, µs; None for no limit.
        deadline_us: For the whole life, µs from enqueueing on; None for no limit.
    """

    retries: int = 0
    delay_us: int = 0
    multiplier: float = 1.0
    max_delay_us: int = 0
    jitter: float = 0.0
    timeout_us: int | None = None
    deadline_us: int | None = None

    @classmethod
    def of(cls, options: Storable) -> "Policy":
        """Return the storable part of a task's options."""
        retry = options.retries
        if retry.retries == 0:
            return cls(timeout_us=options.timeout_us, deadline_us=options.deadline_us)
        return cls(
            retries=retry.retries,
            delay_us=to_us(retry.delay, "delay"),
            multiplier=float(retry.multiplier),
            max_delay_us=to_us(retry.max_delay, "max_delay"),
            jitter=float(retry.jitter),
            timeout_us=options.timeout_us,
            deadline_us=options.deadline_us,
        )

    def encode(self) -> bytes:
        """Return compact UTF-8 JSON; what stands for nothing is left out."""
        fields: dict[str, object] = {"v": _VERSION}
        for name in _POLICY_FIELDS:
            value = getattr(self, name)
            if value != _POLICY_FIELDS[name]:
                fields[name] = value
        return json.dumps(fields, separators=(",", ":")).encode()

    @staticmethod
    @lru_cache(maxsize=1024)
    def decode(data: bytes) -> "Policy":
        """Return what `encode` wrote; fields that this release does not know are ignored.

        Empty bytes are the policy without retries and limits.

        Raises:
            OptionError: The bytes are something else, or of a later version.
        """
        if not data:
            return Policy()
        try:
            found: object = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise OptionError(_unreadable(data)) from error
        if not isinstance(found, dict):
            raise OptionError(_unreadable(data))
        fields = cast("dict[str, Any]", found)
        version = fields.get("v")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise OptionError(_unreadable(data))
        if version > _VERSION:
            msg = (
                f"the stored options have version {version}, this release reads up to "
                f"{_VERSION}: upgrade this installation"
            )
            raise OptionError(msg)
        known = {name: fields[name] for name in _POLICY_FIELDS if name in fields}
        if not all(_fits(name, value) for name, value in known.items()):
            raise OptionError(_unreadable(data))
        return Policy(**known)

    def allows(self, failures: int) -> bool:
        """Whether another attempt follows after one more failure.

        Args:
            failures: Failed attempts before the one that has just failed.
        """
        return failures < self.retries or self.retries >= MAX_RETRIES

    def next_delay_us(self, failures: int, random: Callable[[], float]) -> int:
        """Return the pause before a retry, as `RetryPolicy.delay_us` does."""
        return backoff_us(
            failures,
            random,
            delay_us=self.delay_us,
            multiplier=self.multiplier,
            max_delay_us=self.max_delay_us,
            jitter=self.jitter,
        )


_POLICY_FIELDS: Final[dict[str, object]] = {
    name: definition.default for name, definition in Policy.__dataclass_fields__.items()
}


_TOO_LARGE: Final = 2**63
_OPTIONAL: Final = frozenset({"timeout_us", "deadline_us"})
_FRACTIONS: Final = frozenset({"multiplier", "jitter"})


def _fits(name: str, value: object) -> bool:
    if value is None:
        return name in _OPTIONAL
    if not is_number(value) or not 0 <= cast("float", value) < _TOO_LARGE:
        return False
    return isinstance(value, int) or name in _FRACTIONS


def _unreadable(data: bytes) -> str:
    return f"the stored options are not what durable wrote: {data[:80]!r}"
