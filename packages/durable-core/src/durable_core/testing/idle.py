"""Letting executors work until there is nothing left to do."""

import asyncio
from collections.abc import Sequence

from ..durations import Duration, to_us
from ..engine.engine import Engine
from ..errors import OptionError
from ..executor import DurableExecutor
from ..storage import UNFINISHED_STATUSES, Head, Query
from .clock import FakeClock, settle

_REAL_PAUSE = 0.001


class NotIdleError(AssertionError):
    """Executors were still busy when the patience of `run_until_idle` ended."""


async def run_until_idle(
    *executors: DurableExecutor, horizon: Duration | None = None, timeout: Duration = 10
) -> None:
    """Wait until nothing is running, being written, or claimable now.

    Coroutines, worker threads, processes and storages are waited for as long as they need. With a
    horizon a `FakeClock` is advanced from one scheduled time to the next (retries, delays,
    time-outs of sleepers), and everything runs at its time: days pass in milliseconds.

    Args:
        *executors: Started executors; several may work on one storage.
        horizon: How far the clock may be moved from now on, seconds or a timedelta; it stops at
            the last thing that was scheduled. None leaves the clock alone.
        timeout: Patience in real time: seconds or a timedelta.

    Raises:
        NotIdleError: Something went on for longer than `timeout`; the message says what.
        OptionError: A horizon was given and the executors have no `FakeClock` in common.
        NotRunningError: An executor was not started.
    """
    engines = [executor.engine for executor in executors]
    patience = to_us(timeout, "timeout") / 1e6
    scope = asyncio.timeout(patience)
    try:
        async with scope:
            await _come_to_rest(engines)
            if horizon is not None:
                await _move_on(engines, _clock_of(engines), to_us(horizon, "horizon"))
    except TimeoutError:
        if not scope.expired():
            raise
        msg = f"still busy after {patience:g} s:\n{_describe(engines)}"
        raise NotIdleError(msg) from None


async def advance(*executors: DurableExecutor, by: Duration, timeout: Duration = 10) -> None:
    """Let time pass: everything that is scheduled runs at its time, and the clock is `by` later.

    Unlike `FakeClock.advance` it waits, at every scheduled time, for what runs to end.

    Args:
        *executors: Started executors that have one `FakeClock` in common.
        by: How much time passes: seconds or a timedelta.
        timeout: Patience in real time: seconds or a timedelta.

    Raises:
        NotIdleError: Something went on for longer than `timeout`; the message says what.
        OptionError: The executors have no `FakeClock` in common.
        NotRunningError: An executor was not started.
    """
    clock = _clock_of([executor.engine for executor in executors])
    until = clock.time_us() + to_us(by, "by")
    await run_until_idle(*executors, horizon=by, timeout=timeout)
    await clock.advance((until - clock.time_us()) / 1e6)
    await run_until_idle(*executors, timeout=timeout)


async def _come_to_rest(engines: Sequence[Engine]) -> None:
    # A hint that was lost must not make a waiting execution look like none.
    for engine in engines:
        engine.claimer.wake()
    while True:
        await settle()
        if all(engine.idle for engine in engines):
            return
        await asyncio.sleep(_REAL_PAUSE)


async def _move_on(engines: Sequence[Engine], clock: FakeClock, horizon_us: int) -> None:
    until = clock.time_us() + horizon_us
    while True:
        now = clock.time_us()
        due = await _next_due(engines, now)
        if due is None or due > until:
            return
        await clock.advance((due - now) / 1e6)
        await _come_to_rest(engines)


async def _next_due(engines: Sequence[Engine], now: int) -> int | None:
    dues: list[int] = []
    for engine in engines:
        heads = await engine.writer.heads(Query(statuses=UNFINISHED_STATUSES))
        served = [head.due for head in heads if _serves(engine, head)]
        dues += [due for due in served if due is not None and due > now]
    return min(dues, default=None)


def _serves(engine: Engine, head: Head) -> bool:
    settings = engine.settings
    if settings.client_only:
        return False
    # What belongs to the engine, such as waiting for an event, is served by everybody.
    if head.task.startswith("$"):
        return True
    return head.task in engine.tasks.names() and head.queue in settings.queues


def _clock_of(engines: Sequence[Engine]) -> FakeClock:
    clocks = {id(engine.clock): engine.clock for engine in engines}
    if len(clocks) == 1:
        (clock,) = clocks.values()
        if isinstance(clock, FakeClock):
            return clock
    msg = (
        "a horizon needs one FakeClock that all executors share: make them with clock=clock and "
        "the storage with clock=clock.time_us"
    )
    raise OptionError(msg)


def _describe(engines: Sequence[Engine]) -> str:
    lines: list[str] = []
    for engine in engines:
        name = engine.settings.name
        running = [held.record for held in engine.runner.held.values()]
        lines += [f"  {name} runs {record.task} {record.id}" for record in running]
        if (interrupted := engine.slots.used - len(running)) > 0:
            lines.append(f"  {name} interrupted {interrupted} that have not stopped yet")
        if not engine.writer.idle:
            lines.append(f"  {name} has writes that its storage has not answered")
        if not engine.claimer.idle:
            lines.append(f"  {name} is looking for work")
    return "\n".join(lines) or "  nothing any more: it ended just now"
