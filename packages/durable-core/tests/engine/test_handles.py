"""Handles: status, waiting, results, from this process and from others."""

import asyncio
import gc
import tracemalloc
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    DurableExecutor,
    ExecutionFailedError,
    ExecutionNotFoundError,
    FanOut,
    NotRunningError,
    Status,
    WaitTimeoutError,
)
from durable_core.testing import settle

from .world import World
from .wrappers import Mute


async def test_a_handle_tells_what_becomes_of_its_execution(world: World) -> None:
    executor = world.executor(name="here")
    go = asyncio.Event()

    @executor.task(tags=["t1"], priority=3)
    async def work(number: int) -> int:
        await go.wait()
        return number

    await executor.start()
    handle = await executor.enqueue(work.with_options(tags=["t2"], id="mine", delay=5), 7)
    assert handle.created
    assert (handle.id, handle.task.name) == ("mine", "work")
    waiting = await handle.execution()
    start = world.clock.now()
    assert waiting.status is Status.READY
    assert waiting.created_at == start
    assert waiting.due_at == start + timedelta(seconds=5)
    assert waiting.started_at is None
    assert waiting.tags == {"t1", "t2"}
    assert waiting.priority == 3
    assert waiting.root_id == "mine"
    await world.advance(5)
    running = await handle.execution()
    assert running.status is Status.RUNNING
    assert running.owner == executor.id
    assert (executor.id or "").startswith("here.")
    assert running.started_at == start + timedelta(seconds=5)
    assert executor.running == {"mine"}
    waiter = asyncio.ensure_future(handle.wait())
    await world.advance(5)
    go.set()
    done = await waiter
    assert done.finished
    assert done.status is Status.COMPLETED
    assert done.finished_at == start + timedelta(seconds=10)
    assert await handle.result() == 7
    assert "mine" in repr(handle)


async def test_waiters_in_the_same_process_are_told_by_events(world: World) -> None:
    executor = world.executor(wrap=Mute)
    go = asyncio.Event()

    @executor.task
    async def work(number: int) -> int:
        await go.wait()
        return number

    await executor.start()
    handles = [await executor.enqueue(work, number) for number in range(10)]
    waiting = [asyncio.ensure_future(handle.result()) for handle in handles for _ in range(3)]
    await settle()
    before = len(world.calls(executor, "get"))
    go.set()
    await settle()
    # No time has passed, and the storage was not asked.
    assert [task.result() for task in waiting] == [n for n in range(10) for _ in range(3)]
    assert len(world.calls(executor, "get")) == before


async def test_waiters_in_other_processes_are_told_by_hints(world: World) -> None:
    executor, client, go = await _two(world)
    handle = await client.enqueue(_task(executor), 1)
    waiting = asyncio.ensure_future(handle.result())
    await world.advance(3600)
    before = len(world.calls(client, "get"))
    go.set()
    await settle()
    assert await waiting == 1
    assert len(world.calls(client, "get")) <= before + 4


async def test_waiters_in_other_processes_poll_politely_without_hints(world: World) -> None:
    executor, client, go = await _two(world, mute=True)
    handles = [await client.enqueue(_task(executor), number) for number in range(100)]
    many = asyncio.ensure_future(client.results(handles))
    one = asyncio.ensure_future(handles[0].result())
    await world.advance(600)
    # All of them are looked up together, about every two seconds.
    assert len(world.calls(client, "get")) < 320
    go.set()
    await settle()
    assert not many.done()
    await world.advance(4)
    assert await many == list(range(100))
    assert await one == 0


async def test_a_handle_is_had_from_any_process_by_id(world: World) -> None:
    executor, client, go = await _two(world)
    task = _task(executor)
    handle = await executor.enqueue(task.with_options(id="mine"), 5)
    there = await client.handle(task, "mine")
    await settle()
    assert not there.created
    assert await there.status() is Status.RUNNING
    go.set()
    assert await there.result() == 5
    assert await handle.result() == 5
    with pytest.raises(ExecutionNotFoundError, match="'nowhere'"):
        await client.handle(task, "nowhere")
    other = client.sleeping("other", int)
    with pytest.raises(ExecutionNotFoundError, match="belongs to task 'work'"):
        await client.handle(other, "mine")


