"""How much may run at once, and keeping suspects apart."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from .clock import Clock, wait_until


class Slots:
    """A bounded number of places to run in.

    Args:
        capacity: How many.
        freed: Called whenever a place becomes free.
    """

    def __init__(self, capacity: int, freed: Callable[[], None]) -> None:
        self.capacity = capacity
        self._used = 0
        self._freed = freed

    @property
    def free(self) -> int:
        """How many places are free; never negative."""
        return max(0, self.capacity - self._used)

    @property
    def used(self) -> int:
        """How many are taken; adopted executions may take more than there are."""
        return self._used

    def take(self) -> None:
        """Take one place."""
        self._used += 1

    def give_back(self) -> None:
        """Free one place."""
        self._used -= 1
        self._freed()


class NotAloneError(Exception):
    """A suspect found no quiet moment; it is handed back."""


class Isolation:
    """Lets one suspect run at a time, alone for its first seconds.

    An execution that was held by several executors when they died may be what killed them. Run
    apart, its next crash harms nobody else and proves its guilt. After `probation` others may
    join, so that a long execution does not stop the executor.

    Args:
        clock: For the waiting times.
        probation: Seconds that a suspect runs alone.
        patience: Seconds that it waits for the others to end.
    """

    def __init__(self, clock: Clock, *, probation: float, patience: float) -> None:
        self._clock = clock
        self._probation = probation
        self._patience = patience
        self._suspects = asyncio.Lock()
        self._active = 0
        self._quiet = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()

    @property
    def open(self) -> bool:
        """Whether executions that are no suspects may start."""
        return self._open.is_set()

    async def enter(self) -> None:
        """Wait until no suspect needs to be alone, and count as running."""
        while not self._open.is_set():
            await self._open.wait()
        self.join()

    def join(self) -> None:
        """Count as running; only while `open`."""
        self._active += 1

    def leave(self) -> None:
        """No longer count as running."""
        self._active -= 1
        if self._active == 0:
            self._quiet.set()

    @asynccontextmanager
    async def alone(self) -> AsyncGenerator[None]:
        """Run one suspect: wait for quiet, keep others out during its probation.

        Raises:
            NotAloneError: The others did not end in time.
        """
        async with self._suspects:
            self._open.clear()
            try:
                self._quiet.clear()
                until = self._clock.monotonic() + self._patience
                if self._active and not await wait_until(self._clock, self._quiet, until):
                    raise NotAloneError
                ends = self._clock.monotonic() + self._probation
                timer = self._clock.call_at(ends, self._open.set)
                try:
                    yield
                finally:
                    timer.cancel()
            finally:
                self._open.set()
