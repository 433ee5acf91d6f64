"""The workloads, told to engine and sketch alike.

Each takes what to drive and how much, refuses wrong answers, and returns how many executions of
user code ran and how long each of its units took.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from .bodies import joined
from .cases import Case, Kind
from .subject import Durable, Subject, WrongResultError, check

WARM_UP: Final = 200
"""Calls before the clock starts."""

_PARENTS, _CHILDREN, _CHAINS, _STEPS, _LOOPS = 100, 50, 100, 4, 100


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a workload did.

    Attributes:
        tasks: Executions of user code.
        latencies: Seconds per unit, in order of their ends.
    """

    tasks: int
    latencies: list[float]


async def warm_up(subject: Subject, case: Case) -> None:
    """Run a little of a case, so that nothing is done for the first time under the clock."""
    await asyncio.gather(*(_call(subject, number, []) for number in range(WARM_UP)))
    if case.kind in {Kind.FAN_OUT, Kind.MIX}:
        check("fan-out", await subject.fan_out(10), joined(10))
    if case.kind in {Kind.CHAIN, Kind.MIX}:
        check("chain", await subject.chain(_STEPS), _STEPS)


async def run(subject: Subject, case: Case) -> Ran:
    """Run a case's workload once.

    Args:
        subject: The engine or the sketch.
        case: One that every subject can run.

    Raises:
        WrongResultError: An answer was wrong.
    """
    latencies: list[float] = []
    tasks = await _WORKLOADS[case.kind](subject, case, latencies)
    return Ran(tasks=tasks, latencies=latencies)


async def _call(subject: Subject, number: int, latencies: list[float]) -> None:
    start = time.perf_counter()
    answer = await subject.call(number)
    latencies.append(time.perf_counter() - start)
    check("call", answer, number + 1)


async def _stream(subject: Subject, case: Case, latencies: list[float]) -> int:
    if case.width == 1:
        for number in range(case.count):
            await _call(subject, number, latencies)
        return case.count
    places = asyncio.Semaphore(case.width)

    async def caller(number: int) -> None:
        await _call(subject, number, latencies)
        places.release()

    # Each call comes from a task of its own, as requests to a server do.
    async with asyncio.TaskGroup() as group:
        for number in range(case.count):
            await places.acquire()
            group.create_task(caller(number))
    return case.count


async def _fan_out(subject: Subject, case: Case, latencies: list[float]) -> int:
    for _ in range(case.count):
        start = time.perf_counter()
        answer = await subject.fan_out(case.width)
        latencies.append(time.perf_counter() - start)
        check("fan-out", answer, joined(case.width))
    return case.count * case.width


async def _chain(subject: Subject, case: Case, latencies: list[float]) -> int:
    for _ in range(case.count):
        start = time.perf_counter()
        answer = await subject.chain(case.width)
        latencies.append(time.perf_counter() - start)
        check("chain", answer, case.width)
    return case.count * case.width


async def _function(subject: Subject, case: Case, latencies: list[float]) -> int:
    if not isinstance(subject, Durable):
        raise WrongResultError(f"{type(subject).__name__} has no durable functions")
    for _ in range(case.count):
        start = time.perf_counter()
        answer = await subject.function(case.width)
        latencies.append(time.perf_counter() - start)
        check("function", answer, case.width)
    return case.count * case.width


async def _mix(subject: Subject, case: Case, latencies: list[float]) -> int:
    async def one(work: Awaitable[int], expected: int) -> None:
        start = time.perf_counter()
        answer = await work
        latencies.append(time.perf_counter() - start)
        check("mix", answer, expected)

    for _ in range(case.count):
        parents = [subject.fan_out(_CHILDREN, napping=True) for _ in range(_PARENTS)]
        chains = [subject.chain(_STEPS, napping=True) for _ in range(_CHAINS)]
        loops = [subject.loop() for _ in range(_LOOPS)]
        await asyncio.gather(
            *(one(work, joined(_CHILDREN)) for work in parents),
            *(one(work, _STEPS) for work in chains),
            *(one(work, 1) for work in loops),
        )
    # A parent runs, its children, and its finalizer.
    return case.count * (_PARENTS * (_CHILDREN + 2) + _CHAINS * _STEPS + _LOOPS)


_WORKLOADS: Final[dict[Kind, Callable[[Subject, Case, list[float]], Awaitable[int]]]] = {
    Kind.STREAM: _stream,
    Kind.FAN_OUT: _fan_out,
    Kind.CHAIN: _chain,
    Kind.FUNCTION: _function,
    Kind.MIX: _mix,
}
