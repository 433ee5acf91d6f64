"""Durable functions that continue as new."""

import asyncio
from typing import Any

import pytest

from durable_core import (
    CancelOutcome,
    DurableExecutor,
    ExecutionFailedError,
    Status,
    Tasks,
    WorkflowContext,
)
from durable_core.storage import Finish
from durable_core.testing.faults import Fault, Gate, LoggedCall, On

from .world import World, items_of


async def counting(world: World, **options: Any) -> tuple[DurableExecutor, Any]:
    tasks = Tasks()

    @tasks.workflow(name="count")
    async def count(ctx: WorkflowContext, left: int, total: int = 0) -> int:
        try:
            await ctx.sleep(10)
        except asyncio.CancelledError:
            return -1
        if left:
            ctx.continue_as_new(left - 1, total=total + left)
        return total

    return await world.start(tasks=tasks, **options), count


async def test_a_function_continues_as_new_and_its_handles_follow(world: World) -> None:
    executor, count = await counting(world)
    mine = count.with_options(id="mine", tags=["t"])
    handle = await executor.enqueue(mine, 3)
    other = await executor.handle(count, "mine")
    await world.idle(executor, horizon=100)
    assert await handle.result() == 6
    assert await executor.results([other, other]) == [6, 6]
    rows = await world.rows(tasks=frozenset({"count"}))
    assert [row.id for row in rows] == ["mine", "mine~1", "mine~2", "mine~3"]
    assert all(row.tags == {"t"} and row.status is Status.COMPLETED for row in rows)
    assert handle.id == "mine~3"
    # Enqueueing it again finds the first run, and its result.
    again = await executor.enqueue(mine, 3)
    assert not again.created
    assert await again.result() == 6


async def test_a_cancellation_follows_a_function_that_continues(world: World) -> None:
    executor, count = await counting(world)
    handle = await executor.enqueue(count.with_options(id="mine"), 1000)
    await world.idle(executor, horizon=35)
    await handle.request_cancel()
    await world.idle(executor, horizon=1)
    assert await handle.result() == -1
    assert handle.id == "mine~3"


async def test_a_mark_that_comes_too_late_goes_with_the_function(world: World) -> None:
    executor, count = await counting(world)
    gate = Gate()
    last = On("apply", Fault.gate(before=gate), where=_finishes)
    world.faults(executor).inject(last)
    handle = await executor.enqueue(count.with_options(id="mine"), 1)
    await world.advance(10)
    await gate.reached.wait()
    assert await handle.request_cancel() is CancelOutcome.MARKED
    gate.open()
    await world.idle(executor, horizon=1)
    assert await handle.result() == -1
    assert handle.id == "mine~1"


def _finishes(call: LoggedCall) -> bool:
    return any(isinstance(item, Finish) for item in items_of(call))


async def test_a_child_cannot_continue_as_new(world: World) -> None:
    executor, count = await counting(world)

    @executor.workflow
    async def outer(ctx: WorkflowContext) -> int:
        result: int = await ctx.call(count, 3)
        return result

    handle = await executor.enqueue(outer)
    await world.idle(executor, horizon=100)
    with pytest.raises(ExecutionFailedError, match="continue_as_new is for executions without"):
        await handle.result()
