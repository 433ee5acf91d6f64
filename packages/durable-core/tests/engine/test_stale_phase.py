"""A sequence that went past a child and crashed before it could let go."""

import asyncio

from durable_core import DurableExecutor, FanOut, MemoryStorage, Tasks
from durable_core.storage import Phase, Query


async def test_a_sequence_goes_on_behind_a_child_after_a_crash() -> None:
    tasks = Tasks()
    began = asyncio.Event()
    crashed = False

    @tasks.parent(finalize=lambda joined: joined.output + 1)
    async def child_step(number: int) -> FanOut[int]:
        return FanOut(number)

    @tasks.task
    async def double(number: int) -> int:
        return number * 2

    @tasks.task
    async def last(number: int) -> int:
        began.set()
        if not crashed:
            await asyncio.Event().wait()
        return number + 100

    sequence = tasks.sequence("sequence", child_step, double, last)
    storage = MemoryStorage()
    first = DurableExecutor(MemoryStorage(sharing=storage), tasks=tasks, lease=0.3)
    await first.start()
    handle = await first.enqueue(sequence, 1)
    await began.wait()
    (row,) = (await storage.find(query=Query(tasks=frozenset({"sequence"})), limit=1)).items
    assert row.phase is Phase.WAITING_FOR_CHILDREN
    # It dies: nothing more is written, nobody signs off.
    first.engine.runner.disown()
    await first.engine.heart.stop(sign_off=False)
    crashed = True

    async with DurableExecutor(MemoryStorage(sharing=storage), tasks=tasks, lease=0.3) as second:
        again = await second.handle(sequence, handle.id)
        assert await again.result(20) == (1 + 1) * 2 + 100
    await first.shutdown(0)


async def test_a_swallowed_timeout_interrupts_nothing_that_follows() -> None:
    tasks = Tasks()

    @tasks.task(timeout=0.05)
    async def stubborn() -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return 1
        return 0

    @tasks.task
    async def then(number: int) -> int:
        await asyncio.sleep(0)
        return number + 1

    sequence = tasks.sequence("sequence", stubborn, then)
    async with DurableExecutor(MemoryStorage(), tasks=tasks) as executor:
        assert await (await executor.enqueue(sequence)).result(10) == 2
