"""Timeouts of attempts and deadlines of lives, for coroutines and for threads."""

import asyncio
import threading
from datetime import timedelta

import pytest

from durable_core import (
    Context,
    ExecutionTimedOutError,
    FanOut,
    RetryPolicy,
    Status,
    WaitTimeoutError,
    current,
)
from durable_core.testing import settle

from .world import World


async def test_a_coroutine_is_really_cancelled(world: World) -> None:
    executor = world.executor()
    ended: list[str] = []

    @executor.task(timeout=30)
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        finally:
            ended.append("cleaned up")

    await executor.start()
    handle = await executor.enqueue(slow)
    await world.advance(29.9)
    assert await handle.status() is Status.RUNNING
    await world.advance(0.1)
    assert ended == ["cancelled", "cleaned up"]
    assert await handle.status() is Status.TIMED_OUT
    with pytest.raises(ExecutionTimedOutError, match="took longer than 30 s") as caught:
        await handle.result()
    assert not isinstance(caught.value, TimeoutError)


async def test_each_attempt_has_its_own_timeout(world: World) -> None:
    executor = world.executor()
    attempts: list[int] = []

    @executor.task(timeout=timedelta(seconds=10), retries=RetryPolicy(2, delay=1, jitter=0))
    async def slow_at_first() -> str:
        attempts.append(current().attempt)
        if current().attempt < 3:
            await asyncio.Event().wait()
        return "in time"

    await executor.start()
    handle = await executor.enqueue(slow_at_first)
    await world.advance(21)
    assert attempts == [1, 2]
    await world.advance(2)
    assert await handle.result() == "in time"
    assert attempts == [1, 2, 3]


async def test_a_task_that_swallows_the_cancellation_is_late_all_the_same(world: World) -> None:
    executor = world.executor()

    @executor.task(timeout=5)
    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        msg = "raised instead of the cancellation"
        raise OSError(msg)

    @executor.task(timeout=5)
    async def returns() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "a result is a result"

    await executor.start()
    raising = await executor.enqueue(stubborn)
    returning = await executor.enqueue(returns)
    await world.advance(5)
    with pytest.raises(ExecutionTimedOutError):
        await raising.result()
    assert await returning.result() == "a result is a result"


async def test_a_thread_is_told_and_its_late_result_is_dropped(world: World) -> None:
    executor = world.executor(concurrency=1)
    told, go_on = threading.Event(), threading.Event()
    begun, left = threading.Event(), threading.Event()

    @executor.task(timeout=5)
    def in_a_thread(ctx: Context) -> str:
        begun.set()
        if ctx.cancelled.wait_blocking(10):
            told.set()
        go_on.wait(10)
        left.set()
        return "too late"

    @executor.task
    async def quick() -> str:
        return "served"

    await executor.start()
    handle = await executor.enqueue(in_a_thread)
    assert await asyncio.to_thread(begun.wait, 10)
    await world.advance(5)
    assert await asyncio.to_thread(told.wait, 10)
    with pytest.raises(ExecutionTimedOutError):
        await handle.result()

    # The thread cannot be stopped: its place stays taken for as long as it goes on.
    waiting = await executor.enqueue(quick)
    await world.advance(60)
    assert await waiting.status() is Status.READY

    go_on.set()
    assert await waiting.result() == "served"
    assert left.is_set()
    assert (await world.row(handle.id)).output is None
    assert await handle.status() is Status.TIMED_OUT


async def test_an_attempt_waits_for_the_thread_of_the_one_before(world: World) -> None:
    executor = world.executor(concurrency=2)
    begun, go_on = threading.Event(), threading.Event()
    at_once: list[int] = []
    most: list[int] = []

    @executor.task(timeout=5, retries=RetryPolicy(1, delay=1, jitter=0))
    def in_a_thread() -> str:
        at_once.append(1)
        most.append(len(at_once))
        if len(most) == 1:
            begun.set()
            go_on.wait(10)
        at_once.pop()
        return "second"

    await executor.start()
    handle = await executor.enqueue(in_a_thread)
    assert await asyncio.to_thread(begun.wait, 10)
    await world.advance(20)
    assert most == [1]
    assert await handle.status() is Status.READY
    go_on.set()
    await world.idle(executor, horizon=20)
    assert await handle.result() == "second"
    assert most == [1, 1]


