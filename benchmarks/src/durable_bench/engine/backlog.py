"""Running what was ready before anybody came to run it."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from durable_core import DurableExecutor

from ..measure import peak_mb
from ..sample import Counts, Sample
from .fill import READY
from .tasks import noop


async def backlog(
    executor: DurableExecutor,
    count: int,
    counts: Callable[[], Awaitable[Counts | None]],
    times: Callable[[], Awaitable[Mapping[str, float]]],
) -> Sample:
    """Run all that is ready.

    Args:
        executor: Not started; in its storage lie rows that were made by `fill`.
        count: How many.
        counts: Reads what reached the database so far.
        times: See `Room.times`.
    """
    counted = await counts()
    await times()
    cpu, start = time.process_time(), time.perf_counter()
    async with executor:
        # Claimed in the order in which they are due; what runs beside the last one ends with it.
        last = await executor.handle(noop, f"{READY}{count - 1}")
        await last.result()
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    after = await counts()
    sample = Sample(
        tasks=count,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        peak_mb=peak_mb(),
        details=await times(),
    )
    if counted is None or after is None:
        return sample
    return replace(sample, counts=after - counted)
