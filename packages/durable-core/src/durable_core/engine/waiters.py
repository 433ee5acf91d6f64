"""Those who wait for results: told by events here, found by hints or polite polling elsewhere."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from ..storage import FINISHED_STATUSES, Head, Record, Status
from .clock import Clock, Timer, wait_until
from .writer import Writer

_LOG = logging.getLogger("durable.wait")
_SWEEP = 500
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 2.0
_QUIET_PAUSE = 10.0
_LONGEST_REST = 20.0
_AT_ONCE = 8
_LATER = 0.02


class Ended(NamedTuple):
    """How an execution ended, or why nobody can tell.

    Attributes:
        status: A finished status; None: there is no such execution (any more).
        output: What it returned, encoded.
        error: What it raised, encoded.
        unknown: The executor was shut down before the execution ended.
    """

    status: Status | None
    output: bytes | None = None
    error: bytes | None = None
    unknown: bool = False


class Waiter(Protocol):
    """Somebody who waits for one or more executions."""

    def ended(self, execution_id: str, how: Ended) -> None:
        """Take the news; called once per execution."""
        ...


class Waiters:
    """Who waits for which execution.

    A waiter costs one entry and no task, so a hundred thousand may wait. What runs in this
    process is told by `resolve`; the others are looked up in sweeps: at once after a hint, else
    with a growing pause. Sweeps that find little are made for a twentieth of the time at most.

    Args:
        writer: For reading.
        clock: For the pauses.
        runs_here: Tells whether an execution is held by this process, which needs no look-up.

    Attributes:
        hinted: Whether the storage's hints are heard.
        news: How often there was a reason to look; whoever knows it from before an execution was
            created need not look for its end while it is the same.
    """

    def __init__(self, writer: Writer, *, clock: Clock, runs_here: Callable[[str], bool]) -> None:
        self._writer = writer
        self._clock = clock
        self._runs_here = runs_here
        self._waiting: dict[str, Waiter | list[Waiter]] = {}
        self._task: asyncio.Task[None] | None = None
        self._look = asyncio.Event()
        self._pause = _FIRST_PAUSE
        self._closed = False
        self._later: Timer | None = None
        self.hinted = False
        self.news = 0

    def __len__(self) -> int:
        """Return how many executions are waited for."""
        return len(self._waiting)

    def add(self, execution_id: str, waiter: Waiter, *, since: int | None = None) -> None:
        """Register a waiter for an execution.

        Args:
            execution_id: The execution.
            waiter: Who waits.
            since: What `news` was before the execution was created; None: it may have ended.
        """
        if self._closed:
            waiter.ended(execution_id, Ended(None, unknown=True))
            return
        there = self._waiting.get(execution_id)
        if there is None:
            self._waiting[execution_id] = waiter
        elif isinstance(there, list):
            there.append(waiter)
        else:
            self._waiting[execution_id] = [there, waiter]
        goes_on = self.hinted and since == self.news
        if self._task is None:
            self._look.clear()
            sweeps = self._sweep_for_ever(_QUIET_PAUSE if goes_on else 0)
            self._task = asyncio.create_task(sweeps, name="durable waiters")
        elif not goes_on and (self.hinted or self._pause > _FIRST_PAUSE):
            self._look.set()
        self._pause = _FIRST_PAUSE

    def remove(self, execution_id: str, waiter: Waiter) -> None:
        """Forget a waiter that gave up."""
        there = self._waiting.get(execution_id)
        if there is waiter:
            del self._waiting[execution_id]
        elif isinstance(there, list) and waiter in there:
            there.remove(waiter)
            if not there:
                del self._waiting[execution_id]

    def resolve(self, execution_id: str, how: Ended) -> None:
        """Tell those who wait for this execution."""
        there = self._waiting.pop(execution_id, None)
        if there is None:
            return
        for waiter in there if isinstance(there, list) else (there,):
            waiter.ended(execution_id, how)

    def look_soon(self) -> None:
        """Look all of them up: a hint said that something finished."""
        self.news += 1
        self._pause = _FIRST_PAUSE
        self._look.set()

    def look_later(self) -> None:
        """Look them up in a moment: what finished has been told by `resolve`, or nearly all."""
        self.news += 1
        if self._later is None:
            self._later = self._clock.call_at(self._clock.monotonic() + _LATER, self._look_now)

    def _look_now(self) -> None:
        self._later = None
        if self._waiting:
            self.look_soon()

    async def close(self) -> None:
        """Stop looking, and tell everybody who still waits."""
        self._closed = True
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
            self._task = None
        for execution_id in tuple(self._waiting):
            self.resolve(execution_id, Ended(None, unknown=True))

    async def _sweep_for_ever(self, pause: float) -> None:
        rest_until = began = self._clock.monotonic()
        due = began + pause
        while self._waiting:
            await wait_until(self._clock, self._look, max(due, rest_until))
            if self._clock.monotonic() < rest_until:
                await wait_until(self._clock, asyncio.Event(), rest_until)
            self._look.clear()
            began = self._clock.monotonic()
            ids = [id_ for id_ in self._waiting if not self._runs_here(id_)]
            found = await self._sweep(ids)
            ended = self._clock.monotonic()
            rest_until = ended + (ended - began) * _rest(len(ids), found)
            longest = _QUIET_PAUSE if self.hinted else _LONGEST_PAUSE
            due = ended + (longest if self.hinted else self._pause)
            self._pause = min(longest, self._pause * 1.5)
        self._task = None

    async def _sweep(self, ids: Sequence[str]) -> int:
        """Look executions up; return how many have ended, or do not exist."""
        found = 0
        for start in range(0, len(ids), _SWEEP):
            piece = ids[start : start + _SWEEP]
            try:
                ends = await self._ends(piece)
            except Exception as error:  # noqa: BLE001 - whatever it was, somebody waits
                _LOG.warning("looking for results failed: %s; tried again later", error)
                break
            for id_, record in ends:
                self.resolve(id_, ended_of(record if isinstance(record, Record) else None))
            found += len(ends)
        return found

    async def _ends(self, ids: Sequence[str]) -> list[tuple[str, Head | None]]:
        """Return those that have ended; of many the payloads are read in a second step."""
        get = self._writer.storage.get
        heads = await get(ids=ids, payload=len(ids) <= _AT_ONCE)
        ends = [
            (id_, head)
            for id_, head in zip(ids, heads, strict=True)
            if head is None or head.status in FINISHED_STATUSES
        ]
        if len(ids) <= _AT_ONCE or not ends:
            return ends
        done = [id_ for id_, _ in ends]
        return list(zip(done, await get(ids=done), strict=True))


def _rest(asked: int, found: int) -> float:
    """Return how many times as long as a sweep took the next one waits at least.

    The larger a part of them a sweep finds, the sooner the next one is worth its cost; a sweep for
    few costs little, whatever it finds.
    """
    return min(_LONGEST_REST, asked / (4 * max(found, 1)))


def ended_of(record: Record | None) -> Ended:
    """Return how a finished execution ended, or that there is none."""
    if record is None:
        return Ended(None)
    return Ended(record.status, record.output, record.error)


class One(asyncio.Future[Ended | None]):
    """A waiter for one execution that can be awaited itself; None: the patience ended."""

    def give_up(self) -> None:
        """End the waiting without news."""
        if not self.done():
            self.set_result(None)

    def ended(self, execution_id: str, how: Ended) -> None:
        """See `Waiter`."""
        if not self.done():
            self.set_result(how)


class Many:
    """A waiter for many executions, with one future for all.

    Args:
        ids: The executions.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self.ends: dict[str, Ended | None] = dict.fromkeys(ids)
        self.left = len(self.ends)
        self._all = asyncio.Event()

    def ended(self, execution_id: str, how: Ended) -> None:
        """See `Waiter`."""
        if self.ends[execution_id] is None:
            self.ends[execution_id] = how
            self.left -= 1
            if self.left == 0:
                self._all.set()

    async def wait(
        self, waiters: Waiters, clock: Clock, patience: float | None, *, since: int | None = None
    ) -> bool:
        """Wait until all have ended.

        Args:
            waiters: Where to register.
            clock: Whose time counts.
            patience: Seconds; None waits for ever.
            since: See `Waiters.add`; of all of them.

        Returns:
            Whether all have ended.
        """
        if not self.ends:
            return True
        for id_ in self.ends:
            waiters.add(id_, self, since=since)
        try:
            until = None if patience is None else clock.monotonic() + patience
            return await wait_until(clock, self._all, until)
        finally:
            for id_, how in self.ends.items():
                if how is None:
                    waiters.remove(id_, self)
