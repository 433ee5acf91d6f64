"""Shutting down: what runs is given time, what does not end is handed to others at once."""

import asyncio
import threading

import pytest

from durable_core import Context, DurableExecutor, NotRunningError, Status, Tasks
from durable_core.testing import settle
from durable_core.testing.faults import Fault, Gate, On

from .world import PROMISE, Recorder, World


async def _shutting_down(executor: DurableExecutor) -> "asyncio.Future[None]":
    stopping = asyncio.ensure_future(executor.shutdown())
    await settle()
    return stopping


async def test_running_work_is_given_time_to_end(world: World) -> None:
    executor = world.executor(shutdown_timeout=30)
    told: list[str] = []

    @executor.task
    async def work(ctx: Context) -> str:
        await ctx.shutdown.wait()
        told.append("shutdown")
        assert not ctx.cancelled.is_set()
        return "in time"

    @executor.task(delay=10)
    async def later() -> None: ...

    await executor.start()
    handle = await executor.enqueue(work)
    await executor.enqueue(later)
    await settle()
    await executor.shutdown()
    assert world.clock.monotonic() == 0
    assert told == ["shutdown"]
    assert (await world.row(handle.id)).status is Status.COMPLETED


async def test_what_does_not_end_is_handed_back_and_goes_on_elsewhere_at_once(
    world: World,
) -> None:
    tasks = Tasks()
    log: list[str] = []

    @tasks.task(retries=0)
    async def work(ctx: Context) -> str:
        log.append(f"attempt {ctx.attempt}")
        if len(log) == 1:
            try:
                await asyncio.Event().wait()
            finally:
                log.append("interrupted")
        return "elsewhere"

    recorder = Recorder()
    first = await world.start(tasks=tasks, shutdown_timeout=20, hooks=[recorder])
    second = await world.start(tasks=tasks)
    await world.idle(first, second)
    handle = await first.enqueue(work)
    await settle()
    there = await second.handle(work, handle.id)
    stopping = await _shutting_down(first)
    await world.advance(19.9)
    assert not stopping.done()
    assert log == ["attempt 1"]
    await world.advance(0.1)
    await stopping
    # Neither a lease nor a poll had to pass; it counts neither as crash nor as attempt.
    assert world.clock.monotonic() == 20
    assert await there.result() == "elsewhere"
    assert log == ["attempt 1", "interrupted", "attempt 1"]
    row = await world.row(handle.id)
    assert (row.crashes, row.attempt) == (0, 0)
    assert recorder.of("handed_back") == [("handed_back", (handle.id, "shutdown"))]
    leases = await world.space.leases(limit=10)
    assert [lease.executor for lease in leases.items] == [second.id]


async def test_a_timeout_given_to_shutdown_counts(world: World) -> None:
    executor = world.executor(shutdown_timeout=1000)

    @executor.task
    async def work() -> None:
        await asyncio.Event().wait()

    await executor.start()
    handle = await executor.enqueue(work)
    await settle()
    await executor.shutdown(timeout=0)
    row = await world.row(handle.id)
    assert (row.status, row.due, row.crashes) == (Status.READY, 0, 0)


async def test_nothing_is_claimed_any_more(world: World) -> None:
    executor = world.executor(shutdown_timeout=30, concurrency=1)
    ran: list[int] = []
    go = asyncio.Event()

    @executor.task
    async def work(number: int) -> None:
        ran.append(number)
        await go.wait()

    await executor.start()
    handles = [await executor.enqueue(work, number) for number in range(3)]
    await settle()
    stopping = await _shutting_down(executor)
    go.set()
    await stopping
    assert ran == [0]
    rows = [await world.row(handle.id) for handle in handles]
    assert [row.status for row in rows] == [Status.COMPLETED, Status.READY, Status.READY]
    assert [row.gen for row in rows] == [1, 0, 0]


async def test_a_claim_in_flight_is_not_lost(world: World) -> None:
    gate = Gate()
    executor = world.executor(shutdown_timeout=0)

    @executor.task
    async def work() -> None:
        await asyncio.Event().wait()

    client = await world.start(tasks=executor.tasks, client_only=True)
    await executor.start()
    await world.idle(executor)
    world.faults(executor).inject(On("claim", Fault.gate(after=gate)))
    handle = await client.enqueue(work)
    await gate.reached.wait()
    assert (await world.row(handle.id)).status is Status.RUNNING
    stopping = await _shutting_down(executor)
    gate.open()
    await stopping
    row = await world.row(handle.id)
    # Run and handed back, or handed back without a run: but not left to its lease.
    assert (row.status, row.crashes) == (Status.READY, 0)


async def test_a_thread_is_told_and_its_row_is_handed_back(world: World) -> None:
    executor = world.executor(shutdown_timeout=5)
    begun, told, go_on = threading.Event(), threading.Event(), threading.Event()

    @executor.task
    def in_a_thread(ctx: Context) -> None:
        begun.set()
        ctx.shutdown.wait_blocking(10)
        told.set()
        go_on.wait(10)

    await executor.start()
    handle = await executor.enqueue(in_a_thread)
    assert await asyncio.to_thread(begun.wait, 10)
    stopping = await _shutting_down(executor)
    assert await asyncio.to_thread(told.wait, 10)
    await world.advance(5)
    await stopping
    assert (await world.row(handle.id)).status is Status.READY
    go_on.set()


async def test_a_result_is_stored_before_the_end(world: World) -> None:
    executor = world.executor(shutdown_timeout=0)

    @executor.task
    async def work() -> str:
        return "done"

    await executor.start()
    await world.idle(executor)
    world.faults(executor).inject(On("apply", Fault.failure(), times=4))
    handle = await executor.enqueue(work)
    await settle()
    stopping = await _shutting_down(executor)
    await world.advance(5)
    await stopping
    assert (await world.row(handle.id)).output == b'"done"'


async def test_a_storage_that_stays_away_does_not_keep_the_process_from_ending(
    world: World,
) -> None:
    executor = world.executor(shutdown_timeout=10)

    @executor.task
    async def work() -> str:
        return "done"

    await executor.start()
    await world.idle(executor)
    handle = await executor.enqueue(work.with_options(id="mine"))
    await handle.result()
    world.faults(executor).inject(On("apply", Fault.failure()), On("heartbeat", Fault.failure()))
    lost = await executor.enqueue(work)
    stopping = await _shutting_down(executor)
    await world.advance(10)
    assert not stopping.done()
    # When its lease has run out others may take over: there is nothing left to wait for.
    await world.advance(PROMISE + 5)
    await asyncio.wait_for(stopping, 5)  # noqa: TID251 - a hang is what is tested
    assert (await world.row(lost.id)).status is Status.RUNNING


async def test_shutting_down_twice_and_without_start_is_harmless(world: World) -> None:
    executor = world.executor()
    await executor.shutdown()
    other = world.executor()
    await other.start()
    await other.start()
    await asyncio.gather(other.shutdown(), other.shutdown())
    await other.shutdown()
    with pytest.raises(NotRunningError):
        await other.start()
    assert (await world.space.leases(limit=10)).items == []


async def test_nothing_is_left_behind_in_the_event_loop(world: World) -> None:
    before = asyncio.all_tasks()
    executor = world.executor(retention=60)

    @executor.task
    async def work() -> None: ...

    @executor.task
    async def endless() -> None:
        await asyncio.Event().wait()

    async with executor:
        await (await executor.enqueue(work)).result()
        await executor.enqueue(endless)
        with pytest.raises(TimeoutError):
            await (await executor.enqueue(endless)).result(timeout=0)
    await settle()
    assert asyncio.all_tasks() == before
