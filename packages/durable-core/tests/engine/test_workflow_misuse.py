"""What a durable function must not do, and what happens to it then."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from durable_core import (
    Context,
    DurableExecutor,
    ExecutionFailedError,
    FanOut,
    InputError,
    RetryPolicy,
    TaskDefinitionError,
    Tasks,
    WorkflowContext,
)

from .world import World


async def one() -> int:
    return 1


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
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def waits(_: WorkflowContext) -> None:
        await asyncio.Event().wait()

    async def elsewhere(_: WorkflowContext) -> None:
        await future

    async def thread(_: WorkflowContext) -> None:
        await asyncio.to_thread(print)

    async def connects(_: WorkflowContext) -> None:
        await asyncio.open_connection("127.0.0.1", 1)

    assert "none of its operations" in await failing(world, waits)
    assert "attached to a different loop" in await failing(world, elsewhere)
    assert "belong in its steps" in await failing(world, thread)
    assert "WorkflowError" in await failing(world, connects)


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
    async def wrong(_: WorkflowContext) -> str:
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


def test_nothing_is_retried_but_steps() -> None:
    tasks = Tasks()

    @tasks.workflow
    async def plain(ctx: WorkflowContext) -> None: ...

    with pytest.raises(ValueError, match="retries means nothing"):
        plain.with_options(retries=RetryPolicy(3))


async def test_what_is_no_step_is_refused(world: World) -> None:
    tasks = Tasks()

    @tasks.task
    async def child() -> int:
        return 1

    @tasks.parent
    async def parent() -> FanOut[int]:
        return FanOut(1)

    refused: list[str] = []

    @tasks.workflow
    async def tries(typed: WorkflowContext) -> None:
        ctx: Any = typed
        wrong: list[Callable[[], Any]] = [
            lambda: ctx.step(parent),
            lambda: ctx.step(lambda: 1),
            lambda: ctx.step("text"),
            lambda: ctx.call(child, 1),
            lambda: ctx.wait_for("name", key=""),
        ]
        for try_ in wrong:
            with pytest.raises(InputError) as caught:
                try_()
            refused.append(str(caught.value))

    executor = await world.start(tasks=tasks)
    await (await executor.enqueue(tries)).result()
    assert "use ctx.call" in refused[0]
    assert "has no name" in refused[1]
    assert "a function or a task" in refused[2]


def test_what_cannot_be_durable_is_refused() -> None:
    workflow: Any = Tasks().workflow

    def plain(ctx: WorkflowContext) -> None: ...

    async def nothing() -> None: ...

    async def other(ctx: Context) -> None: ...

    with pytest.raises(TaskDefinitionError, match="must be an async function"):
        workflow(plain)
    for function in (nothing, other):
        with pytest.raises(TaskDefinitionError, match="first parameter is the WorkflowContext"):
            workflow(function)