async def test_results_come_in_the_order_of_the_handles(world: World) -> None:
    executor = world.executor(concurrency=3)

    @executor.task
    async def work(number: int) -> int:
        if number == 13:
            msg = "unlucky"
            raise ValueError(msg)
        return number

    await executor.start()
    handles = await executor.enqueue_many([work.call(number) for number in range(13)])
    assert await executor.results(handles) == list(range(13))
    assert await executor.results([handles[3], handles[1], handles[3]]) == [3, 1, 3]
    assert await executor.results([]) == []
    bad = await executor.enqueue(work, 13)
    with pytest.raises(ExecutionFailedError, match="unlucky"):
        await executor.results([*handles, bad])


async def test_waiting_for_many_has_one_patience(world: World) -> None:
    executor, client, go = await _two(world)
    handles = [await client.enqueue(_task(executor), number) for number in range(5)]
    waiting = asyncio.ensure_future(client.results(handles, timeout=30))
    await world.advance(30)
    with pytest.raises(WaitTimeoutError, match=r"5 of 5 .* go on"):
        await waiting
    go.set()
    assert await client.results(handles, timeout=30) == list(range(5))


async def test_a_purged_execution_is_not_found_and_nobody_hangs(world: World) -> None:
    executor, client, go = await _two(world)
    handle = await client.enqueue(_task(executor), 1)
    go.set()
    await handle.result()
    await world.advance(10)
    assert await client.purge(older_than=5) == 1
    for call in (handle.result, handle.status, handle.wait, handle.execution):
        with pytest.raises(ExecutionNotFoundError):
            await call()
    with pytest.raises(ExecutionNotFoundError):
        await client.results([handle])


async def test_those_who_wait_at_a_shutdown_are_answered(world: World) -> None:
    executor, client, go = await _two(world)
    handle = await client.enqueue(_task(executor), 1)
    waiting = asyncio.ensure_future(handle.result())
    many = asyncio.ensure_future(client.results([handle]))
    await settle()
    await client.shutdown()
    for future in (waiting, many):
        with pytest.raises(NotRunningError):
            await asyncio.wait_for(future, 5)  # noqa: TID251 - a hang is what is tested
    go.set()
    await world.idle(executor)


async def test_children_are_read_while_they_run(world: World) -> None:
    executor = world.executor()
    go = asyncio.Event()

    @executor.task
    async def child(number: int) -> int:
        if number:
            await go.wait()
        return number * 10

    @executor.parent
    async def parent() -> FanOut[None]:
        return FanOut(None, [child.call(number) for number in range(3)])

    await executor.start()
    handle = await executor.enqueue(parent)
    await world.advance(1)
    seen = [(child.index, child.status, child.output) async for child in handle.children()]
    assert seen == [
        (0, Status.COMPLETED, 0),
        (1, Status.RUNNING, None),
        (2, Status.RUNNING, None),
    ]
    go.set()
    await handle.result()
    assert [child.output async for child in handle.children()] == [0, 10, 20]


async def test_waiting_costs_no_task_each_and_little_memory(world: World) -> None:
    executor, client, go = await _two(world)
    task = _task(executor)
    count = 5_000
    handles = await client.enqueue_many([task.call(number) for number in range(count)])
    await settle()
    tasks_before = len(asyncio.all_tasks())
    gc.collect()
    tracemalloc.start()
    try:
        waiting = asyncio.ensure_future(client.results(handles))
        await settle()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The caller's, and those of the look-ups.
    assert len(asyncio.all_tasks()) - tasks_before <= 5
    assert used / count < 500
    waiting.cancel()
    go.set()


async def _two(
    world: World, *, mute: bool = False
) -> tuple[DurableExecutor, DurableExecutor, asyncio.Event]:
    go = asyncio.Event()
    executor = world.executor(wrap=Mute if mute else None)

    @executor.task
    async def work(number: int) -> int:
        await go.wait()
        return number

    client = await world.start(
        tasks=executor.tasks, client_only=True, wrap=Mute if mute else None, name="client"
    )
    await executor.start()
    return executor, client, go


def _task(executor: DurableExecutor) -> Any:
    return executor.tasks.find("work")
