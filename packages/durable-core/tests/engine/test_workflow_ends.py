"""Durable functions that are cancelled, shut down, continued, or wrong."""

import asyncio
import threading

import pytest

from durable_core import (
    ExecutionCancelledError,
    ExecutionFailedError,
    Status,
    Tasks,
    WorkflowContext,
)

from .world import PROMISE, World


class Saga:
    """A booking that is undone when something after it goes wrong."""

    def __init__(self) -> None:
        self.tasks = Tasks()
        self.log: list[str] = []
        self.gate = asyncio.Event()

        @self.tasks.workflow
        async def travel(ctx: WorkflowContext, *, sleep: float = 0, hang: bool = False) -> str:
            undo: list[str] = []
            try:
                for what in ("flight", "hotel"):
                    await ctx.step(self.do, f"book {what}")
                    undo.append(what)
                await ctx.sleep(sleep)
                if hang:
                    await ctx.step(self.hang)
                await ctx.step(self.fail)
            except BaseException:
                for what in reversed(undo):
                    await ctx.step(self.do, f"cancel {what}")
                raise
            return "booked"

        self.travel = travel

    async def do(self, what: str) -> None:
        self.log.append(what)

    async def hang(self) -> None:
        await self.gate.wait()

    async def fail(self) -> None:
        msg = "no car"
        raise ValueError(msg)


UNDONE = ["book flight", "book hotel", "cancel hotel", "cancel flight"]


async def test_a_saga_is_undone_after_a_failure(world: World) -> None:
    saga = Saga()
    executor = await world.start(tasks=saga.tasks)
    handle = await executor.enqueue(saga.travel)
    with pytest.raises(ExecutionFailedError, match="no car"):
        await handle.result()
    assert saga.log == UNDONE


async def test_a_saga_that_sleeps_is_undone_when_it_is_cancelled(world: World) -> None:
    saga = Saga()
    executor = await world.start(tasks=saga.tasks)
    handle = await executor.enqueue(saga.travel, sleep=1000)
    await world.idle(executor)
    assert await handle.status() is Status.SLEEPING
    assert await handle.cancel() is True
    assert saga.log == UNDONE
    with pytest.raises(ExecutionCancelledError):
        await handle.result()


async def test_a_saga_that_runs_is_undone_when_it_is_cancelled(world: World) -> None:
    saga = Saga()
    executor = await world.start(tasks=saga.tasks)
    handle = await executor.enqueue(saga.travel, hang=True)
    await world.advance(1)
    assert await handle.cancel() is True
    assert saga.log == UNDONE


async def test_a_cancellation_from_another_process_is_told(world: World) -> None:
    saga = Saga()
    executor = await world.start(tasks=saga.tasks)
    client = await world.start(tasks=saga.tasks, client_only=True)
    handle = await client.enqueue(saga.travel, hang=True)
    await world.advance(10)
    await handle.request_cancel()
    await world.advance(PROMISE)
    await world.idle(executor)
    assert saga.log == UNDONE
    assert await handle.status() is Status.CANCELLED


async def test_cleaning_up_goes_on_after_a_crash_in_the_middle(world: World) -> None:
    saga = Saga()

    @saga.tasks.workflow
    async def stubborn(ctx: WorkflowContext) -> None:
        try:
            await ctx.sleep(1000)
        finally:
            await ctx.step(saga.do, "clean 1")
            await ctx.sleep(100)
            await ctx.step(saga.do, "clean 2")

    first = await world.start(tasks=saga.tasks)
    handle = await first.enqueue(stubborn)
    await world.idle(first)
    await handle.request_cancel()
    await world.idle(first)
    assert await handle.status() is Status.SLEEPING
    await world.kill(first)
    second = await world.start(tasks=saga.tasks)
    await world.idle(second, horizon=500)
    assert saga.log == ["clean 1", "clean 2"]
    assert await (await second.handle(stubborn, handle.id)).status() is Status.CANCELLED


