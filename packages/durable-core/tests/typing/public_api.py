"""The public types as users meet them: checked by mypy and pyright, never run."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, assert_type

from durable_core import (
    Again,
    AsyncTask,
    Call,
    Context,
    Done,
    DurableExecutor,
    Event,
    FanOut,
    Handle,
    Joined,
    LoopResult,
    MemoryStorage,
    ParentResult,
    PlanResult,
    PlanStep,
    RetryPolicy,
    StepResult,
    SyncTask,
    Tasks,
    WorkflowContext,
)

executor = DurableExecutor(MemoryStorage(), lease=timedelta(seconds=10))


@executor.task
async def add(a: int, b: int = 0) -> int:
    return a + b


@executor.task(retries=3, timeout=1.5)
async def with_options(text: str) -> str:
    return text


@executor.task(retries=RetryPolicy(3, delay=1))
def sync(text: str) -> bytes:
    return text.encode()


@executor.task
async def with_context(ctx: Context, number: int) -> str:
    return f"{ctx.attempt} {number}"


@executor.task(priority=5)
def sync_with_context(ctx: Context, number: int) -> str:
    return f"{ctx.attempt} {number}"


def summarise(joined: Joined[str, int]) -> float:
    return sum(joined.outputs) / len(joined.children)


async def summarise_async(joined: Joined[str, int]) -> list[int]:
    return joined.outputs


@executor.task
async def summarise_as_task(joined: Joined[str, int]) -> set[int]:
    return set(joined.outputs)


@executor.parent
async def plain_parent(count: int) -> FanOut[str]:
    return FanOut("own", [add.call(index) for index in range(count)])


@executor.parent(finalize=summarise)
async def with_function(count: int) -> FanOut[str]:
    return FanOut("own", [add.call(index) for index in range(count)])


@executor.parent(finalize=summarise_async)
def with_async_function(count: int) -> FanOut[str]:
    return FanOut("own", [add.call(index) for index in range(count)])


@executor.parent(finalize=summarise_as_task)
async def with_task(ctx: Context, count: int) -> FanOut[str]:
    return FanOut(ctx.execution_id, [add.call(index) for index in range(count)])


@executor.task
async def to_text(number: int) -> str:
    return str(number)


sequence = executor.sequence("sequence", add, to_text, sync, deadline=60)


@executor.task
async def once(number: int) -> Again | Done[str]:
    return Done(str(number))


loop = executor.loop("loop", once, max_iterations=3, delay=timedelta(seconds=1))
approval = executor.sleeping("approval", bool, timeout=60)


async def check() -> None:
    coroutine: Coroutine[Any, Any, int] = add(1, 2)
    assert_type(await coroutine, int)
    assert_type(await add(1, b=2), int)
    assert_type(sync("x"), bytes)
    assert_type(await with_context(1), str)
    assert_type(add.call(1), Call[int])
    assert_type(await executor.enqueue(add, 1), Handle[int])
    assert_type(await (await executor.enqueue(add, 1, b=2)).result(), int)
    assert_type(await (await executor.enqueue(with_options, "x")).result(), str)
    assert_type(await executor.enqueue(sync, "x"), Handle[bytes])
    assert_type(await executor.enqueue(with_context, 1), Handle[str])
    assert_type(await executor.enqueue(sync_with_context, 1), Handle[str])
    assert_type(await executor.enqueue(plain_parent, 1), Handle[ParentResult[str]])
    assert_type(await executor.enqueue(with_function, 1), Handle[float])
    assert_type(await executor.enqueue(with_async_function, 1), Handle[list[int]])
    assert_type(await executor.enqueue(with_task, 1), Handle[set[int]])
    assert_type(await executor.enqueue(sequence, 1, 2), Handle[bytes])
    assert_type(await executor.enqueue(loop, 1), Handle[LoopResult[str]])
    assert_type(await executor.enqueue(approval, "key"), Handle[bool])
    assert_type(await executor.enqueue_many([add.call(1), add.call(2)]), list[Handle[int]])
    assert_type(await executor.results([await executor.enqueue(add, 1)]), list[int])
    assert_type(await executor.handle(add, "id"), Handle[int])
    await executor.wake(approval, "key", value=True)
    await executor.enqueue(add.with_options(key="k", delay=timedelta(days=1)), 1, 2)


async def refused() -> None:
    """Each line must be an error: the ignores are checked to be needed."""
    add.call("x")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    add.call(1, 2, 3)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    add.call(c=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    await executor.enqueue(add, "x")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    executor.sequence("bad", add, sync)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    executor.task(retrys=3)  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]


tasks = Tasks()


@tasks.task
async def elsewhere(number: int) -> int:
    return number


async_task: AsyncTask[[int], int] = elsewhere


@tasks.task
def sync_elsewhere() -> None:
    """Return nothing."""


assert_type(sync_elsewhere, SyncTask[[], None])


packed = Event("packed", list[str])


async def plain_step(number: int) -> str:
    return str(number)


async def in_transaction(connection: bytearray, number: int) -> float:
    return float(number + len(connection))


@asynccontextmanager
async def begin() -> AsyncGenerator[bytearray]:
    yield bytearray()


@executor.workflow
async def function(ctx: WorkflowContext, number: int, *, name: str = "") -> float:
    assert_type(await ctx.step(plain_step, number), str)
    assert_type(await ctx.step(sync, name), bytes)
    assert_type(await ctx.step(with_context, number), str)
    assert_type(await ctx.step(len, name), int)
    assert_type(await ctx.with_options(retries=3).step(add, 1, b=2), int)
    assert_type(await ctx.call(with_task, 3), set[int])
    assert_type(await ctx.wait_for(packed, key="k"), list[str])
    assert_type(await ctx.wait_for("packed", key="k"), Any)
    assert_type(await ctx.gather(ctx.call(add, 1), ctx.call(add, 2)), list[int])
    settled = await ctx.gather(ctx.call(add, 1), ctx.step(add, 2), return_exceptions=True)
    assert_type(settled, list[int | Exception])
    one, two = await asyncio.gather(ctx.step(plain_step, 1), ctx.call(add, 1))
    assert_type(one, str)
    assert_type(two, int)
    assert_type(ctx.version("change"), bool)
    return await ctx.transaction(begin, in_transaction, number)


@executor.workflow(name="other", deadline=timedelta(days=1))
async def with_other_options(ctx: WorkflowContext) -> None:
    await ctx.sleep(1)


plan = executor.plan("plan", add, to_text)


async def check_functions() -> None:
    assert_type(await executor.enqueue(function, 1, name="x"), Handle[float])
    assert_type(await (await executor.enqueue(with_other_options)).result(), None)
    handle = await executor.add_plan(plan, "id", [PlanStep("one", add.call(1))])
    assert_type(await handle.result(), PlanResult)
    assert_type(await executor.plan_steps(plan, "id"), list[StepResult])
    await executor.send_event(packed, key="k", payload=["x"])
    await executor.send_event("packed", key="k", payload={"any": "thing"})


@executor.workflow
async def refused_in_a_function(ctx: WorkflowContext) -> None:
    """Each line must be an error: the ignores are checked to be needed."""
    await ctx.step(plain_step, "x")  # type: ignore[call-overload] # pyright: ignore[reportCallIssue, reportArgumentType]
    await ctx.step(plain_step)  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]
    await ctx.call(add, "x")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    await ctx.transaction(begin, in_transaction, "x")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
