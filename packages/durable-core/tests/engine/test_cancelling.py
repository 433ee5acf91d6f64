"""Cancellation of executions in every state, and of what belongs to them."""

import asyncio
import threading
from typing import Any

import pytest

from durable_core import (
    CancelOutcome,
    Context,
    ExecutionCancelledError,
    ExecutionNotFoundError,
    FanOut,
    Joined,
    RetryPolicy,
    Status,
    current,
)
from durable_core.storage import Phase
from durable_core.testing.faults import Fault, Gate, On

from .world import World


async def test_what_waits_is_cancelled_at_once(world: World) -> None:
    executor = world.executor()
    ran: list[str] = []

    @executor.task(retries=RetryPolicy(1, delay=60))
    async def work(name: str) -> None:
        ran.append(name)
        if name == "retried":
            raise OSError

    asleep = executor.sleeping("asleep", int)
    await executor.start()
    ready = await executor.enqueue(work.with_options(delay=60), "ready")
    retried = await executor.enqueue(work, "retried")
    sleeper = await executor.enqueue(asleep, "k")
    await world.idle(executor)
    for handle in (ready, retried, sleeper):
        assert await handle.cancel()
        assert await handle.status() is Status.CANCELLED
        with pytest.raises(ExecutionCancelledError) as caught:
            await handle.result()
        assert not isinstance(caught.value, asyncio.CancelledError)
    await world.idle(executor, horizon=1000)
    assert ran == ["retried"]


async def test_a_running_coroutine_is_cancelled_and_waited_for(world: World) -> None:
    executor = world.executor()
    ended: list[str] = []

    @executor.task
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    await executor.start()
    handle = await executor.enqueue(work)
    await world.advance(0)
    assert await handle.cancel()
    assert ended == ["cleaned up"]
    assert await handle.status() is Status.CANCELLED


async def test_an_execution_of_another_executor_is_cancelled_by_its_next_heartbeat(
    world: World,
) -> None:
    executor = world.executor()

    @executor.task
    async def work() -> None:
        await asyncio.Event().wait()

    client = await world.start(tasks=executor.tasks, client_only=True)
    await executor.start()
    handle = await client.enqueue(work)
    await world.advance(0)
    cancelling = asyncio.ensure_future(handle.cancel())
    await world.advance(4.9)
    assert not cancelling.done()
    assert (await handle.execution()).cancel_requested
    await world.advance(0.1)
    assert await cancelling
    assert await handle.status() is Status.CANCELLED


async def test_a_thread_is_told_and_its_place_stays_taken(world: World) -> None:
    executor = world.executor(concurrency=1)
    begun, told, go_on = threading.Event(), threading.Event(), threading.Event()

    @executor.task
    def in_a_thread(ctx: Context) -> str:
        begun.set()
        ctx.cancelled.wait_blocking(10)
        told.set()
        go_on.wait(10)
        return "too late"

    @executor.task
    async def quick() -> str:
        return "served"

    await executor.start()
    handle = await executor.enqueue(in_a_thread)
    assert await asyncio.to_thread(begun.wait, 10)
    assert await handle.cancel()
    assert await asyncio.to_thread(told.wait, 10)
    assert await handle.status() is Status.CANCELLED
    waiting = await executor.enqueue(quick)
    await world.advance(10)
    assert await waiting.status() is Status.READY
    go_on.set()
    assert await waiting.result() == "served"
    assert (await world.row(handle.id)).output is None


async def test_a_result_that_is_ready_first_beats_the_request(world: World) -> None:
    gate = Gate()
    executor = world.executor(On("apply", Fault.gate(before=gate)))

    @executor.task
    async def work() -> str:
        return "done"

    await executor.start()
    handle = await executor.enqueue(work)
    await gate.reached.wait()
    cancelling = asyncio.ensure_future(handle.cancel())
    await world.advance(0)
    gate.open()
    assert not await cancelling
    assert await handle.result() == "done"
    assert not await handle.cancel()
    assert await handle.request_cancel() is CancelOutcome.FINISHED


async def test_a_request_that_comes_while_a_retry_is_written_is_not_lost(world: World) -> None:
    gate = Gate()
    executor = world.executor(On("apply", Fault.gate(before=gate)))

    @executor.task(retries=RetryPolicy(5, delay=60))
    async def work() -> str:
        raise OSError

    await executor.start()
    handle = await executor.enqueue(work)
    await gate.reached.wait()
    cancelling = asyncio.ensure_future(handle.cancel())
    await world.advance(0)
    gate.open()
    assert await cancelling
    assert await handle.status() is Status.CANCELLED


