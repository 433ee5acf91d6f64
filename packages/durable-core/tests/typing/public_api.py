"""The public types as users meet them: checked by mypy and pyright, never run."""

from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, assert_type

from durable_core import (
    Again,
    AsyncTask,
    Call,
    Context,
    Done,
    DurableExecutor,
    FanOut,
    Handle,
    Joined,
    LoopResult,
    MemoryStorage,
    ParentResult,
    RetryPolicy,
    SyncTask,
    Tasks,
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