async def test_an_execution_past_its_deadline_is_not_run(world: World) -> None:
    executor = world.executor(concurrency=1)
    ran: list[str] = []
    go = asyncio.Event()

    @executor.task
    async def blocks() -> None:
        await go.wait()

    @executor.task(deadline=60)
    async def in_time(name: str) -> None:
        ran.append(name)

    await executor.start()
    await executor.enqueue(blocks)
    late = await executor.enqueue(in_time, "late")
    await world.advance(61)
    go.set()
    await world.idle(executor)
    with pytest.raises(ExecutionTimedOutError, match="deadline"):
        await late.result()
    early = await executor.enqueue(in_time, "early")
    await early.result()
    assert ran == ["early"]


async def test_the_deadline_ends_an_attempt_and_the_retries(world: World) -> None:
    executor = world.executor()
    attempts: list[float] = []

    @executor.task(deadline=25, timeout=10, retries=RetryPolicy(9, delay=1, multiplier=1, jitter=0))
    async def slow() -> None:
        attempts.append(world.clock.monotonic())
        await asyncio.Event().wait()

    @executor.task(deadline=25, retries=RetryPolicy(9, delay=10, multiplier=1, jitter=0))
    async def broken() -> None:
        msg = "as ever"
        raise OSError(msg)

    await executor.start()
    slow_handle = await executor.enqueue(slow)
    broken_handle = await executor.enqueue(broken)
    await world.advance(24.9)
    assert attempts == [0, 11, 22]
    await world.advance(0.1)
    assert await slow_handle.status() is Status.TIMED_OUT
    execution = await broken_handle.execution()
    assert execution.status is Status.FAILED
    assert execution.failed_attempts == 2
    assert execution.error is not None
    assert execution.error.message == "as ever"


async def test_a_delay_beyond_the_deadline_times_out_at_the_deadline(world: World) -> None:
    executor = world.executor()

    @executor.task(delay=100, deadline=20)
    async def never() -> None: ...

    await executor.start()
    handle = await executor.enqueue(never)
    await world.idle(executor, horizon=1000)
    assert await handle.status() is Status.TIMED_OUT
    assert world.clock.monotonic() == 20


async def test_a_parent_that_waits_past_its_deadline_takes_its_children_with_it(
    world: World,
) -> None:
    executor = world.executor()
    stopped: list[str] = []

    @executor.task
    async def child() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("child")

    @executor.parent(deadline=60)
    async def parent() -> FanOut[str]:
        return FanOut("own", [child.call()])

    await executor.start()
    handle = await executor.enqueue(parent)
    await world.advance(59)
    assert await handle.status() is Status.WAITING_FOR_CHILDREN
    await world.advance(1)
    assert await handle.status() is Status.TIMED_OUT
    assert stopped == ["child"]
    (row,) = await world.rows(parent_id=handle.id)
    assert row.status is Status.CANCELLED


async def test_the_callers_patience_is_not_the_executions(world: World) -> None:
    executor = world.executor()
    go = asyncio.Event()

    @executor.task
    async def slow() -> str:
        await go.wait()
        return "at last"

    await executor.start()
    handle = await executor.enqueue(slow)
    impatient = asyncio.ensure_future(handle.result(timeout=3))
    also = asyncio.ensure_future(handle.wait(timeout=timedelta(seconds=4)))
    await world.advance(3)
    with pytest.raises(WaitTimeoutError, match="not ended after 3 s"):
        await impatient
    assert not also.done()
    await world.advance(1)
    with pytest.raises(TimeoutError):
        await also
    go.set()
    await settle()
    assert await handle.result(timeout=3) == "at last"
