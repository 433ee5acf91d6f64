"""A clock that moves when a test says so."""

import asyncio
import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ..durations import Duration, to_us
from ..engine.clock import Timer

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DEFAULT_START: Final = datetime(2030, 1, 1, tzinfo=UTC)
_MOST_PASSES: Final = 10_000


class FakeClock:
    """Stands still until it is told to advance; an executor's `clock` in tests.

    Give its `time_us` to the storage as well, so that both agree:

        >>> clock = FakeClock()
        >>> storage = MemoryStorage(clock=clock.time_us)
        >>> executor = DurableExecutor(storage, clock=clock)

    Only the engine's time is faked: an ``asyncio.sleep`` in a task takes as long as it says.

    Args:
        start: What its calendar shows at first; with a time zone.
    """

    def __init__(self, start: datetime = _DEFAULT_START) -> None:
        self._start_us = (start - _EPOCH) // timedelta(microseconds=1)
        self._elapsed_us = 0
        self._timers: list[_FakeTimer] = []
        self._made = 0

    def monotonic(self) -> float:
        """Return the seconds advanced so far."""
        return self._elapsed_us / 1e6

    def time_us(self) -> int:
        """Return the calendar's time in microseconds since the Unix epoch."""
        return self._start_us + self._elapsed_us

    def now(self) -> datetime:
        """Return the calendar's time, in UTC."""
        return _EPOCH + timedelta(microseconds=self.time_us())

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back when the clock has been advanced to this monotonic time, or soon if it has."""
        self._made += 1
        timer = _FakeTimer(round(when * 1e6), self._made, callback)
        if timer.at_us <= self._elapsed_us:
            asyncio.get_running_loop().call_soon(timer.fire)
        else:
            heapq.heappush(self._timers, timer)
        return timer

    async def advance(self, duration: Duration) -> None:
        """Move the clock, and make the calls that become due on the way, in order of their time.

        At each of them the clock stands at that call's time, and whatever it sets off in the event
        loop runs before the next one. Threads and real input or output are not waited for: see
        `run_until_idle`.

        Args:
            duration: How far: seconds or a timedelta.
        """
        until_us = self._elapsed_us + to_us(duration, "duration")
        await settle()
        while (timer := self._next_until(until_us)) is not None:
            self._elapsed_us = max(self._elapsed_us, timer.at_us)
            timer.fire()
            await settle()
        self._elapsed_us = max(self._elapsed_us, until_us)

    def _next_until(self, until_us: int) -> "_FakeTimer | None":
        while self._timers and self._timers[0].at_us <= until_us:
            timer = heapq.heappop(self._timers)
            if not timer.cancelled:
                return timer
        return None


class _FakeTimer:
    """A call to be made; earlier ones sort first, and of the same time those made first."""

    __slots__ = ("_callback", "_number", "at_us", "cancelled")

    def __init__(self, at_us: int, number: int, callback: Callable[[], None]) -> None:
        self.at_us = at_us
        self.cancelled = False
        self._number = number
        self._callback = callback

    def __lt__(self, other: "_FakeTimer") -> bool:
        return (self.at_us, self._number) < (other.at_us, other._number)

    def cancel(self) -> None:
        """See `Timer.cancel`."""
        self.cancelled = True

    def fire(self) -> None:
        """Make the call, unless it was cancelled."""
        if not self.cancelled:
            self._callback()


async def settle() -> None:
    """Let the event loop run until nothing in it can go on by itself.

    What waits for a clock, a thread, the network or an event that nobody sets stays as it is. Code
    that never stops yielding is given a bounded number of turns.
    """
    # Asyncio's own loops tell what is ready; of another loop a number of turns has to do.
    ready: Any = getattr(asyncio.get_running_loop(), "_ready", None)
    for turn in range(_MOST_PASSES):
        await asyncio.sleep(0)
        if not ready if ready is not None else turn >= _BLIND_PASSES:
            return


_BLIND_PASSES: Final = 200