async def test_a_result_beats_a_cancellation(world: World) -> None:
    tasks = Tasks()

    @tasks.workflow
    async def unimpressed(ctx: WorkflowContext) -> str:
        try:
            await ctx.sleep(1000)
        except asyncio.CancelledError:
            return "done anyway"
        return "never"

    executor = await world.start(tasks=tasks)
    handle = await executor.enqueue(unimpressed)
    await world.idle(executor)
    assert await handle.cancel() is False
    assert await handle.result() == "done anyway"


async def test_children_are_cancelled_with_their_function(world: World) -> None:
    saga = Saga()

    @saga.tasks.workflow
    async def outer(ctx: WorkflowContext) -> None:
        await ctx.call(saga.travel, sleep=1000)

    executor = await world.start(tasks=saga.tasks)
    handle = await executor.enqueue(outer)
    await world.idle(executor)
    await handle.cancel()
    await world.idle(executor)
    assert saga.log == UNDONE
    rows = await world.rows(parent_id=handle.id)
    assert [row.status for row in rows] == [Status.CANCELLED]


async def test_a_child_that_is_given_up_is_cancelled(world: World) -> None:
    saga = Saga()

    @saga.tasks.workflow
    async def impatient(ctx: WorkflowContext) -> str:
        try:
            async with asyncio.timeout(10):
                await ctx.call(saga.travel, sleep=1000)
        except TimeoutError:
            await ctx.sleep(10)
        return "gave up"

    executor = await world.start(tasks=saga.tasks)
    handle = await executor.enqueue(impatient)
    await world.idle(executor, horizon=100)
    assert await handle.result() == "gave up"
    assert saga.log == UNDONE


async def test_a_shutdown_hands_back_what_runs_with_its_record(world: World) -> None:
    saga = Saga()
    first = await world.start(tasks=saga.tasks)
    handle = await first.enqueue(saga.travel, hang=True)
    await world.advance(1)
    await first.shutdown()
    row = await world.row(handle.id)
    assert (row.owner, row.due, row.crashes) == (None, 0, 0)
    saga.gate.set()
    second = await world.start(tasks=saga.tasks)
    await world.idle(second)
    assert saga.log == UNDONE


async def test_a_thread_that_goes_on_keeps_its_place(world: World) -> None:
    tasks = Tasks()
    go, began = threading.Event(), threading.Event()

    def block() -> None:
        began.set()
        assert go.wait(30)

    @tasks.workflow
    async def blocked(ctx: WorkflowContext) -> None:
        await ctx.step(block)

    executor = await world.start(tasks=tasks, concurrency=1)
    handle = await executor.enqueue(blocked)
    await asyncio.to_thread(began.wait, 30)
    assert await handle.cancel() is True
    assert executor.engine.slots.used == 1
    go.set()
    await world.idle(executor)
    assert executor.engine.slots.used == 0


async def test_poison_is_ended_and_progress_clears_the_crashes(world: World) -> None:
    tasks = Tasks()
    ran: list[str] = []

    async def step(name: str, *, kill: bool) -> None:
        ran.append(name)
        if kill:
            await asyncio.Event().wait()

    @tasks.workflow
    async def killer(ctx: WorkflowContext) -> None:
        await ctx.step(step, "good", kill=False)
        await ctx.step(step, "bad", kill=True)

    client = await world.start(tasks=tasks, client_only=True)
    handle = await client.enqueue(killer)
    for _ in range(3):
        victim = await world.start(tasks=tasks, crash_limit=3)
        await world.advance(PROMISE * 3)
        await world.kill(victim)
    last = await world.start(tasks=tasks, crash_limit=3)
    await world.advance(PROMISE * 3)
    await world.idle(last)
    with pytest.raises(ExecutionFailedError, match="3 executors when they died"):
        await handle.result()
    assert ran == ["good", "bad", "bad", "bad"]
