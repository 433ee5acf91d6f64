"""Durable functions that are cancelled, shut down, continued, or wrong."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from durable_core import (
    CancelOutcome,
    DurableExecutor,
    ExecutionCancelledError,
    ExecutionFailedError,
    RetryPolicy,
    Status,
    Tasks,
    WorkflowContext,
)
from durable_core.engine.replay import journal, stage
from durable_core.storage import Finish
from durable_core.testing.faults import Fault, Gate, LoggedCall, On

from .world import PROMISE, World, items_of


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


# Continuing as new


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
    await world.idle(executor)
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
    await world.idle(executor)
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


# Records that do not fit, and limits


async def rerun(world: World, before: Any, after: Any) -> Any:
    """Run a function until it sleeps, then let another one of the same name go on."""
    old, new = Tasks(), Tasks()
    first = await world.start(tasks=old)
    handle = await first.enqueue(old.workflow(name="changing")(before))
    await world.idle(first)
    await first.shutdown()
    second = await world.start(tasks=new)
    made = new.workflow(name="changing")(after)
    await world.idle(second, horizon=100)
    try:
        return await (await second.handle(made, handle.id)).result(timeout=0)
    finally:
        await second.shutdown()


async def one() -> int:
    return 1


async def two() -> int:
    return 2


async def test_another_step_at_a_recorded_place_is_an_error_that_names_both(world: World) -> None:
    async def before(ctx: WorkflowContext) -> int:
        await ctx.step(one)
        await ctx.sleep(10)
        return 0

    async def after(ctx: WorkflowContext) -> int:
        try:
            return await ctx.step(two)
        except BaseException:  # noqa: BLE001 - nothing helps
            return 0

    wrong = "at operation 0 the record has step 'one', but task 'changing' asks for step 'two'"
    with pytest.raises(ExecutionFailedError, match=wrong):
        await rerun(world, before, after)


async def test_another_operation_in_the_place_of_a_sleep_is_an_error(world: World) -> None:
    async def before(ctx: WorkflowContext) -> int:
        await ctx.step(one)
        await ctx.sleep(10)
        return 0

    async def after(ctx: WorkflowContext) -> int:
        return await ctx.step(one) + await ctx.step(two)

    wrong = "at operation 1 the record has a sleep, but task 'changing' asks for step 'two'"
    with pytest.raises(ExecutionFailedError, match=wrong):
        await rerun(world, before, after)


async def test_fewer_operations_than_recorded_are_an_error(world: World) -> None:
    async def before(ctx: WorkflowContext) -> int:
        await asyncio.gather(ctx.step(one), ctx.step(two))
        await ctx.sleep(10)
        return 0

    async def after(ctx: WorkflowContext) -> int:
        await ctx.step(one)
        await ctx.sleep(10)
        return 0

    with pytest.raises(ExecutionFailedError, match=r"step 'two', but .* asks for a sleep"):
        await rerun(world, before, after)

    async def shorter(ctx: WorkflowContext) -> int:
        return await ctx.step(one)

    with pytest.raises(ExecutionFailedError, match="the record has step 'two'"):
        await rerun(world, before, shorter)


async def test_old_and_new_code_live_side_by_side_by_version(world: World) -> None:
    async def before(ctx: WorkflowContext) -> list[object]:
        await ctx.sleep(10)
        return [await ctx.step(one)]

    async def after(ctx: WorkflowContext) -> list[object]:
        early = ctx.version("early")
        await ctx.sleep(10)
        late = ctx.version("late")
        await ctx.sleep(10)
        assert ctx.version("late") is late
        return [early, late, await ctx.step(two if late else one)]

    assert await rerun(world, before, after) == [False, True, 2]
    assert await rerun(world, after, after) == [True, True, 2]


async def test_old_code_hands_back_what_new_code_has_begun(world: World) -> None:
    async def newer(ctx: WorkflowContext) -> int:
        if ctx.version("change"):
            await ctx.step(two)
        await ctx.sleep(10)
        return 2

    async def older(ctx: WorkflowContext) -> int:
        await ctx.step(one)
        await ctx.sleep(10)
        return 1

    with pytest.raises(TimeoutError):
        await rerun(world, newer, older)
    third = Tasks()
    made = third.workflow(name="changing")(newer)
    executor = await world.start(tasks=third)
    (row,) = await world.rows(tasks=frozenset({"changing"}))
    await world.advance(1000)
    assert await (await executor.handle(made, row.id)).result(timeout=0) == 2


async def test_a_record_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_ENTRIES", 10)
    tasks = Tasks()

    @tasks.workflow
    async def endless(ctx: WorkflowContext) -> None:
        while True:
            await ctx.step(one)

    executor = await world.start(tasks=tasks)
    handle = await executor.enqueue(endless)
    with pytest.raises(ExecutionFailedError, match="at most 10 and .* with ctx.continue_as_new"):
        await handle.result()


async def test_what_is_pending_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "MAX_OPEN", 10)
    tasks = Tasks()

    @tasks.workflow
    async def wide(ctx: WorkflowContext) -> None:
        await ctx.gather(*(ctx.step(one) for _ in range(11)))

    executor = await world.start(tasks=tasks)
    handle = await executor.enqueue(wide)
    with pytest.raises(ExecutionFailedError, match="10 operations .* await some of them first"):
        await handle.result()


# What a durable function must not do


async def failing(world: World, function: Any) -> str:
    tasks = Tasks()
    task = tasks.workflow(name="wrong")(function)
    executor = await world.start(tasks=tasks)
    handle = await executor.enqueue(task)
    with pytest.raises(ExecutionFailedError) as caught:
        await handle.result()
    assert caught.value.info is not None
    return f"{caught.value.info.type}: {caught.value.info.message}"


async def test_waiting_for_the_outside_is_an_error(world: World) -> None:
    outside = asyncio.Event()
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def waits(ctx: WorkflowContext) -> None:
        await asyncio.Event().wait()

    async def elsewhere(ctx: WorkflowContext) -> None:
        await future

    async def thread(ctx: WorkflowContext) -> None:
        await asyncio.to_thread(print)

    async def connects(ctx: WorkflowContext) -> None:
        await asyncio.open_connection("127.0.0.1", 1)

    assert "none of its operations" in await failing(world, waits)
    assert "attached to a different loop" in await failing(world, elsewhere)
    assert "belong in its steps" in await failing(world, thread)
    assert "WorkflowError" in await failing(world, connects)
    assert not outside.is_set()


async def test_the_executor_is_for_steps_only(world: World) -> None:
    tasks = Tasks()
    executors: list[DurableExecutor] = []

    @tasks.task
    async def child() -> int:
        return 1

    async def spawn() -> str:
        return (await executors[0].enqueue(child)).id

    @tasks.workflow
    async def right(ctx: WorkflowContext) -> str:
        return await ctx.step(spawn)

    @tasks.workflow
    async def wrong(ctx: WorkflowContext) -> str:
        return (await executors[0].enqueue(child)).id

    executor = await world.start(tasks=tasks)
    executors.append(executor)
    spawned = await (await executor.enqueue(right)).result()
    assert await (await executor.handle(child, spawned)).result() == 1
    handle = await executor.enqueue(wrong)
    with pytest.raises(ExecutionFailedError, match="only in its steps"):
        await handle.result()


async def test_operations_belong_to_their_function(world: World) -> None:
    async def nested(ctx: WorkflowContext) -> None:
        async def inner() -> None:
            await ctx.step(one)

        await ctx.step(inner)

    assert "in its durable function only" in await failing(world, nested)


async def test_finally_blocks_run_when_it_is_put_to_sleep(world: World) -> None:
    tasks = Tasks()
    log: list[str] = []

    async def generate() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            log.append("generator")

    @tasks.workflow
    async def careful(ctx: WorkflowContext) -> str:
        async def branch() -> None:
            try:
                await ctx.sleep(5)
            finally:
                log.append("branch")
                await ctx.step(one)
                log.append("never before it really ends")

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(branch())
                async for _ in generate():
                    await ctx.sleep(10)
        finally:
            log.append("outer")
        return "done"

    executor = await world.start(tasks=tasks)
    handle = await executor.enqueue(careful)
    await world.idle(executor)
    assert "never before it really ends" not in log
    assert "outer" in log
    await world.idle(executor, horizon=100)
    assert await handle.result() == "done"
    assert log.count("never before it really ends") >= 1


async def test_nothing_is_retried_but_steps(world: World) -> None:
    tasks = Tasks()

    @tasks.workflow
    async def plain(ctx: WorkflowContext) -> None: ...

    with pytest.raises(ValueError, match="retries means nothing"):
        plain.with_options(retries=RetryPolicy(3))
