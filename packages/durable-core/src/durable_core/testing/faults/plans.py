"""Plans: what happens to which call, said call by call or left to chance."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

from ...storage import Hint
from ...storage.adapters import METHODS, MethodName
from .fault import Fault, temporary, unknown

WRITES: Final = frozenset[MethodName](
    {
        "insert",
        "claim",
        "apply",
        "wake",
        "cancel",
        "heartbeat",
        "reap",
        "purge",
        "bind_insert",
        "bind_checkpoint",
        "pulse_beat",
    }
)
"""Methods whose outcome can be unknown; a read is only ever not answered."""

_HARMLESS: Final = Fault()


@dataclass(slots=True, kw_only=True)
class LoggedCall:
    """One call as the wrapper saw it; the last three attributes are filled in as it goes on.

    Attributes:
        number: The how-manieth call of all, from 1.
        method: What was called.
        arguments: With what.
        fault: What was done to it.
        landed: How often the storage has carried it out.
        answer: What the caller got; None if it got none.
        error: What was raised instead.
    """

    number: int
    method: MethodName
    arguments: Mapping[str, object]
    fault: Fault | None = None
    landed: int = 0
    answer: object = None
    error: BaseException | None = None


class Plan:
    """Decides what happens to which call. This one lets everything pass."""

    def fault(self, call: LoggedCall) -> Fault | None:
        """Return what happens to the call; None nothing. Asked once for every call."""
        return None

    def deliveries(self, hint: Hint) -> int:
        """Return how often the hint is delivered."""
        return 1


@dataclass(slots=True)
class On(Plan):
    """Does one thing to certain calls, counted from the moment the plan is in use.

    Attributes:
        method: Calls of this method; None of every method.
        happens: What happens to them.
        nth: Only to the nth of them, from 1.
        times: Only to the first so many of them; all of them if this and `nth` are None.
        where: Only calls for which this is true are counted.
    """

    method: MethodName | None
    happens: Fault
    nth: int | None = None
    times: int | None = None
    where: Callable[[LoggedCall], bool] | None = None
    _seen: int = field(default=0, init=False)

    def fault(self, call: LoggedCall) -> Fault | None:
        """See `Plan.fault`."""
        if self.method is not None and call.method != self.method:
            return None
        if self.where is not None and not self.where(call):
            return None
        self._seen += 1
        if self.nth is not None:
            return self.happens if self._seen == self.nth else None
        return self.happens if self.times is None or self._seen <= self.times else None


class Randomly(Plan):
    """Does things at random: the same for the same seed and the same order of calls.

    Args:
        seed: Decides everything.
        failure: The part of calls that raise `TemporaryError`, 0 to 1.
        lost_request: The part of writes that never arrive and raise `OutcomeUnknownError`.
        lost_answer: The part of writes that land and raise `OutcomeUnknownError`.
        twice: The part of writes that are delivered twice.
        delayed: The part of calls whose request or answer is slow.
        max_delay: How slow, at most, in seconds.
        dropped_hint: The part of hints that are not delivered.
        doubled_hint: The part of hints that are delivered twice.
        methods: Which methods; by default all but `setup` and `close`.

    Raises:
        ValueError: A part is not between 0 and 1.
    """

    def __init__(
        self,
        seed: int,
        *,
        failure: float = 0.0,
        lost_request: float = 0.0,
        lost_answer: float = 0.0,
        twice: float = 0.0,
        delayed: float = 0.0,
        max_delay: float = 1.0,
        dropped_hint: float = 0.0,
        doubled_hint: float = 0.0,
        methods: Collection[MethodName] | None = None,
    ) -> None:
        parts = (failure, lost_request, lost_answer, twice, delayed, dropped_hint, doubled_hint)
        for part in parts:
            if not 0 <= part <= 1:
                msg = f"a part of calls must be between 0 and 1, not {part}"
                raise ValueError(msg)
        self._random = Random(seed)  # noqa: S311 - must be repeatable, guards nothing
        self._failure = failure
        self._lost_request = lost_request
        self._lost_answer = lost_answer
        self._twice = twice
        self._delayed = delayed
        self._max_delay = max_delay
        self._dropped_hint = dropped_hint
        self._doubled_hint = doubled_hint
        self._methods = frozenset(METHODS if methods is None else methods)
        if methods is None:
            self._methods -= {"setup", "close"}

    def fault(self, call: LoggedCall) -> Fault | None:
        """See `Plan.fault`."""
        if call.method not in self._methods:
            return None
        # Always the same number of draws, so that one call's fate does not shift the next one's.
        failure, request, answer, twice, delayed, before, after = (
            self._random.random() for _ in range(7)
        )
        slow = self._max_delay if delayed < self._delayed else 0.0
        write = call.method in WRITES
        error_before: Callable[[], BaseException] | None = None
        if failure < self._failure:
            error_before = temporary
        elif write and request < self._lost_request:
            error_before = unknown
        fault = Fault(
            delay_before=slow * before,
            error_before=error_before,
            deliveries=2 if write and twice < self._twice else 1,
            delay_after=slow * after,
            error_after=unknown if write and answer < self._lost_answer else None,
        )
        return None if fault == _HARMLESS else fault

    def deliveries(self, hint: Hint) -> int:
        """See `Plan.deliveries`."""
        dropped, doubled = self._random.random(), self._random.random()
        if dropped < self._dropped_hint:
            return 0
        return 2 if doubled < self._doubled_hint else 1
