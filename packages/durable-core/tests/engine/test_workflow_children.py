"""Children of durable functions."""

import asyncio
from typing import Any

import pytest

from durable_core import (
    ExecutionFailedError,
    FanOut,
    Status,
    Tasks,
    WorkflowContext,
)

from .world import World


class Log:
    """Tasks, and what ran of their steps."""

    def __init__(self) -> None:
        self.tasks = Tasks()
        self.ran: list[str] = []

    async def note(self, what: str) -> str:
        self.ran.append(what)
        return what

    def note_in_thread(self, what: str) -> str:
        self.ran.append(f"thread {what}")
        return what


@pytest.fixture
def log() -> Log:
    return Log()


async def test_children_are_executions_of_their_own(world: World, log: Log) -> None:
    @log.tasks.task(retries=1)
    async def double(number: int) -> int:
        if number < 0:
            msg = "negative"
            raise ValueError(msg)
        return 2 * number

    @log.tasks.parent
    async def spread(count: int) -> FanOut[str]:
        return FanOut("spread", [double.call(number) for number in range(count)])

    @log.tasks.workflow
    async def inner(ctx: WorkflowContext, number: int) -> int:
        return await ctx.call(double, number)

    @log.tasks.workflow
    async def outer(ctx: WorkflowContext) -> list[Any]:
        doubled = await ctx.gather(*(ctx.call(double, number) for number in range(5)))
        result = await ctx.call(spread, 3)
        settled = await ctx.gather(
            ctx.call(inner, 21), ctx.call(double, -1), return_exceptions=True
        )
        try:
            await ctx.gather(ctx.call(double, -2), ctx.call(inner, 1))
        except ExecutionFailedError as error:
            return [doubled, result.children, settled[0], str(type(settled[1])), str(error)]
        return []

    executor = await world.start(tasks=log.tasks)
    handle = await executor.enqueue(outer)
    await world.idle(executor, horizon=100)
    result = await handle.result()
    assert result[:3] == [[0, 2, 4, 6, 8], 3, 42]
    assert "ExecutionFailedError" in result[3]
    assert "ValueError: negative" in result[4]
    assert (await world.row(handle.id)).pending == 0


async def test_a_settled_gather_wakes_the_function_once(world: World, log: Log) -> None:
    runs: list[int] = []

    @log.tasks.task
    async def later(number: int) -> int:
        return number

    @log.tasks.workflow
    async def together(ctx: WorkflowContext) -> int:
        runs.append(1)
        calls = [ctx.call(later.with_options(delay=number + 1), number) for number in range(20)]
        settled = await ctx.gather(*calls, return_exceptions=True)
        return sum(one for one in settled if isinstance(one, int))

    executor = await world.start(tasks=log.tasks)
    handle = await executor.enqueue(together)
    await world.idle(executor, horizon=100)
    assert await handle.result() == sum(range(20))
    assert len(runs) == 2


async def test_a_child_that_ends_while_a_step_runs_is_noticed(world: World, log: Log) -> None:
    gate = asyncio.Event()

    async def long() -> str:
        await gate.wait()
        return "long"

    @log.tasks.task
    async def child() -> str:
        log.ran.append("child")
        return "child"

    @log.tasks.workflow
    async def both(ctx: WorkflowContext) -> list[str]:
        async def branch() -> str:
            got = await ctx.call(child)
            return await ctx.step(log.note, f"after {got}")

        return list(await asyncio.gather(ctx.step(long), branch()))

    executor = await world.start(tasks=log.tasks)
    handle = await executor.enqueue(both)
    await world.advance(5)
    assert log.ran == ["child", "after child"]
    gate.set()
    assert await handle.result() == ["long", "after child"]


async def test_large_results_of_children_stay_in_their_rows(world: World, log: Log) -> None:
    @log.tasks.task
    async def large() -> str:
        return "x" * 100_000

    @log.tasks.workflow
    async def reads(ctx: WorkflowContext) -> int:
        text = await ctx.call(large)
        await ctx.sleep(10)
        return len(text)

    executor = await world.start(tasks=log.tasks)
    handle = await executor.enqueue(reads)
    await world.idle(executor, horizon=60)
    assert await handle.result() == 100_000
    page = await world.space.checkpoints(execution_id=handle.id, limit=100)
    assert sum(len(point.value) for point in page.items) < 1000


async def test_plain_waiting_goes_on_with_each_child(world: World, log: Log) -> None:
    @log.tasks.task
    async def after(seconds: int) -> int:
        return seconds

    @log.tasks.workflow
    async def one_by_one(ctx: WorkflowContext) -> list[str]:
        calls = [ctx.call(after.with_options(delay=delay), delay) for delay in (10, 1000, 500)]
        return [
            await ctx.step(log.note, f"after {await call}") for call in asyncio.as_completed(calls)
        ]

    executor = await world.start(tasks=log.tasks)
    handle = await executor.enqueue(one_by_one)
    await world.idle(executor, horizon=20)
    assert log.ran == ["after 10"]
    await world.idle(executor, horizon=600)
    assert log.ran == ["after 10", "after 500"]
    await world.idle(executor, horizon=600)
    assert await handle.result() == ["after 10", "after 500", "after 1000"]


async def test_a_failed_child_ends_a_gather_at_once(world: World, log: Log) -> None:
    @log.tasks.task
    async def fail() -> None:
        raise ValueError

    @log.tasks.task
    async def after() -> None:
        log.ran.append("never")

    @log.tasks.workflow
    async def both(ctx: WorkflowContext) -> None:
        later = ctx.call(after.with_options(delay=1000))
        await ctx.gather(later, ctx.call(fail.with_options(delay=10)))

    executor = await world.start(tasks=log.tasks)
    handle = await executor.enqueue(both)
    await world.idle(executor, horizon=20)
    assert await handle.status() is Status.FAILED
    rows = await world.rows(parent_id=handle.id)
    assert {row.status for row in rows} == {Status.CANCELLED, Status.FAILED}
    await world.idle(executor, horizon=2000)
    assert not log.ran
