"""What costs something although nothing runs: idleness, and handles that are awaited."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from typing import Final

from durable_core import DurableExecutor, Handle
from durable_core.storage import Storage

from ..measure import allocated_mb, peak_mb, resident_mb
from ..sample import Counts, Sample
from .fill import WEEK_US, row
from .tasks import noop

_CHUNK: Final = 5_000
_MIB: Final = 1024 * 1024


async def idle(
    seconds: float, counts: Callable[[], Awaitable[Counts | None]], calls: Callable[[], int]
) -> Sample:
    """Look at an executor that has nothing to do.

    Args:
        seconds: For how long.
        counts: Reads what reached the database so far.
        calls: Reads how many calls of the storage protocol were made so far.
    """
    counted, called = await counts(), calls()
    cpu, start = time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    took, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    after, calls_after = await counts(), calls()
    details = {
        "cpu_seconds_per_minute": 60 * cpu_seconds / took,
        "storage_calls_per_minute": 60 * (calls_after - called) / took,
    }
    if counted is not None and after is not None:
        more = after - counted
        details |= {
            "statements_per_minute": 60 * more.statements / took,
            "table_statements_per_second": more.table_statements / took,
            "commits_per_minute": 60 * more.commits / took,
        }
    return Sample(
        tasks=0, seconds=took, cpu_seconds=cpu_seconds, peak_mb=peak_mb(), details=details
    )


async def handles(executor: DurableExecutor, storage: Storage, count: int) -> Sample:
    """Await the results of executions that are due next week, all of them at once.

    What the rows themselves take inside this process is measured first and subtracted: all of it
    in memory, nothing but a full page cache, which others fill before, on a disk.

    Args:
        executor: Started.
        storage: Its storage.
        count: How many.
    """
    now = await storage.clock()
    await _rows_alone(storage, "first", count, now)
    before = _memory()
    await _rows_alone(storage, "alone", count, now)
    rows_mb = _memory() - before
    later = noop.with_options(delay=WEEK_US / 1e6)
    before, resident, tasks = _memory(), resident_mb(), len(asyncio.all_tasks())
    began, cpu = time.perf_counter(), time.process_time()
    kept: list[Handle[int]] = []
    for start in range(0, count, _CHUNK):
        kept += await executor.enqueue_many([later.call(start + i) for i in range(_CHUNK)])
    waiting = asyncio.create_task(_results(executor, kept))
    await _settled()
    added = _memory() - before - rows_mb
    sample = Sample(
        tasks=count,
        seconds=time.perf_counter() - began,
        cpu_seconds=time.process_time() - cpu,
        peak_mb=peak_mb(),
        details={
            "added_mb": added,
            "added_bytes_per_handle": added * _MIB / count,
            "rows_mb": rows_mb,
            "added_resident_mb": resident_mb() - resident,
            "added_asyncio_tasks": len(asyncio.all_tasks()) - tasks,
        },
    )
    if waiting.done():
        raise RuntimeError("the results of next week are there already")
    waiting.cancel()
    await asyncio.wait((waiting,))
    return sample


async def _rows_alone(storage: Storage, name: str, count: int, now: int) -> None:
    size = min(_CHUNK, storage.capabilities.max_batch_rows)
    for start in range(0, count, size):
        rows = [row(f"{name}-{start + number}", due=now + WEEK_US) for number in range(size)]
        await storage.insert(items=rows, now=now)


async def _results(executor: DurableExecutor, kept: list[Handle[int]]) -> None:
    await executor.results(kept)


def _memory() -> float:
    gc.collect()
    used = allocated_mb()
    return resident_mb() if used is None else used


async def _settled() -> None:
    """Wait until the memory in use stays the same for half a second."""
    last, same = _memory(), 0
    for _ in range(120):
        await asyncio.sleep(0.25)
        used = _memory()
        same = same + 1 if abs(used - last) < 0.2 else 0  # noqa: PLR2004  # MiB
        last = used
        if same == 2:  # noqa: PLR2004  # halves of half a second
            return
    raise RuntimeError("the memory in use does not settle")
