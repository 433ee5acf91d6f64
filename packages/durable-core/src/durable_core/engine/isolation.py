"""Keeping suspects apart: executions that several executors held when they died."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from ..tasks.signal import Signal
from .clock import Clock, wait_until


class Isolation:
    """Lets one suspect begin at a time, and nothing else for the first seconds of its run.

    What kills an executor mostly does so soon. Run apart, a suspect's next crash harms nobody else
    and proves its guilt; after its probation others may begin, so that a long execution does not
    stop the executor. What runs already when a suspect's turn comes is waited for, but not for
    ever: an execution that takes hours must not keep a suspect from ever being run.

    Args:
        clock: For the waiting times.
        probation: Seconds for which nothing else may begin.
        patience: Seconds for which a suspect waits for others to end.
    """

    def __init__(self, clock: Clock, *, probation: float, patience: float) -> None:
        self._clock = clock
        self._probation = probation
        self._patience = patience
        self._turn = asyncio.Lock()
        self._active = 0
        self._quiet = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()
        self._impatient = False

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
            self._impatient = False
            self._quiet.set()

    async def turn(self, cancelled: Signal) -> AbstractAsyncContextManager[None] | None:
        """Wait for a suspect's turn, and for the others to end.

        Args:
            cancelled: The suspect's own; raised, it need not wait any more.

        Returns:
            What to run it in; None if it was cancelled first.
        """
        if not await self._acquired(cancelled):
            return None
        self._open.clear()
        await self._wait_for_quiet(cancelled)
        if cancelled.is_set():
            self._end_turn()
            return None
        return self._probe()

    async def _acquired(self, cancelled: Signal) -> bool:
        if not self._turn.locked():
            # At once, before anything else can begin.
            return await self._turn.acquire()
        mine = asyncio.ensure_future(self._turn.acquire())
        stop = asyncio.ensure_future(cancelled.wait())
        await asyncio.wait((mine, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        return mine.done() or not mine.cancel()

    async def _wait_for_quiet(self, cancelled: Signal) -> None:
        """Wait until nothing else runs; for nothing if the last suspect waited in vain."""
        if self._active == 0 or self._impatient:
            return
        self._quiet.clear()
        until = self._clock.monotonic() + self._patience
        quiet = asyncio.ensure_future(wait_until(self._clock, self._quiet, until))
        stop = asyncio.ensure_future(cancelled.wait())
        await asyncio.wait((quiet, stop), return_when=asyncio.FIRST_COMPLETED)
        quiet.cancel()
        stop.cancel()
        self._impatient = self._active > 0

    @asynccontextmanager
    async def _probe(self) -> AsyncGenerator[None]:
        ended = False

        def end() -> None:
            nonlocal ended
            if not ended:
                ended = True
                self._end_turn()

        timer = self._clock.call_at(self._clock.monotonic() + self._probation, end)
        self.join()
        try:
            yield
        finally:
            timer.cancel()
            self.leave()
            end()

    def _end_turn(self) -> None:
        self._open.set()
        self._turn.release()
