"""What the tasks of all workloads do; the engine and the sketch run the same functions."""

import asyncio
from collections.abc import Awaitable, Callable

NAP = 0.001
"""Seconds that a task of the mixed workload sleeps, as in the workload it was taken from."""

LOOP_DELAY = 0.1
"""Seconds before each iteration of a loop of the mixed workload."""


async def noop(number: int) -> int:
    """Return the next number."""
    return number + 1


async def nap(number: int) -> int:
    """Sleep a moment, then return the next number."""
    await asyncio.sleep(NAP)
    return number + 1


def body(*, napping: bool) -> Callable[[int], Awaitable[int]]:
    """Return the one that naps, or the one that does not."""
    return nap if napping else noop


def joined(width: int) -> int:
    """Return the sum of the outputs of so many children, numbered from 0."""
    return width * (width + 1) // 2
