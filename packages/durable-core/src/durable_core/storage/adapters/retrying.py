"""Repeat what failed for a moment, for those who use a storage without the engine."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final, ParamSpec, TypeVar

from ..errors import OutcomeUnknownError, TemporaryError
from ..protocol import Storage
from .forwarding import Forwarding
from .wrapper import MethodName

P = ParamSpec("P")
T = TypeVar("T")

_BOUND: Final = frozenset[MethodName]({"bind_insert", "bind_checkpoint"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How often and after which pauses a call is repeated.

    Attributes:
        attempts: Calls in all, the first included; at least 1.
        delay: Seconds before the second call.
        multiplier: By this each pause is longer than the one before.
        max_delay: No pause is longer than so many seconds.
        jitter: Which part of each pause is random, 0 to 1: with 0.5 a pause lies between half and
            all of its length, so that callers who failed together do not return together.
    """

    attempts: int = 6
    delay: float = 0.025
    multiplier: float = 2.0
    max_delay: float = 1.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense.

        Raises:
            ValueError: Which, and what it may be.
        """
        if self.attempts < 1:
            msg = f"attempts must be at least 1, not {self.attempts}"
            raise ValueError(msg)
        if self.delay < 0 or self.max_delay < 0:
            msg = f"delays must not be negative: {self.delay} s, at most {self.max_delay} s"
            raise ValueError(msg)
        if self.multiplier < 1:
            msg = f"multiplier must be at least 1, not {self.multiplier}"
            raise ValueError(msg)
        if not 0 <= self.jitter <= 1:
            msg = f"jitter must be between 0 and 1, not {self.jitter}"
            raise ValueError(msg)

    def pauses(self, random: Random) -> Iterator[float]:
        """Yield the pauses between the calls, in seconds.

        Args:
            random: Where the jitter comes from.
        """
        pause = min(self.delay, self.max_delay)
        for _ in range(self.attempts - 1):
            yield pause * (1 - self.jitter * random.random())
            pause = min(pause * self.multiplier, self.max_delay)


class Retrying(Forwarding):
    """Repeats calls that failed with `TemporaryError` or `OutcomeUnknownError`.

    A repeated write may be answered as already done: `ApplyOutcome.ALREADY`,
    `InsertOutcome.EXISTING_ID`. Never repeated are

    * a claim of unknown outcome: its rows may be held, and another claim would take others.
      Ask ``find(query=Query(owner=...))`` what the executor holds;
    * anything inside the caller's transaction, which is the caller's to repeat as a whole;
    * the blocking heartbeat of `Pulse`, which has its own rhythm.

    After the last call its error is raised; but a `TemporaryError` says that nothing was written,
    so if the outcome of an earlier call was unknown, that call's error is. The engine repeats by
    itself and needs no `Retrying`.

    Args:
        storage: The storage that may fail for a moment.
        backoff: How often and after which pauses.
        sleep: Waits for so many seconds.
        random: Where the jitter comes from.
    """

    def __init__(
        self,
        storage: Storage,
        backoff: Backoff | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Random | None = None,
    ) -> None:
        super().__init__(storage)
        self._backoff = backoff or Backoff()
        self._sleep = sleep
        self._random = random or Random()  # noqa: S311 - spreads load, guards nothing

    async def around(
        self,
        method: MethodName,
        function: Callable[P, Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Carry out one call, again and again if need be."""
        if method in _BOUND:
            return await function(*args, **kwargs)
        pauses = self._backoff.pauses(self._random)
        failure: TemporaryError | OutcomeUnknownError | None = None
        while True:
            try:
                return await function(*args, **kwargs)
            except OutcomeUnknownError as error:
                failure = error
            except TemporaryError as error:
                if not isinstance(failure, OutcomeUnknownError):
                    failure = error
            pause = next(pauses, None)
            if pause is None or (method == "claim" and isinstance(failure, OutcomeUnknownError)):
                raise failure
            await self._sleep(pause)
