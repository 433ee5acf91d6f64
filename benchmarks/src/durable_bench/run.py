"""One run against the clock, whoever is driven."""

import time
from collections.abc import Awaitable, Callable

from .cases import Case
from .measure import peak_mb
from .sample import Counts, Sample
from .subject import Subject
from .workloads import run, warm_up


async def timed(
    subject: Subject,
    case: Case,
    *,
    counts: Callable[[], Awaitable[Counts | None]],
    calls: Callable[[], int | None] = lambda: None,
) -> Sample:
    """Warm up, then run a case's workload once and measure it.

    Args:
        subject: The engine or the sketch.
        case: What to run.
        counts: Reads what reached the database so far; answers None if nobody counts.
        calls: Reads how many calls of the storage protocol were made so far.
    """
    await warm_up(subject, case)
    counted, called = await counts(), calls()
    cpu, start = time.process_time(), time.perf_counter()
    ran = await run(subject, case)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    after, calls_after = await counts(), calls()
    return Sample(
        tasks=ran.tasks,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        latencies_ms=[1_000 * latency for latency in sorted(ran.latencies)],
        peak_mb=peak_mb(),
        counts=None if counted is None or after is None else after - counted,
        calls=None if called is None or calls_after is None else calls_after - called,
    )
