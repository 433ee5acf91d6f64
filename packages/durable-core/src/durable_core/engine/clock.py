"""Time and chance, injected: the engine never asks the machine directly."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol


class Timer(Protocol):
    """A call that will be made, unless it is cancelled."""

    def cancel(self) -> None:
        """Do not make the call; nothing happens if it was made."""
        ...


class Clock(Protocol):
    """A monotonic clock that can call back."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary moment; never goes backwards."""
        ...

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back in the running event loop at this monotonic time, or soon if it is past."""
        ...


class SystemClock:
    """The machine's monotonic clock and the event loop's timers."""

    def monotonic(self) -> float:
        """Return `time.monotonic`, which is also the event loop's clock."""
        return time.monotonic()

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Schedule with the running event loop."""
        return asyncio.get_running_loop().call_at(when, callback)


def short_wait_us(clock: Clock) -> int:
    """Return the longest wait, µs, that is spent in memory instead of in the storage.

    Under a clock of a test's own that is none: so nothing but what is stored has to be waited for.
    """
    return 1_000_000 if isinstance(clock, SystemClock) else 0


async def sleep(clock: Clock, seconds: float) -> None:
    """Wait for so many seconds of this clock."""
    woken = asyncio.Event()
    timer = clock.call_at(clock.monotonic() + seconds, woken.set)
    try:
        await woken.wait()
    finally:
        timer.cancel()


async def wait_until(clock: Clock, event: asyncio.Event, when: float | None) -> bool:
    """Wait for the event, at the longest until a monotonic time.

    Args:
        clock: Whose time counts.
        event: What to wait for; it is left as it is.
        when: Seconds; None waits for ever.

    Returns:
        Whether the event was set.
    """
    if event.is_set() or when is None:
        await event.wait()
        return True
    if when <= clock.monotonic():
        # Others get their turn, also beside somebody who asks again and again.
        await asyncio.sleep(0)
        return event.is_set()
    waiting = asyncio.ensure_future(event.wait())
    timer = clock.call_at(when, partial(_cancel, waiting))
    try:
        await asyncio.wait((waiting,))
    finally:
        timer.cancel()
        waiting.cancel()
    return event.is_set()


def _cancel(waiting: "asyncio.Future[Any]") -> None:
    waiting.cancel()


@dataclass(frozen=True, slots=True)
class _Sample:
    storage_us: int
    monotonic: float
    took: float


class StorageTime:
    """The storage's time, carried on by the local monotonic clock between two samples.

    So executors with wrong clocks agree, and a jump of a machine's clock moves nothing. Reading
    it is safe from any thread: a sample is replaced as a whole.

    Args:
        clock: The monotonic clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sample: _Sample | None = None
        self._jumped_at = float("-inf")

    async def ask(self, read: Callable[[], Awaitable[int]]) -> None:
        """Take a sample: ask the storage for its time, µs."""
        sent = self._clock.monotonic()
        self.sampled(await read(), sent, self._clock.monotonic())

    def sampled(self, storage_us: int, sent: float, received: float) -> None:
        """Take note of what the storage answered.

        Args:
            storage_us: Its time.
            sent: Monotonic seconds when it was asked.
            received: Monotonic seconds when the answer came.
        """
        middle = (sent + received) / 2
        before = self._sample
        if before is not None:
            expected = before.storage_us + (middle - before.monotonic) * 1e6
            if abs(storage_us - expected) > (received - sent + _DRIFT) * 1e6:
                self._jumped_at = received
        self._sample = _Sample(storage_us, middle, received - sent)

    def now(self) -> int:
        """Return the storage's time as far as it is known, µs.

        Raises:
            RuntimeError: No sample was taken yet.
        """
        sample = self._sample
        if sample is None:
            msg = "the storage's clock was not asked yet"
            raise RuntimeError(msg)
        return sample.storage_us + round((self._clock.monotonic() - sample.monotonic) * 1e6)

    @property
    def age(self) -> float:
        """Seconds since the storage was asked."""
        sample = self._sample
        return float("inf") if sample is None else self._clock.monotonic() - sample.monotonic

    def monotonic_at(self, storage_us: int) -> float:
        """Return the monotonic time at which the storage's clock will show this."""
        return self._clock.monotonic() + (storage_us - self.now()) / 1e6

    def trustworthy(self, *, beat: float, ttl: float) -> bool:
        """Whether the time is good enough to declare others dead by it (ENGINE-9).

        Args:
            beat: Seconds between two samples.
            ttl: Seconds of a lease.
        """
        sample = self._sample
        now = self._clock.monotonic()
        # After a jump every neighbour's lease is wrong until it has seen the new time and beaten.
        if sample is None or now - self._jumped_at < 2 * ttl:
            return False
        return now - sample.monotonic <= beat and sample.took < ttl / 3


_DRIFT = 0.5
"""Seconds by which two samples may disagree before the later one counts as a jump."""