async def test_what_swallows_its_cancellation_completes(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "finished all the same"

    await executor.start()
    handle = await executor.enqueue(stubborn)
    await world.advance(0)
    assert not await handle.cancel()
    assert await handle.result() == "finished all the same"


async def test_a_task_may_cancel_its_own_execution(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def at_once() -> str:
        await executor.cancel(current().execution_id)
        return "before the cancellation could arrive"

    @executor.task
    async def then_waits() -> str:
        await executor.cancel(current().execution_id)
        await asyncio.Event().wait()
        return "never"

    await executor.start()
    first = await executor.enqueue(at_once)
    second = await executor.enqueue(then_waits)
    await world.idle(executor)
    assert executor.running == frozenset()
    assert await second.status() is Status.CANCELLED
    # Python gives a finished coroutine no chance to be cancelled: either end is right.
    assert await first.status() in (Status.COMPLETED, Status.CANCELLED)


async def test_descendants_follow_to_any_depth(world: World) -> None:
    executor = world.executor()
    stopped: list[str] = []

    @executor.task
    async def runs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("runs")

    @executor.task(delay=3600)
    async def waits() -> None: ...

    asleep = executor.sleeping("asleep", int)

    @executor.parent
    async def inner(depth: int) -> FanOut[int]:
        deeper = [tasks["inner"].call(depth - 1)] if depth else []
        return FanOut(depth, [runs.call(), waits.call(), asleep.call(f"k{depth}"), *deeper])

    tasks = {"inner": inner}
    await executor.start()
    handle = await executor.enqueue(inner, 3)
    await world.advance(1)
    assert len(await world.rows(root_id=handle.id)) == 4 + 4 * 3
    assert await handle.cancel()
    await world.idle(executor)
    rows = await world.rows(root_id=handle.id)
    assert {row.phase for row in rows} == {Phase.CANCELLED}
    assert all((row.pending, row.due, row.owner) == (0, None, None) for row in rows)
    assert stopped == ["runs"] * 4


async def test_descendants_follow_on_other_executors_that_know_none_of_their_tasks(
    world: World,
) -> None:
    owner = world.executor()

    @owner.task(delay=3600)
    async def waits() -> None: ...

    @owner.parent
    async def parent() -> FanOut[int]:
        return FanOut(1, [waits.call() for _ in range(3)])

    await owner.start()
    handle = await owner.enqueue(parent)
    await world.idle(owner)
    client = await world.start(tasks=owner.tasks, client_only=True)
    await world.kill(owner)
    stranger = await world.start()
    assert await (await client.handle(parent, handle.id)).cancel()
    await world.idle(stranger)
    rows = await world.rows(root_id=handle.id)
    assert {row.phase for row in rows} == {Phase.CANCELLED}
    assert all((row.pending, row.due, row.owner) == (0, None, None) for row in rows)


async def test_a_cancelled_child_counts_as_ended(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def runs() -> None:
        await asyncio.Event().wait()

    @executor.parent
    async def parent() -> FanOut[int]:
        return FanOut(1, [runs.call(), runs.call()])

    await executor.start()
    handle = await executor.enqueue(parent)
    await world.advance(1)
    first, second = await world.rows(parent_id=handle.id)
    assert await executor.cancel(first.id)
    await world.advance(1)
    assert await handle.status() is Status.WAITING_FOR_CHILDREN
    assert await executor.cancel(second.id)
    assert (await handle.result()).failed == 2


async def test_a_cancelled_finalizer_is_a_failed_finalizer(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def finalize(joined: Joined[int, Any]) -> None:
        assert joined.children == []
        await asyncio.Event().wait()

    @executor.parent(finalize=finalize)
    async def parent() -> FanOut[int]:
        return FanOut(1)

    await executor.start()
    handle = await executor.enqueue(parent)
    await world.advance(1)
    (finalizer,) = await world.rows(parent_id=handle.id)
    assert await executor.cancel(finalizer.id)
    await world.idle(executor)
    execution = await handle.execution()
    assert execution.status is Status.FINALIZE_FAILED
    assert execution.error is not None
    assert "cancelled" in execution.error.message


async def test_a_mark_left_by_the_dead_is_carried_out(world: World) -> None:
    first = world.executor()

    @first.task
    async def work() -> None:
        await asyncio.Event().wait()

    await first.start()
    handle = await first.enqueue(work)
    await world.advance(0)
    client = await world.start(tasks=first.tasks, client_only=True)
    assert await client.cancel(handle.id)
    await world.kill(first)
    second = await world.start()
    await world.advance(30)
    assert (await world.row(handle.id)).phase is Phase.CANCELLED
    assert (await world.row(handle.id)).owner is None
    assert second.running == frozenset()


async def test_a_cancel_whose_answer_is_lost_says_that_it_won(world: World) -> None:
    executor = world.executor(On("cancel", Fault.lost_answer(), nth=1))

    @executor.task(delay=60)
    async def work() -> None: ...

    await executor.start()
    handle = await executor.enqueue(work)
    cancelling = asyncio.ensure_future(handle.cancel())
    await world.advance(1)
    assert await cancelling is True
    assert len(world.calls(executor, "cancel")) == 2


async def test_what_does_not_exist_cannot_be_cancelled(world: World) -> None:
    executor = world.executor()

    @executor.task
    async def work() -> None: ...

    await executor.start()
    handle = await executor.enqueue(work)
    await handle.result()
    await world.advance(10)
    await executor.purge(older_than=1)
    assert not await executor.cancel(handle.id)
    with pytest.raises(ExecutionNotFoundError, match="purged"):
        await handle.cancel()
